// Goal: whatever both versions do, the clone is what the merge promises (rewind: sections 6 and 7). Method: random histories
// from numbered seeds on a model database; P1 to P6 and heal are looked at at every commit, T1 to T5 and P7 at the end.

import Foundation
import Merge
import Testing

@Suite struct HistoryTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// `PERCH_TEST_SEED` plays that one history; else `PERCH_MERGE_HISTORIES` is how many are played in each mode.
    static let seed = environment["PERCH_TEST_SEED"].flatMap { UInt64($0) }
    static let count = seed != nil ? 1 : environment["PERCH_MERGE_HISTORIES"].flatMap { UInt64($0) } ?? 100
    static let seeds = (seed ?? 1)..<((seed ?? 1) + count)

    static func play(_ seed: UInt64, _ mode: MergeMode) throws -> Tally {
        var history = History(seed: seed, mode: mode)
        try history.play()
        let tally = try history.checkTheorems()
        try history.healAll()
        return tally
    }

    private func run(_ mode: MergeMode) -> Tally {
        var tally = Tally()
        var failures: [String] = []
        for seed in Self.seeds {
            do {
                tally.add(try Self.play(seed, mode))
            } catch {
                failures.append("\(error)")
            }
        }
        print("PERCH_TEST_SEED=\(Self.seeds.lowerBound) and on, \(mode): \(tally)")
        if !failures.isEmpty {
            Issue.record(
                "\(failures.count) of \(Self.count) histories failed:\n\(failures.prefix(12).joined(separator: "\n"))")
        }
        return tally
    }

    @Test func `random histories keep every promise, conflict by conflict`() {
        let tally = run(.nonconflict)
        #expect(tally.t2WithContact > 0 || Self.count < 50)
    }

    @Test func `random histories keep every promise when whole transactions are kept out`() {
        let tally = run(.cascade)
        #expect(tally.quarantined > 0 || Self.count < 50)
    }
}
