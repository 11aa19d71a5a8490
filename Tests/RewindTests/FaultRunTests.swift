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

    @Test func `Whatever strikes a rewind, it ends right or says that it cannot`() async throws {
        let seeds = TestLength.seeds(usually: UInt64(Fault.Kind.allCases.count))
        var tally = FaultTally()
        // Crashes, so nobody else uses it.
        let server = try await PostgresServer.start()
        for seed in seeds {
            do {
                try await play(seed, server, &tally)
            } catch {
                tally.failures.append("seed \(seed): \(error)")
            }
            if tally.failures.count >= 5 { break }
        }
        server.remove()
        print("figures: \(tally)")
        for failure in tally.failures { Issue.record("\(failure)") }
    }

    private func play(_ seed: UInt64, _ server: PostgresServer, _ tally: inout FaultTally) async throws {
        var random = SeededGenerator(seed: seed)
        let kind = Fault.Kind.allCases[Int(seed % UInt64(Fault.Kind.allCases.count))]
        let mode: Policy.DataRollback.Mode = kind == .lostReply ? .swap : random.pick([.swap, .heal])
        let snapshot: Policy.SnapshotMode = random.pick([.dump, .clone])
        let fault = Fault(kind, mode, &random)
        let name = "seed \(seed), \(snapshot) and \(mode), \(fault)"
        let play = try await LedgerPlay(seed: seed, on: server, mode, snapshot)
        let stage = play.stage
        let tools = try await FaultTools(stage)
        var successor: PostgresData?
        let (end, data) = try await play.run(.short) { stage in
            try await rewind(stage, fault, tools, &random)
        }
        successor = data
        var faults: [String] = []
        switch end {
        case .done(let summary, let attempts):
            faults = try await play.faultsWhenDone(data)
            if summary.canaryTransactionsKeptOut < play.canary.ids.count { faults.append("too few kept out") }
            tally.attempts += attempts
        case .halted(let failure):
            faults = try await play.faultsWhenHalted(mode)
            tally.halted[failure.message.prefix(60).description, default: 0] += 1
            // Only a journal that lost what was durable is beyond repair.
            if kind != .lostTail { faults.append("halted: \(failure)") }
        }
        tally.runs[kind.rawValue, default: 0] += 1
        tally.transactions += play.stable.ids.count + play.canary.ids.count
        if !faults.isEmpty { tally.failures.append("\(name): \(faults.joined(separator: "; "))") }
        try await stage.remove(successor)
    }

    private enum End: Sendable {
        case done(RewindSummary, attempts: Int)
        case halted(Failure)
    }

    /// Asks for the rewind until it ends; the fault strikes once.
    private func rewind(
        _ stage: Stage, _ fault: Fault, _ tools: FaultTools, _ random: inout SeededGenerator
    ) async throws -> (End, PostgresData) {
        var data = stage.data
        var last: (any Error)?
        for attempt in 1...Self.attempts {
            do {
                if attempt > 1 { return (.done(try await stage.rewind(with: data), attempts: attempt), data) }
                return (.done(try await struck(stage, fault, tools), attempts: attempt), data)
            } catch {
                last = error
            }
            if attempt == 1, fault.kind.endsPerch {
                data = try await tools.takeOver(fault, &random)
                do throws(Failure) {
                    try await data.resumeRecording(release: stage.release, policy: stage.policy)
                } catch {
                    if !error.isTransient { return (.halted(error), data) }
                }
            } else {
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        return (.halted(last as? Failure ?? Failure("\(last!)")), data)
    }

    private func struck(_ stage: Stage, _ fault: Fault, _ tools: FaultTools) async throws -> RewindSummary {
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
    /// Rewinds that were asked for until one ended.
    var attempts = 0
    var transactions = 0
    /// By the sentence that said so.
    var halted: [String: Int] = [:]
    var failures: [String] = []

    var description: String {
        "fault runs \(runs.values.reduce(0, +)), transactions \(transactions), "
            + runs.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            + ", attempts \(attempts), halted \(halted), failures \(failures.count)"
    }
}
