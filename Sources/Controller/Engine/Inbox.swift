// Everything that moves one service's release comes through here, one after the other: one consumer, bounded.

import Releases
import Synchronization

/// An event on its way, and who waits for what became of it.
struct Envelope: Sendable {
    var release: ReleaseID?
    var event: Event
    var reply: Reply?
}

/// What became of an event: the state after it, or why it was refused; nil when no such release is being driven.
typealias Outcome = Result<ReleaseState?, EventRefused>

/// Answered exactly once: by the consumer, by the asker's cancellation, or, forgotten, by going away.
final class Reply: Sendable {
    private enum Stage {
        case waiting(CheckedContinuation<Outcome, Never>?)
        case answered(Outcome)
    }
    private let stage = Mutex(Stage.waiting(nil))

    func resume(returning outcome: Outcome) {
        let waiter = stage.withLock { stage -> CheckedContinuation<Outcome, Never>? in
            guard case .waiting(let continuation) = stage else { return nil }
            stage = .answered(outcome)
            return continuation
        }
        waiter?.resume(returning: outcome)
    }

    func wait() async -> Outcome {
        await withCheckedContinuation { continuation in
            let early = stage.withLock { stage -> Outcome? in
                if case .answered(let outcome) = stage { return outcome }
                stage = .waiting(continuation)
                return nil
            }
            if let early { continuation.resume(returning: early) }
        }
    }

}

final class Inbox: Sendable {
    let envelopes: AsyncStream<Envelope>
    private let continuation: AsyncStream<Envelope>.Continuation

    init(bound: Int = 1_024) {
        (envelopes, continuation) = AsyncStream.makeStream(of: Envelope.self, bufferingPolicy: .bufferingOldest(bound))
    }

    /// Without waiting for an answer; dropped when the inbox is full (a clock tick comes again).
    func tell(_ event: Event, release: ReleaseID? = nil) {
        continuation.yield(Envelope(release: release, event: event, reply: nil))
    }

    /// Waits until the event was decided and its facts are durable, or the asking task is cancelled.
    func ask(_ event: Event, release: ReleaseID?) async -> Outcome {
        let reply = Reply()
        return await withTaskCancellationHandler {
            switch continuation.yield(Envelope(release: release, event: event, reply: reply)) {
            case .enqueued: break
            case .dropped, .terminated: reply.resume(returning: .success(nil))
            @unknown default: reply.resume(returning: .success(nil))
            }
            return await reply.wait()
        } onCancel: {
            reply.resume(returning: .success(nil))
        }
    }

    /// Nobody is listened to any more; what is still queued is answered "not driven".
    func finish() async {
        continuation.finish()
        for await envelope in envelopes { envelope.reply?.resume(returning: .success(nil)) }
    }
}
