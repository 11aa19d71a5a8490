// How much the random tests play: little with the others, as much as is wanted in a long run.

import Foundation

enum TestLength {
    private static let environment = ProcessInfo.processInfo.environment
    /// PERCH_LONG: times the usual count.
    private static let factor = environment["PERCH_LONG"].flatMap { UInt64($0) } ?? 1
    /// PERCH_TEST_SEED: the one to repeat.
    static let seed = environment["PERCH_TEST_SEED"].flatMap { UInt64($0) }

    /// From 1 on, or from PERCH_FIRST_SEED.
    static func seeds(usually count: UInt64) -> ClosedRange<UInt64> {
        if let seed { return seed...seed }
        let first = environment["PERCH_FIRST_SEED"].flatMap { UInt64($0) } ?? 1
        return first...(first + count * factor - 1)
    }

    /// A failure at once, for whoever watches a long run.
    static func tell(_ failure: String) {
        FileHandle.standardError.write(Data("failed: \(failure)\n".utf8))
    }
}
