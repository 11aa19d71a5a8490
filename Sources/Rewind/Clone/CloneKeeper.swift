// Keeps the clone of a running release in step with stable's writes, so that a rollback finds it ready.
//
//     build -> follow: what the journal has durably goes into the clone, round after round -> handed over to a rollback
//                                                                                          -> stopped
//
// The clone's own tables say how far it is, in the transactions that write its rows, so nothing is applied twice whenever
// this ends. What fails for now is tried again; what cannot go on is told, and the release is not held up by it.

import Logging
import Ports
import Postgres
import Releases
import Synchronization

final class CloneKeeper: Sendable {
    private struct State {
        var status = CloneStatus(state: .building)
        var isStopping = false
        var task: Task<ReleaseClone?, Never>?
    }

    /// How often the journal is looked at while nothing comes.
    private static let interval = Duration.milliseconds(10)
    /// How often what differs is counted.
    private static let countInterval = Duration.seconds(1)
    /// Longest wait before another attempt.
    private static let retryLimit = Duration.seconds(5)

    private let source: CloneSource
    private let recording: any RecordingTail
    private let logger: Logger
    private let state = Mutex(State())

    init(_ source: CloneSource, recording: any RecordingTail, logger: Logger) {
        self.source = source
        self.recording = recording
        var logger = logger
        logger[metadataKey: "release"] = "\(source.release)"
        self.logger = logger
    }

    var status: CloneStatus { state.withLock { $0.status } }

    /// The task outlives this call on purpose: a clone lasts as long as its release, whoever asked for it. It ends with
    /// ``stop()`` or ``handOver()``.
    func start() {
        state.withLock { state in
            guard state.task == nil, !state.isStopping else { return }
            state.task = Task { await self.run() }
        }
    }

    /// Ends the keeping at once. The database stays as it is.
    func stop() async {
        let task = state.withLock { state in
            state.isStopping = true
            return state.task
        }
        task?.cancel()
        let clone = await task?.value
        await clone?.connection.close()
    }

    /// Ends the keeping with the round that it is in.
    ///
    /// - Returns: the clone; nil when it cannot go on, and then opening it anew says why.
    func handOver() async -> ReleaseClone? {
        let task = state.withLock { state in
            state.isStopping = true
            return state.task
        }
        return await task?.value
    }

    private var isWanted: Bool { state.withLock { !$0.isStopping } && !Task.isCancelled }

    /// - Returns: the clone, when it was asked to stop.
    private func run() async -> ReleaseClone? {
        var wait = Duration.milliseconds(100)
        while isWanted {
            let begin = ContinuousClock.now
            do throws(Failure) {
                return try await keep()
            } catch {
                guard isWanted else { return nil }
                state.withLock { state in
                    state.status.state = error.isTransient ? .interrupted : .failed
                    state.status.reason = error.message
                }
                logger.log(
                    level: error.isTransient ? .warning : .error, "the clone does not go on",
                    metadata: ["reason": "\(error.message)"])
                if !error.isTransient { return nil }
            }
            if ContinuousClock.now - begin > .seconds(10) { wait = .milliseconds(100) }
            try? await Task.sleep(for: wait)
            wait = min(wait * 2, Self.retryLimit)
        }
        return nil
    }

    private func keep() async throws(Failure) -> ReleaseClone {
        let cluster = try await Cluster.open(source.admin)
        let begin = ContinuousClock.now
        var clone: ReleaseClone
        do throws(Failure) {
            try await leaveToRollback(cluster)
            clone = try await ReleaseClone.open(source, cluster) { [logger] sentence in
                logger.info("\(sentence)")
            }
            await cluster.connection.close()
        } catch {
            await cluster.connection.close()
            throw error
        }
        logger.info("the clone is there", metadata: ["took": "\((ContinuousClock.now - begin).seconds)"])
        do throws(Failure) {
            try await follow(&clone)
        } catch {
            await clone.connection.close()
            throw error
        }
        return clone
    }

    /// A rollback that was cut off within its switch finds by the mark what it has to open again; it must stay until then.
    private func leaveToRollback(_ cluster: Cluster) async throws(Failure) {
        guard try await cluster.find(source.names.restored)?.mark == .switching(source.release) else { return }
        throw Failure("a rollback was cut off within its switch and has to be asked for again", isTransient: true)
    }

    private func follow(_ clone: inout ReleaseClone) async throws(Failure) {
        var lastCount = ContinuousClock.now - Self.countInterval
        while isWanted {
            let end = try await recording.durableEnd()
            let isBehind = end > clone.position
            if isBehind {
                clone.replay.beginRound()
                try await clone.advance(to: end)
                let lag = clone.replay.roundBegan.map { wallClock().millisecondsSince1970 - $0.millisecondsSince1970 }
                publish(clone, lag: max(0, lag ?? 0))
            }
            if ContinuousClock.now - lastCount >= Self.countInterval {
                lastCount = .now
                let (rows, open) = try await clone.replay.differences()
                state.withLock { state in
                    state.status.taintedRows = rows
                    state.status.decisionsOpen = open
                    if !isBehind { state.status.lagMilliseconds = 0 }
                }
            }
            if !isBehind { try? await Task.sleep(for: Self.interval) }
        }
    }

    private func publish(_ clone: ReleaseClone, lag: Int64) {
        state.withLock { state in
            state.status.state = .following
            state.status.reason = nil
            state.status.position = clone.position.description
            state.status.lagMilliseconds = lag
        }
    }
}
