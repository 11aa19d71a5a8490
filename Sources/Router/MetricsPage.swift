// What Prometheus reads: counters since the router started, in its text format. Pure.

import Analysis
import Traffic

/// What event loops contribute to a page of metrics.
struct MetricsReading: Sendable {
    /// Of releases that are over.
    var totals: Totals
    /// Of the release of the moment.
    var tally: Tally
    var status: LaneStatus
}

/// One page of `GET /metrics`.
///
/// No counter has the release among its labels: each would bring new time series. They count on from release to release
/// and begin at zero only with the process; `perch_router_info` says which release is served.
struct MetricsPage {
    /// Prometheus text exposition format.
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    /// Upper edges of the duration's buckets: 2^7 µs to 2^25 µs, edges of ``LatencyHistogram``, so counts are exact.
    static let doublings = 7...25

    private let service: String
    private var text = MetricsText()

    /// - Parameters:
    ///   - readings: one an event loop.
    ///   - startedAt: of the process, milliseconds since 1970.
    static func text(
        _ readings: [MetricsReading], table: RoutingTable?, service: String, boot: String, startedAt: Int64
    ) -> String {
        var totals = Totals()
        for reading in readings {
            totals.add(reading.totals)
            totals.add(reading.tally)
        }
        var page = MetricsPage(service: service)
        page.addRequests(totals)
        page.addDurations(totals)
        page.addMoment(readings.map(\.status), table: table)
        page.addProcess(table: table, boot: boot, startedAt: startedAt)
        return page.text.lines
    }

    private init(service: String) { self.service = service }

    private func labels(_ more: (String, String)...) -> [(String, String)] { [("service", service)] + more }

    private static func versions(_ totals: Totals) -> [(name: String, counts: VersionCounts, microseconds: UInt64)] {
        [
            ("stable", totals.stable, totals.stableMicroseconds), ("canary", totals.canary, totals.canaryMicroseconds),
        ]
    }

    private mutating func addRequests(_ totals: Totals) {
        let versions = Self.versions(totals)
        text.family(
            "perch_router_requests_total", .counter,
            "Settled requests by the version the cohort chose, outcome (ok, failed, aborted) and status class; "
                + "code is none where no whole response came.")
        for (version, counts, _) in versions {
            for (place, count) in counts.statusClasses.enumerated() {
                text.sample(
                    labels(("version", version), ("outcome", place < 4 ? "ok" : "failed"), ("code", "\(place + 1)xx")),
                    count)
            }
            let unanswered = counts.connectFailures + counts.resets + counts.timeouts
            text.sample(labels(("version", version), ("outcome", "failed"), ("code", "none")), unanswered)
            text.sample(labels(("version", version), ("outcome", "aborted"), ("code", "none")), counts.clientAborts)
        }
        text.family(
            "perch_router_failures_total", .counter,
            "Failed requests by version and kind: 5xx response, no connection (connect), connection lost (reset), timeout."
        )
        for (version, counts, _) in versions {
            for (kind, count) in [
                ("5xx", counts.statusClasses[4]), ("connect", counts.connectFailures), ("reset", counts.resets),
                ("timeout", counts.timeouts),
            ] {
                text.sample(labels(("version", version), ("kind", kind)), count)
            }
        }
        text.family(
            "perch_router_forced_requests_total", .counter,
            "Settled requests that a header forced to the canary; they are in no version.")
        text.sample(labels(), totals.forced)
        text.family(
            "perch_router_refused_requests_total", .counter,
            "Requests refused because there was no instance or too many were held; they are in no version.")
        text.sample(labels(), totals.refused)
    }

    private mutating func addDurations(_ totals: Totals) {
        text.family(
            "perch_router_request_duration_seconds", .histogram,
            "Time from a request's last byte to the last byte of its response, of answered requests.")
        for (version, counts, microseconds) in Self.versions(totals) {
            let all = counts.latency.total
            for doubling in Self.doublings {
                text.sample(
                    suffix: "_bucket",
                    labels(("version", version), ("le", MetricsText.seconds(microseconds: 1 << doubling))),
                    all - counts.latency.above(doubling * 8))
            }
            text.sample(suffix: "_bucket", labels(("version", version), ("le", "+Inf")), all)
            text.sample(suffix: "_sum", labels(("version", version)), MetricsText.seconds(microseconds: microseconds))
            text.sample(suffix: "_count", labels(("version", version)), all)
        }
    }

    private mutating func addMoment(_ lanes: [LaneStatus], table: RoutingTable?) {
        text.family(
            "perch_router_requests_in_flight", .gauge, "Requests under way by the version whose instances serve them.")
        text.sample(labels(("version", "stable")), UInt64(clamping: lanes.reduce(0) { $0 + $1.inFlightStable }))
        text.sample(labels(("version", "canary")), UInt64(clamping: lanes.reduce(0) { $0 + $1.inFlightCanary }))
        text.family("perch_router_held_requests", .gauge, "Requests that wait for a hold to end.")
        text.sample(labels(), UInt64(clamping: lanes.reduce(0) { $0 + $1.held }))
        guard let table else { return }
        text.family(
            "perch_router_canary_share_ratio", .gauge, "Share of the cohort keys that go to the canary, 0 to 1.")
        text.sample(labels(), "\(Double(table.canaryShare) / 10_000)")
        text.family("perch_router_instances", .gauge, "Instances in the routing table by version.")
        text.sample(labels(("version", "stable")), UInt64(table.stable.count))
        text.sample(labels(("version", "canary")), UInt64(table.canary.count))
        text.family("perch_router_table_epoch", .gauge, "Epoch of the routing table served.")
        text.sample(labels(), table.epoch)
        text.family(
            "perch_router_table_generation", .gauge, "Generation of the routing table served, within its epoch.")
        text.sample(labels(), table.generation)
    }

    private mutating func addProcess(table: RoutingTable?, boot: String, startedAt: Int64) {
        text.family("perch_router_info", .gauge, "1; the release whose table is served, and this run of the router.")
        text.sample(labels(("release", table?.release ?? ""), ("boot", boot)), 1)
        text.family(
            "process_start_time_seconds", .gauge, "Start time of the process since unix epoch in seconds.")
        text.sample([], MetricsText.seconds(microseconds: UInt64(clamping: startedAt) * 1_000))
    }
}
