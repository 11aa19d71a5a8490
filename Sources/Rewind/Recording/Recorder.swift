// The recording of one release: reads the slot's stream into the journal for as long as the release needs it.
//
// Durable first, acknowledged second: the server is told only positions that the journal has on disk. Whatever ends the
// connection or the disk's patience, the recorder goes back to the durable end and asks the server for the rest again.

import Logging
import Ports
import Postgres
import Releases
import Synchronization
import SystemPackage

/// Runs from ``start()`` to ``stop()``, or until the recording ends itself by breaking or by passing its budget.
final class Recorder: Sendable {
    struct Settings: Sendable {
        var budgetBytes: Int64
        /// How often the server is asked what it keeps because of our slot.
        var watchInterval = Duration.seconds(2)
        /// Longest wait before another attempt.
        var retryLimit = Duration.seconds(5)
        var segmentBytes = JournalWriter.defaultSegmentBytes

        init(budgetBytes: Int64) { self.budgetBytes = budgetBytes }
    }

    struct State: Sendable {
        var phase = RecordingStatus.State.recording
        /// Why it ended, or why it cannot go on for now.
        var reason: String?
        var durable = LogSequenceNumber.zero
        var tally = JournalTally()
        var heldBytes: Int64 = 0
        /// The stream runs.
        var isConnected = false
        var isStopping = false
        /// Somebody waits for the journal to get there.
        var wanted = LogSequenceNumber.zero
        var sentinel: String?
        var task: Task<Void, Never>?
    }

    let file: RecordingFile
    let folder: ReleaseFolder
    let server: ConnectionSettings
    let settings: Settings
    let storage: any JournalStorage
    let logger: Logger
    let state: Mutex<State>

    /// - Parameter server: the recorded database, with a role that may replicate.
    init(
        _ file: RecordingFile, in folder: ReleaseFolder, server: ConnectionSettings, settings: Settings,
        storage: (any JournalStorage)? = nil, logger: Logger
    ) {
        self.file = file
        self.folder = folder
        self.server = server
        self.settings = settings
        self.storage = storage ?? FolderStorage(folder.journal)
        var logger = logger
        logger[metadataKey: "release"] = "\(file.release)"
        self.logger = logger
        var state = State()
        if let end = file.end, end.state == .broken || end.state == .overBudget {
            state.phase = end.state
            state.reason = end.reason
            state.durable = LogSequenceNumber(end.durableLSN) ?? .zero
            state.tally = JournalTally(end)
            state.heldBytes = end.heldWALBytes
        }
        self.state = Mutex(state)
    }

    /// Nothing happens when it runs, or ended for ever.
    ///
    /// The task outlives this call on purpose: a recording lasts as long as its release, whoever asked for it. It ends with
    /// ``stop()``.
    func start() {
        state.withLock { state in
            guard state.task == nil, state.phase == .recording || state.phase == .stopped else { return }
            state.phase = .recording
            state.isStopping = false
            state.task = Task { await self.run() }
        }
    }

    /// Ends the recording's sessions. The slot stays: ``start()`` goes on without a gap.
    func stop() async {
        let task = state.withLock { state in
            state.isStopping = true
            return state.task
        }
        task?.cancel()
        await task?.value
        state.withLock { state in
            state.task = nil
            state.isConnected = false
            if state.phase == .recording { state.phase = .stopped }
        }
    }

    var status: RecordingStatus { state.withLock { RecordingStatus($0) } }

    /// - Throws: when the recording ended, or `position` is not durable in time.
    func awaitDurable(_ position: LogSequenceNumber, timeout: Duration) async throws(Failure) {
        state.withLock { $0.wanted = max($0.wanted, position) }
        try await wait("position \(position)", timeout) { $0.durable >= position }
    }

    /// Returns when the stream runs.
    func awaitStreaming(timeout: Duration) async throws(Failure) {
        try await wait("the stream", timeout) { $0.isConnected }
    }

    /// Returns when a message sent by ``Barrier/sendSentinel(_:_:on:)`` came through.
    func awaitSentinel(_ token: String, timeout: Duration) async throws(Failure) {
        try await wait("the sentinel message", timeout) { $0.sentinel == token }
    }

    private func wait(
        _ what: String, _ timeout: Duration, until isReached: (State) -> Bool
    ) async throws(Failure) {
        let end = ContinuousClock.now + timeout
        while true {
            let now = state.withLock { $0 }
            if isReached(now) { return }
            if now.phase != .recording {
                throw Failure(
                    "the recording of \(file.release) is \(now.phase.rawValue) at \(now.durable)"
                        + (now.reason.map { ": \($0)" } ?? ""))
            }
            guard ContinuousClock.now < end, !Task.isCancelled else {
                throw Failure(
                    "the recording of \(file.release) is at \(now.durable) and has not reached \(what)"
                        + (now.reason.map { ": \($0)" } ?? ""),
                    hint: "look at the slot: select * from pg_replication_slots where slot_name = '\(file.slot)'",
                    isTransient: true)
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    private func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.stream() }
            group.addTask { await self.watch() }
            // Either ends only when both have to.
            await group.next()
            group.cancelAll()
        }
        await leaveNothingBehind()
    }

    /// For ever, also after a restart.
    func end(_ phase: RecordingStatus.State, _ reason: String) {
        let isNews = state.withLock { state in
            guard state.phase == .recording else { return false }
            state.phase = phase
            state.reason = reason
            return true
        }
        guard isNews else { return }
        logger.error("recording ended", metadata: ["state": "\(phase.rawValue)", "reason": "\(reason)"])
        do {
            try writeEnd()
        } catch {
            logger.error("the end of the recording could not be written down", metadata: ["error": "\(error)"])
        }
    }

    /// The status as it is, for when this recorder is gone.
    func writeEnd() throws(Failure) {
        var file = file
        file.end = status
        try file.write(folder)
    }

    var isRunning: Bool { state.withLock { $0.phase == .recording && !$0.isStopping } && !Task.isCancelled }
}

extension Recorder: RecordingTail {
    var slot: String { file.slot }

    func durableEnd() async throws(Failure) -> LogSequenceNumber { state.withLock { $0.durable } }

    func canaryTransactions() async throws(Failure) -> Int { status.canaryTransactions }

    func suspend() async { await stop() }

    func resume() async throws(Failure) {
        // One that waits before it tries again would let the rollback wait with it.
        if state.withLock({ !$0.isConnected }) { await stop() }
        start()
        try await awaitStreaming(timeout: .seconds(10))
    }
}

extension RecordingStatus {
    init(_ state: Recorder.State) {
        self.init(
            state: state.phase, reason: state.reason, durableLSN: state.durable.description,
            stableTransactions: state.tally.stableTransactions, canaryTransactions: state.tally.canaryTransactions,
            canaryRows: state.tally.canaryRows, journalBytes: state.tally.bytes, heldWALBytes: state.heldBytes)
    }
}

extension JournalTally {
    init(_ status: RecordingStatus) {
        stableTransactions = status.stableTransactions
        canaryTransactions = status.canaryTransactions
        canaryRows = status.canaryRows
        bytes = status.journalBytes
    }
}
