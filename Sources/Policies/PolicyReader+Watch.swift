// When a version counts as bad.

import Releases

extension PolicyReader {
    /// - Parameter policy: Its cohort and its database are read already.
    mutating func readWatch(_ policy: inout Policy, _ section: Section) {
        set(&policy.watch.minimumRequests, section, "minimum_requests", integer(1...1_000_000_000))
        let noData = self.section(section, "no_data")
        set(&policy.watch.noDataWait, noData, "wait", someSpan)
        set(&policy.watch.noDataThen, noData, "then", word(Policy.NoData.self))
        set(&policy.watch.minimumFailures, section, "minimum_failures", integer(1...1_000_000))
        set(&policy.watch.falseAlarmsBasisPoints, section, "false_alarms", basisPoints(1...5_000))
        set(&policy.watch.sharedIncident, section, "shared_incident", word(Policy.SharedIncident.self))
        set(&policy.watch.settle, section, "settle", span(from: .zero))
        readErrors(&policy.watch.errors, self.section(section, "errors"))
        readLatency(&policy.watch.latency, section)
        setUniqueList(&policy.watch.routes, section, "routes", routePattern)
        if policy.watch.routes.count > Self.mostRoutes {
            complain(
                section.place(of: "routes"), section.path(of: "routes"),
                "routes has \(policy.watch.routes.count) routes, more than \(Self.mostRoutes)",
                hint: "a prefix such as /api/orders/* takes many paths at once")
        }
        policy.watch.metrics = metrics(section, policy)
    }

    private static let mostRoutes = 16

    private mutating func readErrors(_ errors: inout Policy.Errors, _ section: Section) {
        set(&errors.maxBasisPoints, section, "max", basisPoints)
        set(&errors.times, section, "times", number(1...10))
        set(&errors.worseByBasisPoints, section, "worse_by", basisPoints(0...5_000))
        set(&errors.provenBasisPoints, section, "proven", basisPoints(1...5_000))
        set(&errors.weight, section, "weight", weight)
        set(&errors.isDryRun, section, "dry_run", boolean)
    }

    /// Words of its own and quantiles stand side by side here.
    private mutating func readLatency(_ latency: inout Policy.Latency, _ watch: Section) {
        let path = watch.path(of: "latency")
        guard let written = watch.entries["latency"], let entries = entries(of: written.value, path: path) else {
            return
        }
        func isQuantile(_ key: String) -> Bool {
            key.hasPrefix("p") && key.utf8.dropFirst().first.map { (0x30...0x39).contains($0) } == true
        }
        let words = Located(
            place: written.value.place, content: .map(entries.filter { !isQuantile($0.key) }))
        let section = section(of: words, path: path, shape: path, place: written.place)
        set(&latency.worseByBasisPoints, section, "worse_by", slowdown)
        set(&latency.plus, section, "plus", span(from: .zero, to: .hours(1)))
        set(&latency.weight, section, "weight", weight)
        set(&latency.isDryRun, section, "dry_run", boolean)
        readQuantiles(&latency.quantilesPerMille, section)

        var limits: [Policy.LatencyLimit] = []
        for entry in entries where isQuantile(entry.key) {
            let name = Located(place: entry.place, content: .text(entry.key))
            let limit = self.section(
                of: entry.value, path: "\(path).\(entry.key)", shape: "watch.latency.*", place: entry.place)
            let perMille = read(name, path: path, quantile)
            let max = required(limit, "max", hint: "write \(entry.key): {max: 400ms}", someSpan)
            if let perMille, let max { limits.append(Policy.LatencyLimit(quantilePerMille: perMille, max: max)) }
        }
        latency.max = limits.sorted { $0.quantilePerMille < $1.quantilePerMille }
    }

    private mutating func readQuantiles(_ quantiles: inout [Int], _ section: Section) {
        guard section.entries["quantiles"] != nil else { return }
        let before = mistakes.count
        setUniqueList(&quantiles, section, "quantiles", quantile)
        quantiles.sort()
        guard mistakes.count == before, !(1...8).contains(quantiles.count) else { return }
        complain(
            section.place(of: "quantiles"), section.path(of: "quantiles"),
            "quantiles must name one to eight quantiles, not \(quantiles.count)",
            hint: "worse_by: off compares none")
    }
}
