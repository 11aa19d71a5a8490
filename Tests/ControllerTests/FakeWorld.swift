// A small deterministic world behind the controller's ports: instances that start, a router that counts what it is told to,
// a database side that records what was asked. Everything observable, nothing timed.

import Analysis
import Controller
import Foundation
import Ports
import Releases
import Synchronization
import Traffic

/// What the canary does to its users.
enum CanaryBehaviour: Sendable {
    case good, failing, silent
}

final class FakeWorld: Sendable {
    struct State {
        var instances: [String: Instance] = [:]
        var nextPort = 20_000
        var table: RoutingTable?
        var tables: [RoutingTable] = []
        var stable = VersionCounts()
        var canary = VersionCounts()
        var hold: String?
        var calls: [String] = []
        var behaviour = CanaryBehaviour.good
        /// What metrics say, by name.
        var metrics: [String: MetricReading] = [:]
        /// Calls that fail for good, with the message.
        var failing: [String: String] = [:]
        /// Calls that never return until cancelled.
        var hanging: Set<String> = []
        var recorded: Set<ReleaseID> = []
        var shares: [ShareCounts] = []
        var recordingState = RecordingStatus.State.recording
        var quarantine: [QuarantinedChange] = []
        /// By entry, as the decisions.
        var rowsNow: [Int: QuarantinedRow] = [:]
        var decisions: [Int: QuarantineDecision] = [:]
    }

    let state = Mutex(State())

    var calls: [String] { state.withLock { $0.calls } }
    var table: RoutingTable? { state.withLock { $0.table } }
    func set(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    /// Notes the call, then fails or hangs when the test wants it to.
    func called(_ name: String) async throws(Failure) {
        let (failure, hangs) = state.withLock { state -> (String?, Bool) in
            state.calls.append(name)
            return (state.failing[name], state.hanging.contains(name))
        }
        if let failure { throw Failure(failure) }
        guard hangs else { return }
        do {
            try await Task.sleep(for: .seconds(600))
        } catch {
            throw Failure("cancelled", isTransient: true)
        }
    }

    var ports: ControllerPorts {
        ControllerPorts(platform: self, traffic: self, source: self, data: self, evidence: self, metrics: self)
    }
}

extension FakeWorld: PlatformPort {
    func prepare(commit: CommitID, policy: Policy) async throws(Failure) { try await called("prepare") }

    func start(_ spec: InstanceSpec) async throws(Failure) -> Instance {
        try await called("start \(spec.arm)")
        return state.withLock { state in
            if let running = state.instances[spec.name] { return running }
            state.nextPort += 1
            let instance = Instance(
                name: spec.name, service: spec.service, arm: spec.arm, commit: spec.commit, host: "127.0.0.1",
                port: state.nextPort)
            state.instances[spec.name] = instance
            return instance
        }
    }

    func awaitReady(_ instance: Instance, process: Policy.Process) async throws(Failure) {
        try await called("ready \(instance.arm)")
    }

    func health(of instance: Instance, process: Policy.Process) async -> InstanceHealth {
        state.withLock { $0.instances[instance.name] != nil } ? .ready : .exited(status: "exit 1", lines: ["boom"])
    }

    func stop(name: String, drain: Span) async throws(Failure) {
        try await called("stop")
        state.withLock { state in
            let backends = (state.table?.stable ?? []) + (state.table?.canaryShare ?? 0 > 0 ? state.table!.canary : [])
            if backends.contains(where: { $0.name == name }) { state.calls.append("STOPPED WHILE ROUTED \(name)") }
            state.instances[name] = nil
        }
    }

    func running(service: ServiceName) async -> [Instance] {
        state.withLock { state in state.instances.values.filter { $0.service == service } }
    }

    func output(name: String, lines: Int) async -> [String] { ["boom"] }
}

extension FakeWorld: TrafficPort {
    func apply(_ table: RoutingTable, listen: String, metrics: String?) async throws(Failure) {
        try await called("apply")
        let isOld = state.withLock { state -> Bool in
            if let now = state.table, (table.epoch, table.generation) <= (now.epoch, now.generation) { return true }
            if state.table?.release != table.release {
                state.stable = VersionCounts()
                state.canary = VersionCounts()
                state.shares = []
            }
            state.table = table
            state.tables.append(table)
            return false
        }
        if isOld { throw Failure("an older table") }
    }

