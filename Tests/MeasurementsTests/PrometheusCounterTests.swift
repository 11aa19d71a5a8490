// Goal: what a real Prometheus scraped from a process that counts both versions arrives as counted, and everything that
// makes it doubtful is no data.
// Method: Debian's Prometheus, scraping an HTTP server of the test five times a second.

import Measurements
import Ports
import PostgresSupport
import Releases
import Testing

@Suite("Prometheus's counters of both versions", .timeLimit(.minutes(5)))
struct PrometheusCounterTests {
    /// Scrapes of the last two seconds are known, instead of the last two minutes.
    private static let sources = MetricSources(window: .seconds(2)) { secret throws(Failure) in
        throw Failure("secret \(secret) is not set")
    }

    private func counters(
        at address: String, failures: String = "requests_total{outcome=\"failed\"}",
        requests: String = "requests_total",
        process: String = "instance"
    ) async -> MetricReading {
        var counters = Policy.PrometheusCounters(address: address, failures: failures, requests: requests)
        counters.processLabel = process
        var metric = Policy.Metric(name: "m", source: .counters(counters))
        metric.every = .seconds(1)
        return await Self.sources.read(metric)
    }

    private func scrapes(at address: String) async -> ScrapeReading? {
        guard case .counts(let reading) = await counters(at: address) else { return nil }
        return reading
    }

    @Test("gives every request and failure of both versions once, however often it is asked")
    func counts() async throws {
        let process = try await CountingProcess { counters in
            counters.served = ["stable": 1_000, "canary": 50, "tester": 9]
            counters.versions.append("tester")
        }
        let prometheus = try await PrometheusServer.start(targets: [process.address])
        var ledger = ScrapeLedger()
        var sum = ScrapeLedger.Counts()
        func take() async {
            guard let reading = await scrapes(at: prometheus.address) else { return }
            let counts = ledger.take(reading, heldMilliseconds: 1 << 40).counts
            sum.stableRequests += counts.stableRequests
            sum.stableFailures += counts.stableFailures
            sum.canaryRequests += counts.canaryRequests
            sum.canaryFailures += counts.canaryFailures
        }
        try await eventually("it is scraped") {
            await take()
            return ledger != ScrapeLedger()
        }
        #expect(sum == ScrapeLedger.Counts())
        for round in 1...20 {
            process.count("stable", served: 19 * round, failed: 1)
            process.count("canary", served: round, failed: round)
            process.count("tester", failed: 100)
            await take()
            await take()
        }
        var expected = ScrapeLedger.Counts()
        (expected.stableRequests, expected.stableFailures) = (19 * 210 + 20, 20)
        (expected.canaryRequests, expected.canaryFailures) = (420, 210)
        try await eventually("all is counted") {
            await take()
            return sum == expected
        }
        // Two more scrapes, and nothing twice.
        let seen = try #require(await scrapes(at: prometheus.address)?.scrapes.last?.at)
        try await eventually("it is scraped again") {
            await take()
            return await scrapes(at: prometheus.address)?.scrapes.last.map { $0.at > seen + 300 } == true
        }
        await take()
        #expect(sum == expected)
        await prometheus.stop()
        try await process.stop()
    }

    @Test("knows how old a scrape is by its own clock")
    func age() async throws {
        let process = try await CountingProcess()
        let prometheus = try await PrometheusServer.start(targets: [process.address])
        try await eventually("it is scraped") { await scrapes(at: prometheus.address) != nil }
        let reading = try #require(await scrapes(at: prometheus.address))
        let age = reading.answeredAt - reading.scrapes[reading.scrapes.count - 1].at
        // At most one second late, and the answer's own time; scraped five times a second.
        #expect((0...8_000).contains(age), "\(age) ms")
        #expect(reading.scrapes.map(\.at) == Set(reading.scrapes.map(\.at)).sorted())
        await prometheus.stop()
        try await process.stop()
    }

    @Test("of a process that restarts has no data for that interval, and goes on from there")
    func restart() async throws {
        let process = try await CountingProcess { $0.served = ["stable": 1_000, "canary": 50] }
        let prometheus = try await PrometheusServer.start(targets: [process.address])
        var ledger = ScrapeLedger()
        var requests: UInt64 = 0
        var reasons: Set<String> = []
        func take() async {
            guard let reading = await scrapes(at: prometheus.address) else { return }
            let news = ledger.take(reading, heldMilliseconds: 1 << 40)
            requests += news.counts.canaryRequests
            if let why = news.noData { reasons.insert(why) }
        }
        try await eventually("it is scraped") {
            await take()
            return ledger != ScrapeLedger()
        }
        process.restart()
        let restarted = "\(process.address) began to count anew: "
        try await eventually("the restart is seen") {
            await take()
            return reasons.contains { $0.hasPrefix(restarted) }
        }
        #expect(requests == 0)
        process.count("canary", served: 3)
        try await eventually("it counts again") {
            await take()
            return requests == 3
        }
        await prometheus.stop()
        try await process.stop()
    }

