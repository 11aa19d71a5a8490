// Goal: a real application's writes come out of a real rewind as the merge promises, on every way back. Method: random SQL of
// both arms in one serial order through the real recorder, decoder and clone; the same statements of stable's alone in a
// second database; rows that differ have to be in the report. PERCH_TEST_SEED repeats one seed, PERCH_LONG plays more.

import Foundation
import Testing

@Suite struct RealHistoryTests {
    @Test func `What differs from stable alone is in the report, whatever the way back`() async throws {
        let seeds = TestLength.seeds(usually: 12)
        let (tally, failures) = try await withThrowingTaskGroup(of: Result<RealTally, any Error>.self) { group in
            var (tally, failures) = (RealTally(), [String]())
            var next = seeds.makeIterator()
            func add() {
                guard let seed = next.next() else { return }
                group.addTask {
                    do {
                        return .success(try await RealHistory(seed: seed).play())
                    } catch {
                        return .failure(error is RealFailure ? error : SeededError(seed: seed, error: error))
                    }
                }
            }
            for _ in 0..<3 { add() }
            while let result = try await group.next() {
                switch result {
                case .success(let more): tally.add(more)
                case .failure(let error):
                    TestLength.tell("\(error)")
                    failures.append("\(error)")
                }
                add()
            }
            return (tally, failures)
        }
        print("figures: real histories \(tally), failures \(failures.count)")
        for failure in failures.prefix(3) { Issue.record("\(failure)") }
        #expect(failures.count == 0)
    }
}

private struct SeededError: Error, CustomStringConvertible {
    let seed: UInt64
    let error: any Error
    var description: String { "seed \(seed): \(error)" }
}
