// Goal: metrics beside the router's counts do what the policy says of them. Method: the real engine on a real store, a
// world that says what it is told to.

import ControlModel
import Controller
import Logging
import Ports
import Releases
import Testing

@Suite(.serialized) struct MetricTests {
    private static func negativeTotals(_ then: Policy.Consequence) -> Policy.Metric {
        var metric = Policy.Metric(
            name: "negative-totals",
            source: .sql(
                .init(
                    sql: "select count(*) from orders where total < 0", url: .environment("PERCH_TEST_ADMIN"),
                    limits: .init(max: 0))))
        metric.every = .milliseconds(200)
        metric.then = then
        return metric
    }

    private static func bench(_ then: Policy.Consequence) async throws -> Bench {
        try await Bench {
            $0.watch.metrics = [negativeTotals(then)]
            $0.cohort.steps = [.share(Share(basisPoints: 1_000)!, for: .seconds(2))]
        }
    }

    /// A second release whose canary has traffic when the metric changes.
    private static func story(
        _ bench: Bench, _ changed: MetricReading, before: MetricReading = .value(0),
        _ body: @escaping @Sendable (ReleaseController, ReleaseID) async throws -> Void
    ) async throws {
        bench.world.set { $0.metrics["negative-totals"] = before }
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            let id = try await controller.trigger(second)
            try await controller.awaitPhase(id, "canary")
            bench.world.set { $0.metrics["negative-totals"] = changed }
            try await body(controller, id)
        }
    }

    @Test func `a number that leaves its limits while the canary has traffic rolls back`() async throws {
        let bench = try await Self.bench(.rollBack)
        try await Self.story(bench, .value(3)) { controller, id in
            let end = try await controller.awaitEnd(id)
            #expect(end.phase == "rolled-back")
            #expect(end.message.contains("metric negative-totals is 3, more than 0"))
            let again = try await controller.simulate(id, SimulationRequest())
            #expect(again.turns.last?.decision == "roll-back")
            #expect(again.turns.last?.why.contains("metric negative-totals is 3") == true)
        }
    }

    @Test func `a number that was outside its limits before only holds`() async throws {
        let bench = try await Self.bench(.rollBack)
        try await Self.story(bench, .value(3), before: .value(2)) { controller, id in
            try await until("it is on hold") {
                try await controller.release(id).comparison?.why.contains { $0.contains("so it only holds") } ?? false
            }
            #expect(try await controller.release(id).summary.phase == "canary")
            bench.world.set { $0.metrics["negative-totals"] = .value(0) }
            #expect(try await controller.awaitEnd(id).phase == "promoted")
        }
    }

    @Test(arguments: [MetricReading.value(1), .noData("nobody answers")])
    func `a step does not end while a metric is outside or unknown`(reading: MetricReading) async throws {
        let bench = try await Self.bench(.hold)
        try await Self.story(bench, reading) { controller, id in
            try await Task.sleep(for: .seconds(4))
            let shown = try await controller.release(id)
            #expect(shown.summary.phase == "canary", "\(shown.events.map(\.text))")
            #expect(shown.events.contains { $0.text.contains("metric negative-totals") })
            bench.world.set { $0.metrics["negative-totals"] = .value(0) }
            #expect(try await controller.awaitEnd(id).phase == "promoted")
        }
    }

    @Test func `advice is told once and stops nothing`() async throws {
        let bench = try await Self.bench(.advise)
        try await Self.story(bench, .value(9)) { controller, id in
            #expect(try await controller.awaitEnd(id).phase == "promoted")
            let told = try await controller.release(id).events.filter { $0.text.contains("negative-totals is 9") }
            #expect(told.count == 1)
        }
    }

    @Test func `a plan says how long each step takes at the present traffic`() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            let plan = try await controller.plan(of: service)
            #expect(plan.unit == "request")
            #expect(plan.rates == [1, 0.5, 0.05, 0.01])
            #expect(plan.steps.map(\.step) == ["10% for 500ms", "50% for 500ms"])
            await #expect { try await controller.plan(of: ServiceName(rawValue: "other")!) } throws: {
                ($0 as? Refusal)?.kind == .notFound
            }
        }
    }
}