    func table(service: ServiceName) async throws(Failure) -> RoutingTable? { table }

    /// Each look counts 10 000 more requests, split as the table says.
    func report(service: ServiceName, overdueAfter: Duration) async throws(Failure) -> RouterReport {
        state.withLock { state in
            let share = state.table?.canaryShare ?? 0
            let (toCanary, toStable) =
                state.behaviour == .silent ? (0, 0) : (UInt64(share), 10_000 - UInt64(share))
            let index = state.shares.firstIndex { $0.share == share } ?? state.shares.endIndex
            if index == state.shares.endIndex { state.shares.append(ShareCounts(share: share)) }
            let isFailing = state.behaviour == .failing
            state.stable.count(toStable)
            state.shares[index].stable.settled.count(toStable)
            state.canary.count(toCanary, isFailing: isFailing)
            state.shares[index].canary.settled.count(toCanary, isFailing: isFailing)
            return RouterReport(
                boot: "b", epoch: state.table?.epoch ?? 0, generation: state.table?.generation ?? 0,
                release: state.table?.release ?? "", at: Instant.now.millisecondsSince1970, stable: state.stable,
                canary: state.canary, counts: TrafficCounts(boot: "b", shares: state.shares), forced: 0, refused: 0,
                inFlightStable: 0, inFlightCanary: 0,
                hold: state.hold.map { HoldState(name: $0, queued: 0, inFlight: 0, since: 0) }, recent: [])
        }
    }

    func samples(service: ServiceName) async throws(Failure) -> SampleReport {
        SampleReport(
            release: table?.release ?? "", samples: [], dropped: 0, firstFailureAt: Instant.now.millisecondsSince1970)
    }

    func hold(service: ServiceName, _ request: HoldRequest) async throws(Failure) -> HoldState {
        try await called("hold")
        state.withLock { $0.hold = request.name }
        return HoldState(name: request.name, queued: 0, inFlight: 0, since: 0)
    }

    func letGo(service: ServiceName, name: String) async throws(Failure) {
        try await called("let go")
        state.withLock { $0.hold = nil }
    }
}

extension FakeWorld: SourcePort {
    func resolve(_ name: String, repository: String) async throws(Failure) -> CommitID {
        guard let id = CommitID(rawValue: name) else { throw Failure("'\(name)' is not a commit of \(repository)") }
        return id
    }

    func commits(from: CommitID, to: CommitID, repository: String) async throws(Failure) -> [CommitSummary] { [] }
}

extension FakeWorld: DataPort {
    func preflight(_ policy: Policy) async -> [Finding] {
        state.withLock { $0.failing["preflight"] }.map { [Finding(level: .failure, check: "wal_level", message: $0)] }
            ?? []
    }

    func databaseURL(for arm: Arm, policy: Policy) async throws(Failure) -> String { "postgres://\(arm)@/shop" }

