// What the engine tells collectors, through swift-metrics. Labels are bounded: services and phases.

import Metrics
import Ports
import Releases

/// The engine's metrics of one service.
struct EngineMetrics: Sendable {
    private let service: String
    private let share: Gauge
    private let heldWAL: Gauge
    private let journal: Gauge
    private let cloneLag: Gauge
    private let tainted: Gauge
    private let decisions: Gauge

    init(service: ServiceName) {
        self.service = service.rawValue
        let dimensions = [("service", service.rawValue)]
        share = Gauge(label: "perch_canary_share_ratio", dimensions: dimensions)
        heldWAL = Gauge(label: "perch_recording_held_wal_bytes", dimensions: dimensions)
        journal = Gauge(label: "perch_recording_journal_bytes", dimensions: dimensions)
        cloneLag = Gauge(label: "perch_clone_lag_seconds", dimensions: dimensions)
        tainted = Gauge(label: "perch_clone_tainted_rows", dimensions: dimensions)
        decisions = Gauge(label: "perch_clone_open_decisions", dimensions: dimensions)
    }

    /// After facts were appended: the share, and how a release ended.
    func moved(to state: ReleaseState) {
        share.record(Double(state.share.basisPoints) / 10_000)
        guard state.phase.isTerminal else { return }
        Counter(
            label: "perch_releases_total", dimensions: [("service", service), ("outcome", state.phase.name)]
        ).increment()
        share.record(0)
        heldWAL.record(0)
    }

    func recorded(_ status: RecordingStatus) {
        heldWAL.record(Double(status.heldWALBytes))
        journal.record(Double(status.journalBytes))
        guard let clone = status.clone else { return }
        cloneLag.record(Double(clone.lagMilliseconds) / 1_000)
        tainted.record(Double(clone.taintedRows))
        decisions.record(Double(clone.decisionsOpen))
    }
}