    @Test("of a process that disappears has no data")
    func disappears() async throws {
        let process = try await CountingProcess()
        let prometheus = try await PrometheusServer.start(targets: [process.address])
        try await eventually("it is scraped") { await scrapes(at: prometheus.address) != nil }
        try await process.stop()
        try await eventually("its last scrape is too old") {
            await counters(at: prometheus.address) == .noData("no series of requests in the last 2s")
        }
        await prometheus.stop()
    }

    @Test("of two processes that each count both versions has no data")
    func twoProcesses() async throws {
        let (first, second) = (try await CountingProcess(), try await CountingProcess())
        let prometheus = try await PrometheusServer.start(targets: [first.address])
        try await eventually("one is scraped") { await scrapes(at: prometheus.address) != nil }
        try prometheus.scrape([first.address, second.address])
        let names = [first.address, second.address].sorted().joined(separator: ", ")
        try await eventually("both are scraped") {
            await counters(at: prometheus.address)
                == .noData("seen by 2 processes (\(names)), one must see both versions: it only advises")
        }
        await prometheus.stop()
        try await first.stop()
        try await second.stop()
    }

    @Test("of one process a version has no data, for it is not one process that sees both")
    func processPerVersion() async throws {
        let stable = try await CountingProcess { $0.versions = ["stable"] }
        let canary = try await CountingProcess { $0.versions = ["canary"] }
        let prometheus = try await PrometheusServer.start(targets: [stable.address])
        try await eventually("stable's is scraped") {
            await counters(at: prometheus.address)
                == .noData("\(stable.address) shows no requests with version=\"canary\" in the last 2s")
        }
        try prometheus.scrape([stable.address, canary.address])
        try await eventually("both are scraped") {
            await counters(at: prometheus.address).why?.hasPrefix("seen by 2 processes (") == true
        }
        await prometheus.stop()
        try await stable.stop()
        try await canary.stop()
    }

    @Test("of another process in the first one's place begins anew")
    func anotherProcess() async throws {
        let first = try await CountingProcess { $0.served = ["stable": 10, "canary": 10] }
        let second = try await CountingProcess { $0.served = ["stable": 900, "canary": 900] }
        let prometheus = try await PrometheusServer.start(targets: [first.address])
        var ledger = ScrapeLedger()
        var requests: UInt64 = 0
        var reasons: Set<String> = []
        func take() async {
            switch await counters(at: prometheus.address) {
            case .counts(let reading):
                let news = ledger.take(reading, heldMilliseconds: 1 << 40)
                requests += news.counts.canaryRequests
                if let why = news.noData { reasons.insert(why) }
            case .noData(let why): reasons.insert(why)
            case .value: Issue.record("a number where counters were asked for")
            }
        }
        try await eventually("one is scraped") {
            await take()
            return ledger != ScrapeLedger()
        }
        try prometheus.scrape([second.address])
        try await eventually("the other one is seen") {
            await take()
            return reasons.contains("the process that counts was \(first.address) and is \(second.address)")
        }
        #expect(requests == 0)
        second.count("canary", served: 5)
        try await eventually("it counts on") {
            await take()
            return requests == 5
        }
        await prometheus.stop()
        try await first.stop()
        try await second.stop()
    }

    @Test("of what is no counter of both versions has no data, and says why")
    func wrongSelectors() async throws {
        let process = try await CountingProcess { counters in
            counters.others = """
                halves_total{version="stable"} 0.5
                halves_total{version="canary"} 1
                odd_total{version="stable"} NaN
                odd_total{version="canary"} 1
                less_total{version="stable"} -1
                less_total{version="canary"} 1
                other_total{version="blue"} 1
                stable_total{version="stable"} 1

                """
        }
        let prometheus = try await PrometheusServer.start(targets: [process.address])
        let address = prometheus.address
        try await eventually("it is scraped") { await scrapes(at: address) != nil }
        let labels = "instance=\"\(process.address)\",job=\"test\",version=\"stable\""
        let answers: [(failures: String, why: String)] = [
            ("missing_total", "no series of failures in the last 2s"),
            ("other_total", "no series of failures has version=\"stable\" or \"canary\""),
            ("stable_total", "\(process.address) shows no failures with version=\"canary\" in the last 2s"),
            ("halves_total", "a series counts 0.5: {__name__=\"halves_total\",\(labels)}"),
            ("odd_total", "a series counts NaN: {__name__=\"odd_total\",\(labels)}"),
            ("less_total", "a series counts -1: {__name__=\"less_total\",\(labels)}"),
        ]
        for (failures, why) in answers {
            #expect(await counters(at: address, failures: failures) == .noData(why), "\(failures)")
        }
        let unnamed = await counters(at: address, process: "pod")
        #expect(unnamed.why?.hasPrefix("a series has no label pod that names its process: {") == true, "\(unnamed)")
        let computed = await counters(at: address, requests: "rate(requests_total[1m])")
        #expect(computed.why?.hasPrefix("\(address) answers 400: ") == true, "\(computed)")
        await prometheus.stop()
        try await process.stop()
    }
}