    func snapshot(
        release: ReleaseID, policy: Policy, progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> SnapshotSummary {
        try await called("snapshot")
        state.withLock { _ = $0.recorded.insert(release) }
        return SnapshotSummary(
            lsn: "0/10", systemIdentifier: "1", serverVersion: "15", tables: 1, bytes: 1, tookMilliseconds: 1)
    }

    func resumeRecording(release: ReleaseID, policy: Policy) async throws(Failure) { try await called("resume") }

    func recording(release: ReleaseID) async -> RecordingStatus? {
        state.withLock { state in
            guard state.recorded.contains(release) else { return nil }
            return RecordingStatus(
                state: state.recordingState, reason: nil, durableLSN: "0/20", stableTransactions: 5,
                canaryTransactions: 2, canaryRows: 3, journalBytes: 1, heldWALBytes: 0)
        }
    }

    func fenceCanary(release: ReleaseID, policy: Policy) async throws(Failure) { try await called("fence") }

    func rewind(
        release: ReleaseID, policy: Policy, gate: any SwitchGate,
        progress: @escaping @Sendable (String) async -> Void
    ) async throws(Failure) -> RewindSummary {
        try await called("rewind")
        try await gate.hold(deadline: .seconds(5))
        try await gate.reconnect()
        await gate.letGo()
        return RewindSummary(mode: "swap", stableTransactionsReplayed: 5, canaryTransactionsKeptOut: 2)
    }

    func stopRecording() async {}
    func endRecording(release: ReleaseID, policy: Policy) async throws(Failure) { try await called("end recording") }

    func cleanUp(release: ReleaseID, policy: Policy) async throws(Failure) { try await called("clean up") }
    func tidyUp(policy: Policy, now: Instant) async throws(Failure) -> [String] { [] }
    func quarantine(release: ReleaseID) async throws(Failure) -> [QuarantinedChange] {
        state.withLock { state in
            state.quarantine.map { entry in
                var entry = entry
                entry.decision = state.decisions[entry.id]
                if entry.decision != nil { entry.isOpen = false }
                return entry
            }
        }
    }

    func quarantinedRows(
        release: ReleaseID, policy: Policy, ids: [Int]
    ) async throws(Failure) -> [Int: QuarantinedRow] {
        try await called("quarantined rows")
        return state.withLock { state in state.rowsNow.filter { ids.contains($0.key) } }
    }

    func applyQuarantine(
        release: ReleaseID, policy: Policy, _ order: QuarantineOrder
    ) async throws(Failure) -> [QuarantineWrite] {
        try await called("apply quarantine")
        return try state.withLock { state throws(Failure) in
            for (id, row) in order.seen where state.rowsNow[id] != row { throw Failure("entry \(id) has changed") }
            var writes: [QuarantineWrite] = []
            for entry in state.quarantine where order.ids.contains(entry.id) {
                guard let row = entry.image(order.side ?? .canary), row != state.rowsNow[entry.id] else { continue }
                writes.append(
                    QuarantineWrite(
                        operation: .update, table: entry.table, key: entry.key, from: state.rowsNow[entry.id]?.row,
                        to: row.row))
                guard !order.isRehearsal else { continue }
                state.rowsNow[entry.id] = row
                state.decisions[entry.id] = QuarantineDecision(
                    how: .applied, side: order.side ?? .canary, person: order.person, reason: order.reason,
                    at: order.at.millisecondsSince1970)
            }
            return writes
        }
    }

    func discardQuarantine(
        release: ReleaseID, ids: [Int], person: String, reason: String?, at: Instant
    ) async throws(Failure) {
        try await called("discard")
        state.withLock { state in
            for id in ids {
                state.decisions[id] = QuarantineDecision(
                    how: .discarded, side: nil, person: person, reason: reason, at: at.millisecondsSince1970)
            }
        }
    }

    func undoHeal(
        release: ReleaseID, policy: Policy, skipsChanged: Bool, isRehearsal: Bool
    ) async throws(Failure) -> HealUndone {
        try await called("undo heal")
        var undone = HealUndone()
        undone.rows = 2
        return undone
    }

    func exportRecording(
        release: ReleaseID, policy: Policy, to sink: @escaping @Sendable (String) async throws -> Void
    ) async throws(Failure) {}
}

extension FakeWorld: MetricPort {
    func read(_ metric: Policy.Metric) async -> MetricReading {
        state.withLock { $0.metrics[metric.name] ?? .noData("nobody knows") }
    }
}

extension FakeWorld: EvidencePort {
    func report(on incident: Incident) async -> ReportDocuments {
        ReportDocuments(json: "{\"release\":\"\(incident.release)\"}", markdown: "# \(incident.release)")
    }
}

extension VersionCounts {
    fileprivate mutating func count(_ more: UInt64, isFailing: Bool = false) {
        requests += more
        statusClasses[isFailing ? 4 : 1] += more
        latency.record(microseconds: 1_000, count: more)
    }
}
