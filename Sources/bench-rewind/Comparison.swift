// Both peers apply one workload to equal copies, in turn; every copy must then be what the recorded database is.

import Postgres

struct Comparison: Sendable {
    let stage: Stage
    let transactions: Int
    let runs: Int
    let scale: Int
    let tell: @Sendable (String) -> Void

    func run(_ workload: Workload, number: Int) async throws -> Line {
        let database = "bench_\(workload.rawValue)"
        let base = "\(database)_base"
        tell("\(workload.title): preparing")
        try await stage.run("CREATE DATABASE \(database)")
        try await stage.pgbench(["-i", "-q", "-s", "\(scale)"], on: database)
        for statement in workload.schema(scale).split(separator: ";").map(String.init) {
            if statement.contains(where: { !$0.isWhitespace }) { try await stage.run(statement, in: database) }
        }
        try await stage.copy(database, as: base)
        let native = NativePeer(stage: stage, source: database)
        try await native.prepare(workload.tables)
        let recording = try await Recording.start(stage, database, number: number)
        tell("\(workload.title): recording \(transactions) transactions")
        try await stage.generate(workload, transactions, scale: scale, on: database)
        try await recording.catchUp()
        await recording.stop()
        let recorded = try await recording.contents()
        guard recorded.transactions >= transactions / 4 * 4 else {
            throw BenchError("\(recorded.transactions) transactions were recorded, not \(transactions)")
        }
        let wanted = try await stage.contents(of: workload.tables, in: database)
        var rates: [(native: Double, perch: Double)] = []
        let perch = PerchPeer(recording: recording)
        for run in 1...runs {
            func rate(_ peer: String, _ apply: (String) async throws -> Duration) async throws -> Double {
                let copy = "\(database)_\(peer)_\(run)"
                try await stage.copy(base, as: copy)
                tell("\(workload.title): run \(run), \(peer) applies")
                let seconds = try await apply(copy) / .seconds(1)
                let rate = Double(recorded.transactions) / seconds
                tell("\(workload.title): run \(run), \(peer): \(Int(rate)) transactions/s")
                guard try await stage.contents(of: workload.tables, in: copy) == wanted else {
                    throw BenchError("\(peer) did not make of \(copy) what \(database) is")
                }
                try await stage.drop(copy)
                return rate
            }
            let own = try await rate("native") { try await native.apply(to: $0, upTo: recorded.end) }
            rates.append((own, try await rate("perch") { try await perch.apply(to: $0, upTo: recorded.end) }))
        }
        try await native.remove()
        try await recording.remove()
        try await stage.drop(database)
        try await stage.drop(base)
        return Line(
            title: workload.title, native: Spread(rates.map(\.native)), perch: Spread(rates.map(\.perch)),
            ratio: Spread(rates.map { $0.perch / $0.native }), goal: workload.goal)
    }
}
