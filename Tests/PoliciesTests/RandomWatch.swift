// Random valid ways of judging, for the properties that must hold of every policy.

import Releases

/// - Parameter policy: What it is for: some metrics need a database, or requests as what is given to versions.
func randomWatch(_ policy: Policy, _ random: inout SeededGenerator) -> Policy.Watch {
    func flip(_ random: inout SeededGenerator) -> Bool { Bool.random(using: &random) }
    func number(_ range: ClosedRange<Int>, _ random: inout SeededGenerator) -> Int {
        Int.random(in: range, using: &random)
    }

    var watch = Policy.Watch()
    watch.minimumRequests = number(1...1_000_000, &random)
    watch.noDataWait = someSpan(&random)
    watch.noDataThen = Policy.NoData.allCases.randomElement(using: &random)!
    watch.minimumFailures = number(1...1_000_000, &random)
    watch.falseAlarmsBasisPoints = number(1...5_000, &random)
    watch.sharedIncident = Policy.SharedIncident.allCases.randomElement(using: &random)!
    watch.settle = flip(&random) ? nil : someSpan(&random)
    watch.errors.maxBasisPoints = number(0...10_000, &random)
    watch.errors.times = [1, 10, Double.random(in: 1...10, using: &random)].randomElement(using: &random)!
    watch.errors.worseByBasisPoints = number(0...5_000, &random)
    watch.errors.provenBasisPoints = number(1...5_000, &random)
    watch.errors.weight = randomWeight(&random)
    watch.errors.isDryRun = flip(&random)
    watch.latency.worseByBasisPoints = flip(&random) ? nil : number(0...10_000, &random)
    watch.latency.plus = .milliseconds(Int64.random(in: 0...3_600_000, using: &random))
    watch.latency.quantilesPerMille = someQuantiles(1...8, &random)
    watch.latency.weight = randomWeight(&random)
    watch.latency.isDryRun = flip(&random)
    watch.latency.max = someQuantiles(0...4, &random).map {
        Policy.LatencyLimit(quantilePerMille: $0, max: someSpan(&random))
    }
    watch.routes = ["/", "/*", "/checkout", "/api/orders/*", "/a%20b", "/no/"].filter { _ in flip(&random) }
    for index in 0..<number(0...16, &random) where flip(&random) {
        watch.metrics.append(randomMetric("\(["m", "null-", "0", "-"][index % 4])\(index)", policy, &random))
    }
    return watch
}

private func randomMetric(_ name: String, _ policy: Policy, _ random: inout SeededGenerator) -> Policy.Metric {
    let address = [
        "http://127.0.0.1:9090", "http://[::1]:9090/", "http://prometheus.internal/mesh-1", "http://localhost",
    ].randomElement(using: &random)!
    var metric: Policy.Metric
    var consequences = Policy.Consequence.allCases
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
        let url = Secret.file("/" + awkwardText(&random))
        metric = Policy.Metric(
            name: name,
            source: .sql(.init(sql: "select 1" + awkwardText(&random), url: url, limits: randomLimits(&random))))
    case 1:
        metric = Policy.Metric(
            name: name,
            source: .prometheus(
                .init(address: address, query: "up" + awkwardText(&random), limits: randomLimits(&random))))
        consequences = [.hold, .advise]
    default:
        var counters = Policy.PrometheusCounters(
            address: address, failures: #"a:b_total{x="}",y=~'\'('}"#, requests: "{__name__=`\\{`}")
        counters.versionLabel = ["version", "no", "_"].randomElement(using: &random)!
        counters.stable = "s" + awkwardText(&random)
        counters.canary = "c" + awkwardText(&random)
        counters.processLabel = ["instance", "y"].randomElement(using: &random)!
        counters.weight = randomWeight(&random)
        metric = Policy.Metric(name: name, source: .counters(counters))
        if policy.cohort.by != [.request] { consequences = [.hold, .advise] }
    }
    metric.every = .milliseconds(Int64.random(in: 1_000...3_600_000, using: &random))
    metric.timeout = .milliseconds(Int64.random(in: 100...60_000, using: &random))
    metric.then = consequences.randomElement(using: &random)!
    metric.isDryRun = Bool.random(using: &random)
    return metric
}

private func randomLimits(_ random: inout SeededGenerator) -> Policy.Limits {
    func someNumber(_ random: inout SeededGenerator) -> Double {
        [
            0, -1, 1e300, .leastNonzeroMagnitude, 0.1, -12.5,
            Double(Int.random(in: -1_000_000...1_000_000, using: &random)),
            Double.random(in: -1...1, using: &random),
        ].randomElement(using: &random)!
    }
    let numbers = [someNumber(&random), someNumber(&random)].sorted()
    switch Int.random(in: 0..<3, using: &random) {
    case 0: return Policy.Limits(min: numbers[0])
    case 1: return Policy.Limits(max: numbers[1])
    default: return Policy.Limits(min: numbers[0], max: numbers[1])
    }
}

private func randomWeight(_ random: inout SeededGenerator) -> Double {
    [0.01, 0.3, 1, 100, Double.random(in: 0.01...100, using: &random)].randomElement(using: &random)!
}

private func someQuantiles(_ count: ClosedRange<Int>, _ random: inout SeededGenerator) -> [Int] {
    var quantiles: Set<Int> = []
    let wanted = Int.random(in: count, using: &random)
    while quantiles.count < wanted { quantiles.insert(Int.random(in: 1...999, using: &random)) }
    return quantiles.sorted()
}
