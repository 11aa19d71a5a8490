// Goal: a number rolls back only what it can know, no data is never a result, and every hold says why.
// Method: short stories of readings, told to the watch one by one.

import Foundation
import Ports
import Releases
import Testing

private func metric(
    _ then: Policy.Consequence, min: Double? = nil, max: Double? = 0, dryRun: Bool = false
) -> Policy.Metric {
    var metric = Policy.Metric(
        name: "totals",
        source: .sql(.init(sql: "select 1", url: .environment("A"), limits: .init(min: min, max: max))))
    (metric.then, metric.isDryRun, metric.every) = (then, dryRun, .seconds(10))
    return metric
}

/// What a watch says to readings ten seconds apart; the canary has traffic from reading `traffic` on.
private func story(_ metric: Policy.Metric, traffic: Int, _ readings: [MetricReading]) -> [MetricWatch.Finding] {
    var watch = MetricWatch(metric)
    return readings.enumerated().map { index, reading in
        watch.take(reading, beganAt: moment(index), canaryHadTraffic: index >= traffic)
    }
}

private func moment(_ index: Int) -> Instant { Instant(millisecondsSince1970: Int64(index) * 10_000) }

@Suite("A metric's readings")
struct MetricWatchTests {
    @Test("within its limits a metric says nothing, whatever follows from it", arguments: Policy.Consequence.allCases)
    func within(then: Policy.Consequence) {
        let readings: [MetricReading] = [.value(0), .value(-5), .value(0)]
        #expect(story(metric(then), traffic: 1, readings) == [.nothing, .nothing, .nothing])
    }

