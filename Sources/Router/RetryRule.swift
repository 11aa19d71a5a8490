// When a request may be sent a second time. Pure.

/// What became of an attempt that ended without one byte of a response.
///
/// An instance may close an unused connection at any moment, so a request can be written to a connection whose other
/// end is already gone. That is nobody's failure and must not reach the client (RFC 9112 section 9.3.1). But a proxy
/// must not repeat what may have been done: RFC 9110 section 9.2.2 forbids an automatic retry of a method that is not
/// idempotent unless the request was never applied.
struct LostAttempt: Hashable, Sendable {
    /// The connection had served a request before this one; a fresh one that closes is the instance's own failure.
    var connectionWasReused: Bool
    /// The operating system took the whole head. Without a whole head no server can have acted.
    var headWasWritten: Bool
    /// The body, if there is one, is still all here.
    var bodyIsReplayable: Bool
    var isIdempotent: Bool
    /// A request is repeated once.
    var wasRetried: Bool

    /// A method that is not idempotent is repeated only when its head never left: a connection that closes after it
    /// was written may have closed with the request read, and TCP does not tell.
    var mayRetry: Bool {
        connectionWasReused && !wasRetried && bodyIsReplayable && (isIdempotent || !headWasWritten)
    }
}
