// Goal: whatever strikes a rewind under load, it comes to the right end or says that it cannot, and never loses a stable write
// in silence. Method: ledgers of acknowledged writes of both arms; a random fault at a random named place or moment, in each
// way back; the rewind is asked for again until it ends. PERCH_TEST_SEED repeats a run, PERCH_LONG plays more.

import Foundation
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@testable import Rewind

@Suite(.serialized) struct FaultRunTests {
    private static let attempts = 8
    private static let lanes: UInt64 = 4

    @Test func `Whatever strikes a rewind, it ends right or says that it cannot`() async throws {
        let seeds = TestLength.seeds(usually: UInt64(Fault.Kind.allCases.count))
        let tally = try await withThrowingTaskGroup(of: FaultTally.self) { group in
            for lane in 0..<Self.lanes {
                group.addTask { try await Self.play(seeds.filter { $0 % Self.lanes == lane }) }
            }
            var tally = FaultTally()
            for try await some in group { tally.add(some) }
            return tally
        }
        print("figures: \(tally)")
        for failure in tally.failures { Issue.record("\(failure)") }
    }

    /// One after the other on a server of their own: it crashes, so nobody else uses it.
    private static func play(_ seeds: [UInt64]) async throws -> FaultTally {
        var tally = FaultTally()
        let server = try await PostgresServer.start()
        for seed in seeds {
            do {
                try await play(seed, server, &tally)
            } catch {
                tally.fail("\(FaultScene(seed)): \(error)")
            }
            if tally.failures.count >= 5 { break }
        }
        server.remove()
        return tally
    }

    private static func play(_ seed: UInt64, _ server: PostgresServer, _ tally: inout FaultTally) async throws {
        let scene = FaultScene(seed)
        var random = scene.random
        let (mode, fault) = (scene.mode, scene.fault)
        let play = try await LedgerPlay(seed: seed, on: server, mode, scene.snapshot)
        let stage = play.stage
        let tools = try await FaultTools(stage)
        let (end, data) = try await play.run(.short) { stage in
            try await rewind(stage, fault, tools, &random)
        }
        var faults: [String] = []
        switch end {
        case .done(let summary, let attempts):
            faults = try await play.faultsWhenDone(data)
            if summary.canaryTransactionsKeptOut < play.canary.ids.count { faults.append("too few kept out") }
            tally.attempts += attempts
        case .halted(let failure):
            faults = try await play.faultsWhenHalted(mode)
            tally.halted[failure.message.replacing(/shop.[0-9]+/, with: "shop").prefix(42).description, default: 0] += 1
            // Only a journal that lost what was durable is beyond repair.
            if fault.kind != .lostTail { faults.append("halted: \(failure)") }
        }
        tally.runs[fault.kind.rawValue, default: 0] += 1
        if !tools.hasStruck(fault) { tally.notReached += 1 }
        tally.transactions += play.stable.ids.count + play.canary.ids.count
        if !faults.isEmpty { tally.fail("\(scene): \(faults.joined(separator: "; "))") }
        try await stage.remove(data)
    }

    private enum End: Sendable {
        case done(RewindSummary, attempts: Int)
        case halted(Failure)
    }

    /// Asks for the rewind until it ends; the fault strikes once.
    private static func rewind(
        _ stage: Stage, _ fault: Fault, _ tools: FaultTools, _ random: inout SeededGenerator
    ) async throws -> (End, PostgresData) {
        var data = stage.data
        var last = Failure("never asked")
        for attempt in 1...attempts {
            do {
                let summary =
                    attempt == 1
                    ? try await struck(stage, fault, tools) : try await stage.rewind(with: data)
                return (.done(summary, attempts: attempt), data)
            } catch let failure as Failure {
                last = failure
            }
            if attempt == 1, fault.kind.endsPerch {
                data = try await tools.takeOver(fault, &random)
                // One that cannot go on says so again when the rewind is asked for.
                try? await data.resumeRecording(release: stage.release, policy: stage.policy)
            } else if fault.kind == .lostTail, !last.isTransient {
                break
            } else {
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        return (.halted(last), data)
    }

    private static func struck(_ stage: Stage, _ fault: Fault, _ tools: FaultTools) async throws -> RewindSummary {
        if let place = fault.place {
            return try await stage.rewind(at: place) { try await tools.strike(fault) }
        }
        return try await withThrowingTaskGroup(of: RewindSummary?.self) { group in
            group.addTask { try await stage.rewind() }
            group.addTask {
                try await Task.sleep(for: .milliseconds(fault.delay))
                try? await tools.strike(fault)
                return nil
            }
            var summary: RewindSummary?
            var failure: (any Error)?
            for _ in 0..<2 {
                do {
                    if let some = try await group.next() ?? nil { summary = some }
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            return summary!
        }
    }
}

private struct FaultTally: CustomStringConvertible {
    var runs: [String: Int] = [:]
    /// Runs whose place was not on the way.
    var notReached = 0
    /// Rewinds that were asked for until one ended.
    var attempts = 0
    var transactions = 0
    /// By the sentence that said so.
    var halted: [String: Int] = [:]
    private(set) var failures: [String] = []

    mutating func fail(_ text: String) {
        TestLength.tell(text)
        failures.append(text)
    }

    mutating func add(_ other: FaultTally) {
        runs.merge(other.runs) { $0 + $1 }
        notReached += other.notReached
        attempts += other.attempts
        transactions += other.transactions
        halted.merge(other.halted) { $0 + $1 }
        failures += other.failures
    }

    var description: String {
        "fault runs \(runs.values.reduce(0, +)), transactions \(transactions), "
            + runs.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            + ", not reached \(notReached), attempts \(attempts), halted \(halted), failures \(failures.count)"
    }
}
