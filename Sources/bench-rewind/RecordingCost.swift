// What recording costs stable's throughput: pgbench in short slices, in turn without marks and recording, with the marks
// alone, and with both. One client, so that on two cores one is left for the recording.

import Foundation
import Postgres

struct RecordingCost: Sendable {
    static let name = "recording"
    private static let secondsPerSlice = 2

    /// Transactions a second of the plain slices.
    let plain: Spread
    /// Lost share of the plain rate, by pairs of slices of one round.
    let marks: Spread
    let recording: Spread

    /// Largest acceptable shares.
    private static let goals = (marks: 0.01, recording: 0.05)

    static func measure(
        _ stage: Stage, rounds: Int, scale: Int, _ tell: @Sendable (String) -> Void
    ) async throws -> RecordingCost {
        let database = "bench_recording"
        tell("cost of recording: preparing")
        try await stage.run("CREATE DATABASE \(database)")
        try await stage.pgbench(["-i", "-q", "-s", "\(scale)"], on: database)
        let recording = try await Recording.start(stage, database, number: 99)
        _ = try await slice(stage, database)
        var rates: [(plain: Double, marked: Double, recorded: Double)] = []
        for round in 1...rounds {
            await recording.stop()
            try await enableMarks(stage, database, false)
            var plain = 0.0
            var marked = 0.0
            // Whatever drifts, drifts the same way for both.
            for isMarked in round % 2 == 0 ? [false, true] : [true, false] {
                try await enableMarks(stage, database, isMarked)
                let rate = try await slice(stage, database)
                if isMarked { marked = rate } else { plain = rate }
            }
            try await enableMarks(stage, database, true)
            try await recording.resume()
            try await recording.catchUp()
            rates.append((plain, marked, try await slice(stage, database)))
            tell("cost of recording: round \(round) of \(rounds), \(Int(plain)) transactions/s without")
        }
        try await recording.remove()
        try await stage.drop(database)
        return RecordingCost(
            plain: Spread(rates.map(\.plain)), marks: Spread(rates.map { 1 - $0.marked / $0.plain }),
            recording: Spread(rates.map { 1 - $0.recorded / $0.plain }))
    }

    private static func slice(_ stage: Stage, _ database: String) async throws -> Double {
        let printed = try await stage.pgbench(
            ["-n", "-c", "1", "-j", "1", "-T", "\(secondsPerSlice)"], on: database)
        guard let line = printed.split(separator: "\n").first(where: { $0.hasPrefix("tps = ") }),
            let rate = Double(line.split(separator: " ")[2])
        else { throw BenchError("pgbench says no rate: \(printed.suffix(300))") }
        return rate
    }

    private static func enableMarks(_ stage: Stage, _ database: String, _ enabled: Bool) async throws {
        for table in Workload.pgbench.tables {
            let connection = "ALTER TABLE \(table) \(enabled ? "ENABLE ALWAYS" : "DISABLE") TRIGGER perch_mark_bench_99"
            try await stage.run(connection, in: database)
        }
    }

    private var verdicts: [(title: String, cost: Spread, goal: Double)] {
        [("marks alone", marks, Self.goals.marks), ("marks and recording", recording, Self.goals.recording)]
    }

    var missed: Int { verdicts.count { $0.cost.median > $0.goal } }

    var markdown: String {
        let lines = verdicts.map { title, cost, goal in
            let percent = Spread(cost.values.map { $0 * 100 })
            return "| \(title) | \(percent.digits(1)) % | <= \(Int(goal * 100)) % | "
                + "\(cost.median <= goal ? "goal met" : "GOAL MISSED") |"
        }
        return """
            pgbench with one client, \(plain.whole) transactions/s without; \(plain.values.count) rounds of \
            \(Self.secondsPerSlice) s slices in turn, median of the lost shares (range)

            | stable's throughput | lost | goal | |
            |---|--:|--:|---|
            \(lines.joined(separator: "\n"))
            """
    }
}
