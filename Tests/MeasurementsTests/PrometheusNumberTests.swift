// Goal: one number that a real Prometheus answers is read as it is, and everything else is no data.
// Method: Debian's Prometheus, scraping HTTP servers of the test five times a second.

import Measurements
import Ports
import PostgresSupport
import Releases
import Testing

@Suite("Prometheus", .timeLimit(.minutes(5)))
struct PrometheusNumberTests {
    private func number(_ query: String, at address: String, timeout: Span = .seconds(5)) async -> MetricReading {
        var metric = Policy.Metric(
            name: "m", source: .prometheus(.init(address: address, query: query, limits: .init(max: 1))))
        metric.timeout = timeout
        return await MetricSources { secret throws(Failure) in throw Failure("secret \(secret) is not set") }.read(
            metric)
    }

    @Test("answers a query with one number, and everything else is no data")
    func numbers() async throws {
        let (first, second) = (
            try await CountingProcess { $0.others = "queue_length 7\n" }, try await CountingProcess()
        )
        let prometheus = try await PrometheusServer.start(targets: [first.address, second.address])
        let address = prometheus.address
        try await eventually("both are scraped") { await number("sum(up)", at: address) == .value(2) }
        let answers: [(String, MetricReading)] = [
            ("42", .value(42)), ("vector(-0.5)", .value(-0.5)), ("queue_length", .value(7)),
            ("up{instance=\"\(first.address)\"} + 1", .value(2)),
            ("up", .noData("2 series answer the query, one number is needed")),
            ("missing", .noData("no series answers the query, one number is needed")),
            ("queue_length > 100", .noData("no series answers the query, one number is needed")),
            ("0 / 0", .noData("the query answers NaN, one number is needed")),
            ("vector(1) / 0", .noData("the query answers +Inf, one number is needed")),
            ("-1 / 0", .noData("the query answers -Inf, one number is needed")),
            ("queue_length[1m]", .noData("a range answers the query, one number is needed")),
            ("\"queue\"", .noData("a text answers the query, one number is needed")),
        ]
        for (query, expected) in answers {
            #expect(await number(query, at: address) == expected, "\(query)")
        }
        let wrong = await number("sum(", at: address)
        #expect(wrong.why?.hasPrefix("\(address) answers 400: ") == true, "\(wrong)")
        await prometheus.stop()
        try await first.stop()
        try await second.stop()
    }

    @Test("that is frozen or gone is no data, and a number again when it goes on")
    func away() async throws {
        let prometheus = try await PrometheusServer.start()
        let address = prometheus.address
        #expect(await number("1", at: address) == .value(1))
        try prometheus.freeze(true)
        // It stops some moments after it was told to.
        try await eventually("it is frozen") {
            await number("1", at: address, timeout: .milliseconds(300))
                == .noData("\(address) did not answer within 300ms")
        }
        try prometheus.freeze(false)
        #expect(await number("1", at: address) == .value(1))
        await prometheus.stop()
        let gone = await number("1", at: address)
        #expect(gone.why?.hasPrefix("\(address) cannot be asked: ") == true, "\(gone)")
    }

    @Test("has no number of a process that went away, even while it remembers the last one")
    func staleNumber() async throws {
        let process = try await CountingProcess { $0.others = "queue_length 7\n" }
        let prometheus = try await PrometheusServer.start(targets: [process.address])
        try await eventually("it is scraped") { await number("queue_length", at: prometheus.address) == .value(7) }
        try await process.stop()
        try await eventually("its series ends") {
            await number("queue_length", at: prometheus.address)
                == .noData("no series answers the query, one number is needed")
        }
        await prometheus.stop()
    }
}