    @Test("what advises is said once, and no data of it is nobody's matter")
    func advises() {
        let readings: [MetricReading] = [.noData("x"), .value(2), .value(3), .value(0), .value(4)]
        #expect(
            story(metric(.advise), traffic: 1, readings)
                == [.nothing, .noted("metric totals is 2, more than 0"), .nothing, .nothing, .nothing])
    }

    @Test("what holds holds while it is outside its limits or not known")
    func holds() {
        let readings: [MetricReading] = [.value(0.5), .noData("the query answers no row"), .value(0), .value(-1.25)]
        #expect(
            story(metric(.hold, min: -1), traffic: 1, readings) == [
                .hold("metric totals is 0.5, more than 0"),
                .hold("metric totals has no data: the query answers no row"), .nothing,
                .hold("metric totals is -1.25, less than -1"),
            ])
    }

    @Test("two numbers in a row outside the limits roll back what was within them before")
    func rollsBack() {
        #expect(
            story(metric(.rollBack), traffic: 1, [.value(0), .value(2), .value(3)]) == [
                .nothing,
                .hold(
                    "metric totals is 2, more than 0; it was 0 before the canary got traffic, so one more reading like it "
                        + "rolls back"),
                .rollBack(
                    "metric totals is 3, more than 0, in 2 readings one after the other; it was 0 before the canary got "
                        + "traffic"),
            ])
    }

    @Test("one number outside and one within roll nothing back")
    func recovers() {
        let readings: [MetricReading] = [.value(0), .value(2), .value(0), .value(2), .value(0)]
        let findings = story(metric(.rollBack), traffic: 1, readings)
        #expect(findings.map(\.isRollBack) == [false, false, false, false, false])
        #expect(findings[2] == .nothing && findings[4] == .nothing)
    }

    @Test("no data between two numbers is neither of them")
    func noDataBetween() {
        let readings: [MetricReading] = [.value(0), .value(2), .noData("x"), .noData("x"), .value(2)]
        #expect(
            story(metric(.rollBack), traffic: 1, readings).map(\.isRollBack) == [false, false, false, false, true])
        let nothing = [MetricReading](repeating: .noData("x"), count: 5)
        #expect(
            story(metric(.rollBack), traffic: 1, nothing)
                == .init(repeating: .hold("metric totals has no data: x"), count: 5))
    }

    @Test("what was broken before the canary got traffic holds, and says so")
    func brokenBefore() {
        #expect(
            story(metric(.rollBack), traffic: 2, [.value(0), .value(1), .value(2), .value(3), .value(4)]) == [
                .nothing, .hold("metric totals is 1, more than 0, before the canary has any traffic"),
                .hold("metric totals is 2, more than 0; it was 1 before the canary got traffic, so it only holds"),
                .hold("metric totals is 3, more than 0; it was 1 before the canary got traffic, so it only holds"),
                .hold("metric totals is 4, more than 0; it was 1 before the canary got traffic, so it only holds"),
            ])
    }

    @Test("what was never known before the canary got traffic holds, and says so")
    func unknownBefore() {
        let findings = story(metric(.rollBack), traffic: 1, [.noData("x"), .value(2), .value(2), .value(2)])
        let held =
            "metric totals is 2, more than 0; no number is known from before the canary got traffic, so it only holds"
        #expect(findings.dropFirst() == [.hold(held), .hold(held), .hold(held)])
    }

    @Test("a dry run says once what would have followed, and holds nothing")
    func dryRun() {
        #expect(
            story(
                metric(.rollBack, dryRun: true), traffic: 1, [.value(0), .value(2), .noData("x"), .value(3), .value(3)])
                == [
                    .nothing, .nothing, .nothing,
                    .noted(
                        "metric totals is 3, more than 0, in 2 readings one after the other; it was 0 before the canary "
                            + "got traffic: it would roll back (dry run)"), .nothing,
                ])
        #expect(
            story(metric(.hold, dryRun: true), traffic: 1, [.noData("x"), .value(2), .value(3)])
                == [.nothing, .noted("metric totals is 2, more than 0: it would hold (dry run)"), .nothing])
        var watch = MetricWatch(metric(.hold, dryRun: true))
        _ = watch.take(.value(5), beganAt: moment(0), canaryHadTraffic: true)
        #expect(watch.standingHold(at: moment(0)) == nil && watch.standingHold(at: moment(100)) == nil)
    }

    @Test("a reading that is no later than another says nothing")
    func lateReadings() {
        var watch = MetricWatch(metric(.rollBack))
        _ = watch.take(.value(0), beganAt: moment(0), canaryHadTraffic: false)
        _ = watch.take(.value(2), beganAt: moment(1), canaryHadTraffic: true)
        #expect(watch.take(.value(2), beganAt: moment(1), canaryHadTraffic: true) == .nothing)
        #expect(watch.take(.value(0), beganAt: moment(0), canaryHadTraffic: true) == .nothing)
        #expect(watch.take(.value(2), beganAt: moment(2), canaryHadTraffic: true).isRollBack)
    }

    @Test("between readings the last one stands, until it is too old to be known")
    func standing() {
        var watch = MetricWatch(metric(.hold))
        #expect(watch.standingHold(at: moment(0)) == "metric totals was not read yet")
        #expect(watch.nextReading == nil)
        _ = watch.take(.value(1), beganAt: moment(0), canaryHadTraffic: true)
        #expect(watch.standingHold(at: moment(1)) == "metric totals is 1, more than 0")
        #expect(watch.nextReading == moment(1))
        _ = watch.take(.value(0), beganAt: moment(1), canaryHadTraffic: true)
        // 3 times 10s and the timeout of 5s.
        let lastKnown = Instant(millisecondsSince1970: 10_000 + 35_000)
        #expect(watch.standingHold(at: lastKnown) == nil)
        #expect(
            watch.standingHold(at: lastKnown.advanced(by: .milliseconds(1)))
                == "metric totals was read 35s ago and not since")
        var advising = MetricWatch(metric(.advise))
        _ = advising.take(.value(1), beganAt: moment(0), canaryHadTraffic: true)
        #expect(advising.standingHold(at: moment(0)) == nil && advising.standingHold(at: moment(9)) == nil)
    }

    @Test("counters hold while they are not known, and are judged elsewhere")
    func counters() {
        var counting = Policy.Metric(
            name: "mesh",
            source: .counters(.init(address: "http://127.0.0.1:9090", failures: "f", requests: "r")))
        counting.then = .rollBack
        let reading = ScrapeReading(
            scrapes: [
                VersionScrape(
                    process: "a", at: 1, stable: .init(failures: ["s": 0], requests: ["s": 1]),
                    canary: .init(failures: ["c": 1], requests: ["c": 1]))
            ], answeredAt: 2)
        #expect(
            story(counting, traffic: 1, [.noData("x"), .counts(reading), .counts(reading)])
                == [.hold("metric mesh has no data: x"), .nothing, .nothing])
    }

    @Test("a watch goes on after it was written and read again")
    func codable() throws {
        var watch = MetricWatch(metric(.rollBack))
        _ = watch.take(.value(0), beganAt: moment(0), canaryHadTraffic: false)
        _ = watch.take(.value(2), beganAt: moment(1), canaryHadTraffic: true)
        var read = try JSONDecoder().decode(MetricWatch.self, from: JSONEncoder().encode(watch))
        #expect(read == watch)
        #expect(read.take(.value(2), beganAt: moment(2), canaryHadTraffic: true).isRollBack)
    }
}

extension MetricWatch.Finding {
    fileprivate var isRollBack: Bool {
        if case .rollBack = self { return true }
        return false
    }
}
