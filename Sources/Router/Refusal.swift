// What the router answers by itself on the service port. Pure.

package import NIOHTTP1

/// An answer of the router's own, with a short text for a person.
package struct Refusal: Error, Hashable, Sendable {
    package var status: HTTPResponseStatus
    package var text: String
    /// Seconds after which trying again is worth it.
    package var retryAfterSeconds: Int?

    package init(status: HTTPResponseStatus, text: String, retryAfterSeconds: Int? = nil) {
        self.status = status
        self.text = text
        self.retryAfterSeconds = retryAfterSeconds
    }

    package static func badRequest(_ text: String) -> Refusal { Refusal(status: .badRequest, text: text) }

    package static let requestTimeout = Refusal(status: .requestTimeout, text: "the request did not arrive in time")
    package static func bodyTooLarge(limitBytes: Int) -> Refusal {
        Refusal(status: .payloadTooLarge, text: "the request's body is longer than \(limitBytes) bytes")
    }
    package static func targetTooLong(limitBytes: Int) -> Refusal {
        Refusal(status: .uriTooLong, text: "the request's target is longer than \(limitBytes) bytes")
    }
    package static func headerTooLarge(limitBytes: Int) -> Refusal {
        Refusal(
            status: .requestHeaderFieldsTooLarge, text: "the request's header is longer than \(limitBytes) bytes")
    }
    package static func notImplemented(_ text: String) -> Refusal { Refusal(status: .notImplemented, text: text) }
    package static let versionNotSupported = Refusal(
        status: .httpVersionNotSupported, text: "only HTTP/1.0 and HTTP/1.1 are spoken here")

    /// No table was ever given to this router, or the chosen version has no instance in it.
    package static let noInstance = Refusal(
        status: .serviceUnavailable, text: "no instance of this service can take the request", retryAfterSeconds: 1)
    /// Every instance has as many connections as it may have, and the queue for them is full or too slow.
    package static let atCapacity = Refusal(
        status: .serviceUnavailable, text: "every instance of this service is busy", retryAfterSeconds: 1)
    package static let holdOverflow = Refusal(
        status: .serviceUnavailable, text: "requests are held and no more can wait", retryAfterSeconds: 1)

    package static let connectFailure = Refusal(
        status: .badGateway, text: "no instance of this service accepted a connection")
    package static let reset = Refusal(
        status: .badGateway, text: "the instance closed the connection without an answer")
    package static let badResponse = Refusal(status: .badGateway, text: "the instance's answer is not HTTP/1.1")
    package static let timeout = Refusal(status: .gatewayTimeout, text: "the instance did not answer in time")
}
