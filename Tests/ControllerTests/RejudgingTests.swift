// Goal: what is recorded of a watched release is all that its judge took in. Method: the real engine, killed meanwhile;
// the recorded looks through a fresh judge.

import ControlModel
import Controller
import Logging
import Policies
import Releases
import Testing

@Suite(.serialized) struct RejudgingTests {
    private static func looks(_ id: ReleaseID, _ bench: Bench) async throws -> [RecordedLook] {
        let store = ReleaseStore(settings: bench.store, logger: Logger(label: "test"))
        let looks = try await store.looks(of: id, after: 0, limit: 100_000)
        await store.close()
        return looks
    }

    @Test(arguments: [false, true])
    func `a judge that was killed twice is the one that takes in the recorded looks at one go`(
        isFailing: Bool
    ) async throws {
        let bench = try await Bench {
            $0.cohort.steps = [.share(Share(basisPoints: 1_000)!, for: .seconds(3)), .share(.all, for: .seconds(1))]
        }
        let id = try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            let id = try await controller.trigger(second)
            try await until("three looks") { try await Self.looks(id, bench).count >= 3 }
            return id
        }
        try await bench.led { _ in
            let before = try await Self.looks(id, bench).count
            try await until("three more") { try await Self.looks(id, bench).count >= before + 3 }
        }
        if isFailing { bench.world.set { $0.behaviour = .failing } }
        let (end, again) = try await bench.led { controller in
            let end = try await controller.awaitEnd(id)
            return (end, try await controller.simulate(id, SimulationRequest()))
        }
        #expect(end.phase == (isFailing ? "rolled-back" : "promoted"))

        let looks = try await Self.looks(id, bench)
        #expect(looks.map(\.number) == Array(1...looks.count))
        var rejudging = Rejudging(id, policy: bench.policy)
        for look in looks { rejudging.take(look) }
        let store = ReleaseStore(settings: bench.store, logger: Logger(label: "test"))
        let progress = try await store.progress(of: id)
        #expect(progress != nil)
        #expect(rejudging.progress == progress)
        let facts = try await store.facts(of: id)
        await store.close()
        let verdicts = ReleaseState.replay(facts).verdicts
        let inputs = try #require(verdicts.last?.inputs)
        #expect(inputs.look == looks.count)
        #expect((inputs.wealth >= inputs.limit) == isFailing)
        #expect((again.rolledBackAt != nil) == isFailing)
        #expect(again.looks == looks.count)
        #expect(again.turns.last?.decision == (isFailing ? "roll-back" : "advance"))
    }

    @Test func `another policy says what it would have decided, and when`() async throws {
        let bench = try await Bench()
        bench.world.set { $0.behaviour = .good }
        try await bench.led { controller in
            _ = try await controller.awaitEnd(controller.trigger(first))
            bench.world.set { $0.behaviour = .failing }
            let id = try await controller.trigger(second)
            let end = try await controller.awaitEnd(id)
            #expect(end.phase == "rolled-back")
            var lenient = bench.policy
            lenient.watch.minimumFailures = 1_000_000
            lenient.traffic.listen = "127.0.0.1:8080"
            let other = try await controller.simulate(id, SimulationRequest(policy: PolicyFile.render(lenient)))
            #expect(other.rolledBackAt == nil)
            #expect(other.actual == end.message)
            let same = try await controller.simulate(id, SimulationRequest())
            #expect(same.rolledBackAt != nil)
            let (wealth, limit) = (try #require(same.wealth), try #require(same.limit))
            #expect(wealth >= limit)
        }
    }

    @Test func `a policy with a mistake and a release that was never watched are refused`() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let one = try await controller.trigger(first)
            _ = try await controller.awaitEnd(one)
            await #expect { try await controller.simulate(one, SimulationRequest()) } throws: {
                ($0 as? Refusal)?.kind == .notFound
            }
            let broken = SimulationRequest(policy: "watch: {false_alarms: 200%}")
            await #expect { try await controller.simulate(one, broken) } throws: {
                ($0 as? Refusal)?.kind == .refusedByPolicy
            }
        }
    }
}
