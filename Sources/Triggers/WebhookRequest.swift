// A webhook as it came in: headers and the bytes that were signed.

import Crypto

package struct WebhookRequest: Sendable {
    /// In the order received; names in any case.
    package var headers: [(name: String, value: String)]
    /// Raw, as signed; its size is bounded by the server.
    package var body: [UInt8]

    package init(headers: [(name: String, value: String)], body: [UInt8]) {
        self.headers = headers
        self.body = body
    }

    /// The first value of a header, whatever the case of its name.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }

    /// How a request is signed. Everything that depends on it asks here, so that what is verified is what is used.
    enum Scheme: Hashable {
        /// Standard Webhooks: id, timestamp and body are signed.
        case standard
        /// `X-Hub-Signature-256`: the body alone is signed.
        case gitHub
    }

    var scheme: Scheme? {
        if header("webhook-signature") != nil { return .standard }
        return header("x-hub-signature-256") != nil ? .gitHub : nil
    }

    /// What makes two deliveries the same one.
    ///
    /// Where the id is signed, it is the signed one: a copy of the request cannot be given another. The SHA-256 of the
    /// body stands in for a sender that gives none.
    var deliveryID: String {
        if scheme == .standard, let id = header("webhook-id") { return id }
        for name in ["x-github-delivery", "webhook-id", "idempotency-key"] {
            if let id = header(name), !id.isEmpty { return id }
        }
        return "sha256:" + hex(SHA256.hash(data: body))
    }
}
