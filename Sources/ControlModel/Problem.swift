// What the API answers when it refuses: an RFC 9457 problem document.

package import Releases

/// `application/problem+json`. `kind` is stable and one of the list in docs/api.md; texts are for people.
package struct Problem: Error, Hashable, Sendable, Codable {
    package static let mediaType = "application/problem+json"

    /// `urn:perch:problem:` and the kind.
    package var type: String
    /// The same sentence for every problem of this type.
    package var title: String
    package var status: Int
    /// What is wrong in this case: lower case, no full stop.
    package var detail: String
    /// This occurrence; the request id in it is also in perchd's log.
    package var instance: String?
    package var hint: String?
    /// Where in the request: `/build/id` or `line 3 column 7`.
    package var place: String?
    /// The release in the way.
    package var release: ReleaseID?
    /// Seconds to wait before trying again; also in `Retry-After`.
    package var retryAfter: Int?

    package init(
        _ kind: Kind, _ detail: String, hint: String? = nil, place: String? = nil, release: ReleaseID? = nil,
        retryAfter: Int? = nil
    ) {
        type = "urn:perch:problem:" + kind.rawValue
        title = kind.title
        status = kind.status
        self.detail = detail
        self.hint = hint
        self.place = place
        self.release = release
        self.retryAfter = retryAfter
    }

    /// nil: a type this version does not know.
    package var kind: Kind? {
        type.hasPrefix("urn:perch:problem:") ? Kind(rawValue: String(type.dropFirst("urn:perch:problem:".count))) : nil
    }

    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case malformed
        case notAsAgreed = "not-as-agreed"
        case badSignature = "bad-signature"
        case tokenNeeded = "token-needed"
        case tokenTooWeak = "token-too-weak"
        case notFound = "not-found"
        case requestTimedOut = "request-timed-out"
        case conflict
        case tooLarge = "too-large"
        case refusedByPolicy = "refused-by-policy"
        case tooManyRequests = "too-many-requests"
        case failed
        case unavailable

        package var status: Int {
            switch self {
            case .malformed: 400
            case .badSignature, .tokenNeeded: 401
            case .tokenTooWeak: 403
            case .notFound: 404
            case .requestTimedOut: 408
            case .conflict: 409
            case .tooLarge: 413
            case .notAsAgreed, .refusedByPolicy: 422
            case .tooManyRequests: 429
            case .failed: 500
            case .unavailable: 503
            }
        }

        package var title: String {
            switch self {
            case .malformed: "The request cannot be understood"
            case .notAsAgreed: "The request is well formed but not what this API takes"
            case .badSignature: "The webhook is not signed by a known secret"
            case .tokenNeeded: "A token is needed"
            case .tokenTooWeak: "This token may only read"
            case .notFound: "There is no such thing"
            case .requestTimedOut: "The request took too long to arrive"
            case .conflict: "This cannot be done now"
            case .tooLarge: "The request is too large"
            case .refusedByPolicy: "The policy refuses it"
            case .tooManyRequests: "Too many requests"
            case .failed: "The daemon failed"
            case .unavailable: "This daemon cannot decide now"
            }
        }
    }
}

extension Problem {
    package init(_ refusal: Refusal) {
        let kind: Kind =
            switch refusal.kind {
            case .notFound: .notFound
            case .conflict: .conflict
            case .refusedByPolicy: .refusedByPolicy
            case .unavailable: .unavailable
            }
        self.init(
            kind, refusal.message, hint: refusal.hint, release: refusal.release,
            retryAfter: kind == .unavailable ? 5 : nil)
    }
}
