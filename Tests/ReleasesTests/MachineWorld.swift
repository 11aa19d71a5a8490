// Small worlds for the release machine: policies worth walking through, and a release that keeps its own facts.

import Releases

let testService = ServiceName(rawValue: "shop")!
let stableCommit = CommitID(rawValue: String(repeating: "a", count: 40))!
let canaryCommit = CommitID(rawValue: String(repeating: "b", count: 40))!

func testPolicy(_ change: (inout Policy) -> Void = { _ in }) -> Policy {
    var cohort = Policy.Cohort(steps: [
        .share(Share(basisPoints: 100)!, for: .seconds(10)), .share(Share(basisPoints: 5_000)!, for: .seconds(20)),
    ])
    cohort.by = [.request]
    var policy = Policy(
        service: testService, source: .init(repository: "/srv/shop.git"),
        platform: .init(process: .init(command: ["./shop", "{port}"])), traffic: .init(listen: "127.0.0.1:8080"),
        cohort: cohort,
        database: .init(url: .environment("URL"), adminURL: .environment("ADMIN"), canaryRole: "shop_canary"))
    change(&policy)
    return policy
}

/// Every policy that changes which way the machine goes.
let interestingPolicies: [Policy] = [
    testPolicy(),
    testPolicy { $0.database = nil },
    testPolicy { $0.rollBack.automatic = false },
    testPolicy { $0.cohort.steps = [.share(Share(basisPoints: 100)!, for: .seconds(1)), .approve] },
    testPolicy {
        $0.cohort.steps = [.approve, .share(Share(basisPoints: 2_000)!, for: .seconds(1))]
        $0.watch.noDataThen = .promote
    },
    testPolicy { $0.watch.noDataThen = .rollBack },
    testPolicy { $0.database?.rollback.mode = .keep },
    testPolicy { $0.database?.snapshot = .none },
    testPolicy { $0.promote.undoWindow = .zero },
]

/// A release with its facts, moved only through `decide` and `apply`, as the engine does it.
struct Walk {
    private(set) var facts: [Fact]
    private(set) var state: ReleaseState
    var now = Instant(millisecondsSince1970: 1_000_000)

    init(_ policy: Policy = testPolicy(), stable: CommitID? = stableCommit, starts: Bool = true) {
        let acceptance = Acceptance(
            release: ReleaseID(service: testService, number: 7), commit: canaryCommit, policy: policy,
            request: ReleaseRequest(commit: canaryCommit.rawValue, delivery: "d", sender: "test"),
            deadline: now.advanced(by: policy.deadline))
        let first = Fact(sequence: 1, at: now, body: .accepted(acceptance))
        facts = [first]
        state = ReleaseState(first: first)
        if starts { take(.turnCame(stable: stable)) }
    }

    /// Decides, applies, and returns what was appended; a refusal appends nothing.
    @discardableResult
    mutating func take(_ event: Event) -> [Fact.Body] {
        guard let bodies = try? state.decide(event, at: now) else { return [] }
        for body in bodies {
            let fact = Fact(sequence: state.lastSequence + 1, at: now, body: body)
            facts.append(fact)
            state.apply(fact)
        }
        return bodies
    }

    /// Does what is due, as a world in which everything works, until `stop` holds or nothing is due.
    mutating func go(until stop: (ReleaseState) -> Bool, verdict: Verdict.Outcome = .pass) {
        for _ in 0..<200 where !stop(state) {
            guard let effect = state.dueEffect else { return }
            take(success(of: effect, verdict: verdict))
        }
    }

    mutating func success(of effect: Effect, verdict: Verdict.Outcome = .pass) -> Event {
        switch effect {
        case .preflight: return .preflightDone(failures: [], warnings: [])
        case .snapshot: return .snapshotDone(testSnapshot)
        case .startCanary: return .instancesReady(.canary, names: ["shop-7-canary-1"])
        case .setShare(let share): return .shareConfirmed(share)
        case .watch(let phase, let until):
            now = max(now, until)
            return .judged(Verdict(phase: phase, outcome: verdict, why: ["numbers"]))
        case .awaitPerson: return .operatorAsked(OperatorRequest(verb: .promote, person: "p", reason: nil), data: nil)
        case .replaceStable:
            take(.stableLeaving)
            return .stableReplaced
        case .keepUndo: return .undoWindowClosed
        case .restoreStable: return .stableRestored
        case .stopCanary: return .canaryStopped
        case .rewind: return .dataRewound(RewindSummary(mode: "swap"))
        case .verify: return .verified
        }
    }
}

let testSnapshot = SnapshotSummary(
    lsn: "0/10", systemIdentifier: "1", serverVersion: "15.10", tables: 1, bytes: 1, tookMilliseconds: 1)

/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
