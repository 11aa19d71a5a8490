// Goal: whatever both versions do, the clone is what the merge promises (rewind: sections 6 and 7). Method: random histories
// from numbered seeds on a model database; P1 to P6 and heal are looked at at every commit, T1 to T5 and P7 at the end.

import Foundation
import Merge
import Testing

@Suite struct HistoryTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// `PERCH_TEST_SEED` plays that one history; else `PERCH_LONG` times 100 are played in each mode, from
    /// `PERCH_FIRST_SEED` on.
    static let seed = number("PERCH_TEST_SEED")
    static let count = seed != nil ? 1 : 100 * (number("PERCH_LONG") ?? 1)
    static let seeds = first..<(first + count)
    private static let first = seed ?? number("PERCH_FIRST_SEED") ?? 1

    private static func number(_ name: String) -> UInt64? { environment[name].flatMap { UInt64($0) } }

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
        print("figures: merge histories \(tally), \(mode), failures \(failures.count)")
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
