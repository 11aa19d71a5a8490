// Counters of both versions as one process showed them, scrape by scrape.
//
// A range selector gives the samples as they were scraped, with the moment of each scrape; all samples of one scrape
// have the same moment. Nothing is extrapolated, so what is counted is what the process counted.

import Ports
import Releases

extension Prometheus {
    /// The scrapes of the last `window`.
    ///
    /// - Throws: unless exactly one process shows requests and failures of both versions.
    func counters(_ counters: Policy.PrometheusCounters, window: Span) async throws(NoData) -> ScrapeReading {
        let range = "[\(window.milliseconds)ms]"
        let requests = try await ask(counters.requests + range)
        let failures = try await ask(counters.failures + range)
        let scrapes = try Scrapes(counters, window: window).read(
            requests: try series(requests.result, "requests"), failures: try series(failures.result, "failures"))
        return ScrapeReading(scrapes: scrapes, answeredAt: failures.at)
    }

    private func series(
        _ result: PrometheusResult, _ what: String
    ) throws(NoData) -> [PrometheusResult.RangeSeries] {
        guard case .matrix(let series) = result else { throw NoData("\(what) selects no counters") }
        return series
    }
}

/// From series of samples to scrapes of one process.
struct Scrapes {
    private let counters: Policy.PrometheusCounters
    private let window: Span

    init(_ counters: Policy.PrometheusCounters, window: Span) {
        self.counters = counters
        self.window = window
    }

    private enum Kind: String, CaseIterable { case requests, failures }

    /// One counter of one version.
    private struct Counter {
        var kind: Kind
        var arm: Arm
        var process: String
        var labels: String
        /// Moment of the scrape -> what it showed.
        var values: [Int64: UInt64]
    }

    func read(
        requests: [PrometheusResult.RangeSeries], failures: [PrometheusResult.RangeSeries]
    ) throws(NoData) -> [VersionScrape] {
        let all = try found(.requests, requests) + found(.failures, failures)
        let processes = Set(all.map(\.process)).sorted()
        guard processes.count == 1 else {
            let names = processes.prefix(4).joined(separator: ", ")
            throw NoData("seen by \(processes.count) processes (\(names)), one must see both versions: it only advises")
        }
        for kind in Kind.allCases {
            for arm in Arm.allCases where !all.contains(where: { $0.kind == kind && $0.arm == arm }) {
                throw NoData(
                    "\(processes[0]) shows no \(kind.rawValue) with \(counters.versionLabel)=\"\(value(of: arm))\" "
                        + "in the last \(window)")
            }
        }
        let scrapes = Set(all.flatMap(\.values.keys)).sorted().compactMap { scrape(at: $0, all, processes[0]) }
        guard !scrapes.isEmpty else {
            throw NoData("no scrape of \(processes[0]) in the last \(window) shows both versions")
        }
        return scrapes
    }

    private func value(of arm: Arm) -> String { arm == .stable ? counters.stable : counters.canary }

    private func found(_ kind: Kind, _ series: [PrometheusResult.RangeSeries]) throws(NoData) -> [Counter] {
        guard !series.isEmpty else { throw NoData("no series of \(kind.rawValue) in the last \(window)") }
        var found: [Counter] = []
        for one in series {
            // Requests of neither version, such as testers', are somebody else's.
            guard let arm = Arm.allCases.first(where: { value(of: $0) == one.metric[counters.versionLabel] }) else {
                continue
            }
            let labels = one.metric.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }
                .joined(separator: ",")
            guard let process = one.metric[counters.processLabel], !process.isEmpty else {
                throw NoData("a series has no label \(counters.processLabel) that names its process: {\(labels)}")
            }
            guard let samples = one.values else { throw NoData("a series is a histogram: {\(labels)}") }
            var values: [Int64: UInt64] = [:]
            for sample in samples {
                // A Double counts exactly up to 2^53.
                guard let number = Double(sample.value), let count = UInt64(exactly: number), count <= 1 << 53 else {
                    throw NoData("a series counts \(sample.value.prefix(40)): {\(labels)}")
                }
                values[sample.at] = count
            }
            found.append(Counter(kind: kind, arm: arm, process: process, labels: labels, values: values))
        }
        guard !found.isEmpty else {
            throw NoData(
                "no series of \(kind.rawValue) has \(counters.versionLabel)=\"\(counters.stable)\" or "
                    + "\"\(counters.canary)\"")
        }
        return found
    }

    /// What was shown at one moment; nil when a version or a kind is missing there.
    private func scrape(at moment: Int64, _ all: [Counter], _ process: String) -> VersionScrape? {
        func values(_ kind: Kind, _ arm: Arm) -> [String: UInt64] {
            var values: [String: UInt64] = [:]
            for counter in all where counter.kind == kind && counter.arm == arm {
                if let value = counter.values[moment] { values[counter.labels] = value }
            }
            return values
        }
        func counters(_ arm: Arm) -> VersionScrape.Counters? {
            let (requests, failures) = (values(.requests, arm), values(.failures, arm))
            guard !requests.isEmpty, !failures.isEmpty else { return nil }
            return VersionScrape.Counters(failures: failures, requests: requests)
        }
        guard let stable = counters(.stable), let canary = counters(.canary) else { return nil }
        return VersionScrape(process: process, at: moment, stable: stable, canary: canary)
    }
}
