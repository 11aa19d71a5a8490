// Goal: which instance, which retry, which table, which samples. Method: the pure rules as tables.

import Testing
import Traffic

@testable import Router

private func load(_ inFlight: Int, full: Bool = false, aside: Bool = false, tried: Bool = false) -> InstanceLoad {
    InstanceLoad(inFlight: inFlight, isFull: full, isAside: aside, wasTried: tried)
}

@Suite struct RuleTests {
    @Test func `least in flight takes a request, equals take turns`() {
        #expect(InstanceChoice(among: [load(2), load(1), load(3)], turn: 0) == .instance(1))
        let turns = (0..<4).map { InstanceChoice(among: [load(0), load(0)], turn: $0) }
        #expect(turns == [.instance(0), .instance(1), .instance(0), .instance(1)])
    }

    @Test func `an instance put aside is used when no other is left`() {
        #expect(InstanceChoice(among: [load(0, aside: true), load(9)], turn: 0) == .instance(1))
        #expect(InstanceChoice(among: [load(0, aside: true), load(9, tried: true)], turn: 0) == .instance(0))
        #expect(InstanceChoice(among: [load(0, tried: true)], turn: 0) == .none)
        #expect(InstanceChoice(among: [load(0, tried: true), load(1, full: true)], turn: 0) == .full)
        #expect(InstanceChoice(among: [], turn: 3) == .none)
    }

    @Test func `only what cannot have been done twice is sent twice`() {
        func mayRetry(
            reused: Bool = true, written: Bool = true, replayable: Bool = true, idempotent: Bool = true,
            retried: Bool = false
        ) -> Bool {
            LostAttempt(
                connectionWasReused: reused, headWasWritten: written, bodyIsReplayable: replayable,
                isIdempotent: idempotent, wasRetried: retried
            ).mayRetry
        }
        #expect(mayRetry())
        #expect(mayRetry(written: false, idempotent: false))
        #expect(!mayRetry(written: true, idempotent: false))
        #expect(!mayRetry(reused: false))
        #expect(!mayRetry(replayable: false))
        #expect(!mayRetry(retried: true))
    }

    @Test func `a table is taken when it is newer or the same`() {
        let backend = Backend(name: "a", host: "127.0.0.1", port: 1)
        func table(_ epoch: UInt64, _ generation: UInt64, share: Int = 0) -> RoutingTable {
            .serving(
                stable: [backend], canary: [Backend(name: "b", host: "::1", port: 2)], share: share, epoch: epoch,
                generation: generation)
        }
        #expect(TableVerdict(table(1, 1), current: nil) == .newer)
        #expect(TableVerdict(table(1, 2), current: table(1, 1)) == .newer)
        #expect(TableVerdict(table(2, 1), current: table(1, 9)) == .newer)
        #expect(TableVerdict(table(1, 1), current: table(1, 1)) == .same)
        #expect(TableVerdict(table(1, 1, share: 5), current: table(1, 1)) == .stale(epoch: 1, generation: 1))
        #expect(TableVerdict(table(1, 9), current: table(2, 1)) == .stale(epoch: 2, generation: 1))
        for mistake in [
            { $0.canaryShare = 10_001 }, { $0.canaryShare = -1 }, { $0.stable[0].port = 0 },
            { $0.stable[0].name = "b" }, { $0.timeoutMilliseconds = 0 },
            {
                $0.canary = []
                $0.canaryShare = 1
            },
        ] as [(inout RoutingTable) -> Void] {
            var wrong = table(9, 9)
            mistake(&wrong)
            #expect(wrong.mistake != nil)
            if case .malformed = TableVerdict(wrong, current: nil) {} else { Issue.record("taken: \(wrong)") }
        }
    }

    @Test func `the first and the last failures are kept`() {
        var one = FailureSamples()
        var two = FailureSamples()
        for at in 0..<200 {
            let sample = FailureSample(
                arm: "canary", instance: "b", at: Int64(at), kind: .status, method: "GET", target: "/",
                requestHeaders: [], requestBody: "", status: 500, responseHeaders: [], responseBody: "",
                latencyMicroseconds: 1, trace: nil)
            if at % 2 == 0 { one.add(sample) } else { two.add(sample) }
        }
        let report = FailureSamples.report(release: "r", [two, one])
        #expect(report.samples.map(\.at) == Array(0..<25) + Array(175..<200))
        #expect(report.dropped == 150 && report.firstFailureAt == 0)
    }
}
