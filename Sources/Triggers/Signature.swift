// Whether a webhook comes from somebody who knows the secret: `X-Hub-Signature-256` as GitHub sends it, and Standard
// Webhooks (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md). Pure: no clock.
//
//   X-Hub-Signature-256: sha256=<hex HMAC-SHA256(secret, body)>
//
//   webhook-id: msg_2KWPBgLlAfxdpx2AI54pPJ85f4W
//   webhook-timestamp: 1674087231
//   webhook-signature: v1,<base64 HMAC-SHA256(secret, id "." timestamp "." body)> v1,<another, while rotating>

import Crypto
package import Releases

package enum SignatureVerdict: Hashable, Sendable {
    /// Signed with the secret at this index.
    case valid(secretIndex: Int)
    /// No signature, or a Standard Webhooks signature without the id or timestamp it signs.
    case missing
    /// No secret of ours made any of its signatures.
    case invalid
    /// Truly signed, but too long ago or too far ahead; `skew` is our clock less the signed one.
    case stale(skew: Span)
}

/// How far a signed timestamp may be from our clock, either way.
package let signatureWindow = Span.minutes(5)

private let digestLength = 32
/// Enough for any rotation; more are not looked at.
private let mostSignatures = 16

/// Checks the signature of a webhook against every secret that may sign now.
///
/// - Parameter secrets: Each as it is written down; `whsec_` and base64 stands for the bytes behind it in Standard
///   Webhooks. An empty one signs nothing.
package func verify(_ request: WebhookRequest, secrets: [[UInt8]], now: Instant) -> SignatureVerdict {
    switch request.scheme {
    case nil: return .missing
    case .gitHub:
        let written = request.header("x-hub-signature-256") ?? ""
        guard written.hasPrefix("sha256="), let digest = bytes(hex: written.utf8.dropFirst(7)) else { return .invalid }
        let index = firstSigner(of: [digest], among: secrets) { secret in code(request.body, key: secret) }
        return index.map { .valid(secretIndex: $0) } ?? .invalid
    case .standard:
        guard let id = request.header("webhook-id"), let timestamp = request.header("webhook-timestamp"), !id.isEmpty
        else { return .missing }
        // Eleven digits last until the year 5138 and cannot overflow milliseconds.
        guard timestamp.utf8.count <= 11, let seconds = Int64(timestamp), seconds >= 0 else { return .invalid }
        let written = (request.header("webhook-signature") ?? "").split(separator: " ").prefix(mostSignatures)
        let digests = written.compactMap { $0.hasPrefix("v1,") ? bytes(base64: $0.utf8.dropFirst(3)) : nil }
        let signed = signedContent(id: id, timestamp: timestamp, body: request.body)
        guard
            let index = firstSigner(
                of: digests, among: secrets, making: { secret in code(signed, key: standardKey(secret)) })
        else { return .invalid }
        let skew = now.since(Instant(millisecondsSince1970: seconds * 1_000))
        guard skew <= signatureWindow, skew.milliseconds >= -signatureWindow.milliseconds else {
            return .stale(skew: skew)
        }
        return .valid(secretIndex: index)
    }
}

/// The headers that sign a body by Standard Webhooks.
package func sign(body: [UInt8], id: String, secret: [UInt8], at now: Instant) -> [(name: String, value: String)] {
    let timestamp = "\(now.millisecondsSince1970 / 1_000)"
    let digest = code(signedContent(id: id, timestamp: timestamp, body: body), key: standardKey(secret))
    return [
        ("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", "v1,\(base64(digest))"),
    ]
}

/// The bytes that sign: what `whsec_` stands in front of, or the secret as it is.
private func standardKey(_ secret: [UInt8]) -> [UInt8] {
    guard secret.starts(with: "whsec_".utf8), let key = bytes(base64: secret.dropFirst(6)), !key.isEmpty else {
        return secret
    }
    return key
}

private func signedContent(id: String, timestamp: String, body: [UInt8]) -> [UInt8] {
    Array("\(id).\(timestamp).".utf8) + body
}

private func code(_ content: [UInt8], key: [UInt8]) -> [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: content, using: SymmetricKey(data: key)))
}

/// Index of the first secret that made one of the digests.
private func firstSigner(
    of digests: [[UInt8]], among secrets: [[UInt8]], making expected: ([UInt8]) -> [UInt8]
) -> Int? {
    let digests = digests.filter { $0.count == digestLength }
    return secrets.indices.first { index in
        guard !digests.isEmpty, !secrets[index].isEmpty else { return false }
        let code = expected(secrets[index])
        return digests.contains { areEqual($0, code) }
    }
}

/// Compares two digests in a time that does not depend on where they differ.
private func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    precondition(left.count == digestLength && right.count == digestLength, "digests of SHA-256 are 32 bytes")
    var difference: UInt8 = 0
    for index in 0..<digestLength { difference |= left[index] ^ right[index] }
    return difference == 0
}
