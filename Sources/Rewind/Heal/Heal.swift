// Copies the clone's rows over the rows of live that differ, in place and under load. Nobody is held, no session ends.
//
//     catch up -> rows that stand alone, compared and set -> groups that belong together -> catch up -> ... -> nothing differs
//
// There is no other progress than the difference itself: heal's own commits come back in the stream and shrink it, so a run
// that was cut off anywhere just begins again. The clone is never touched, so a row that was healed wrongly would differ
// again and be healed by the next pass. Each transaction leaves live consistent, and writes down what it changed.

import Logging
import Merge
import Ports
import Postgres
import Releases

struct Heal {
    /// Of one statement that stands alone, and of a group of its own making; groups that belong together may be larger.
    private struct BatchSize {
        static let range = 20...1_000
        static let window = Duration.milliseconds(20)
        var rows = 100

        /// Locks are held for about ``window``, however fast the server is.
        mutating func adapt(to took: Duration) {
            if took > Self.window { rows = max(Self.range.lowerBound, rows / 2) }
            if took < Self.window / 2 { rows = min(Self.range.upperBound, rows * 2) }
        }
    }

    /// Without any row healed for this long, somebody keeps them.
    private static let patience = Duration.seconds(60)
    /// Rows of a group that could not be cut smaller.
    private static let largestGroup = 10_000
    /// After so many attempts to compare and set, a row is locked first.
    private static let attempts = 2

    let source: CloneSource
    let recording: any RecordingTail
    let attribution: Attribution
    /// Writes; with ``Replay/session``.
    let live: Connection
    /// Another session of live.
    let control: Connection
    let log: Logger
    let progress: @Sendable (String) async -> Void

    private var batch = BatchSize()
    private var misses: [RowID: Int] = [:]
    /// Stable's transactions that the clone had when a batch began.
    private var seenTransactions = 0

    init(
        source: CloneSource, recording: any RecordingTail, attribution: Attribution, live: Connection,
        control: Connection, log: Logger, progress: @escaping @Sendable (String) async -> Void
    ) {
        self.source = source
        self.recording = recording
        self.attribution = attribution
        self.live = live
        self.control = control
        self.log = log
        self.progress = progress
    }

    private var healed: HealedRows { HealedRows(release: source.release) }
    private var mark: String { attribution.prefix + Attribution.healSuffix }

    /// - Returns: rows healed, those of earlier runs included.
    mutating func run(_ clone: inout ReleaseClone) async throws(Failure) -> Int {
        do {
            try await live.execute(healed.creation)
            var lastSuccess = ContinuousClock.now
            while true {
                try await catchUp(&clone)
                try await clone.replay.nameEmptiedRows()
                if clone.replay.clone.engine.isClean { break }
                try await reach(source.faultPoint, "heal.pass")
                let rows = try await pass(&clone)
                if rows > 0 {
                    lastSuccess = .now
                    await progress("healed \(rows) rows")
                } else if ContinuousClock.now - lastSuccess > Self.patience {
                    throw stuck(clone.replay.clone)
                } else {
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            try await reach(source.faultPoint, "heal.done")
            let count = try await live.query("SELECT coalesce(sum(copies), 0) FROM \(healed.table)").scalar
            return count.flatMap { Int($0) } ?? 0
        } catch let failure as Failure {
            throw failure
        } catch {
            let server = (error as? PostgresError)?.serverError
            throw Failure(
                "cannot heal database \(source.names.live): \(error)",
                hint: "what was healed stays healed; ask for the rollback again", isTransient: server == nil)
        }
    }

    private func catchUp(_ clone: inout ReleaseClone) async throws(Failure) {
        try await clone.catchUp(recording, source.release, control: control, within: .seconds(30))
    }

    /// Every row once.
    private mutating func pass(_ clone: inout ReleaseClone) async throws -> Int {
        let engine = clone.replay.clone.engine
        let schema = clone.replay.clone.schema
        var alone: [TableID: [TaintedRow]] = [:]
        var others: [RowID] = []
        for id in engine.healSeeds + engine.excessCopies.keys.sorted() {
            if let taint = engine.taint(id), taint.xid != 0, engine.isPlain(id), misses[id, default: 0] < Self.attempts
            {
                alone[id.table, default: []].append(taint)
            } else {
                others.append(id)
            }
        }
        var rows = 0
        for (table, taints) in alone.sorted(by: { $0.key < $1.key }) {
            rows += try await healAlone(schema[table], taints, &clone)
        }
        for taint in alone.values.joined() { misses[taint.id, default: 0] += 1 }
        if !alone.isEmpty, !others.isEmpty { try await catchUp(&clone) }
        rows += try await healGroups(others, &clone)
        return rows
    }

    private mutating func healAlone(
        _ table: CloneTable, _ taints: [TaintedRow], _ clone: inout ReleaseClone
    ) async throws -> Int {
        var rows = 0
        var next = 0
        while next < taints.count {
            try Task.checkCancellation()
            let some = Array(taints[next..<min(next + batch.rows, taints.count)])
            next += some.count
            let begin = ContinuousClock.now
            rows += try await PlainRows(live: live, schema: clone.replay.clone.schema, healed: healed)
                .heal(table, some, mark: mark)
            try await rest(after: ContinuousClock.now - begin, &clone)
            try await reach(source.faultPoint, "heal.batch")
        }
        return rows
    }

    private mutating func healGroups(_ seeds: [RowID], _ clone: inout ReleaseClone) async throws -> Int {
        var rows = 0
        var done: Set<RowID> = []
        var open = seeds[...]
        while !open.isEmpty {
            try Task.checkCancellation()
            let engine = clone.replay.clone.engine
            var group: Set<RowID> = []
            while group.count < batch.rows, let seed = open.popFirst() {
                guard !done.contains(seed), !group.contains(seed),
                    engine.taint(seed) != nil || engine.excess(of: seed) != 0
                else { continue }
                guard let closure = engine.closure(of: [seed], atMost: Self.largestGroup) else {
                    throw Failure(
                        "more than \(Self.largestGroup) rows belong together and would have to be healed at once",
                        hint: "ask for the rollback with rollback.mode: swap")
                }
                group.formUnion(closure.filter { !done.contains($0) })
            }
            if group.isEmpty { continue }
            let begin = ContinuousClock.now
            if let healed = try await heal(group.sorted(), done, &clone) {
                rows += healed
                done.formUnion(group)
            } else {
                for id in group { misses[id, default: 0] += 1 }
                if group.count > 1 { batch.rows = max(BatchSize.range.lowerBound, batch.rows / 2) }
            }
            try await rest(after: ContinuousClock.now - begin, &clone)
            try await reach(source.faultPoint, "heal.group")
        }
        return rows
    }

    /// - Returns: nil when somebody was in the way.
    private func heal(_ ids: [RowID], _ done: Set<RowID>, _ clone: inout ReleaseClone) async throws -> Int? {
        var group = HealedGroup(
            live: live, schema: clone.replay.clone.schema, ids: ids, done: done, healed: healed)
        let timeout = Duration.milliseconds(50 << min(3, ids.map { misses[$0, default: 0] }.max() ?? 0))
        do {
            try await group.occupy(clone.replay.clone.engine, mark: mark, lockTimeout: timeout)
            try await reach(source.faultPoint, "heal.occupied")
            try await catchUp(&clone)
            if let rows = try await group.finish(clone.replay.clone.engine) { return rows }
        } catch let error as PostgresError where error.isConflict {
            log.debug("rows are in use", metadata: ["reason": "\(error)"])
        } catch HealConflict.rowsMoved {
            log.debug("rows were written meanwhile")
        } catch {
            try? await live.execute("ROLLBACK")
            throw error
        }
        try await live.execute("ROLLBACK")
        return nil
    }

    /// Under load heal takes every other moment; alone it goes on at once.
    private mutating func rest(after took: Duration, _ clone: inout ReleaseClone) async throws {
        batch.adapt(to: took)
        let end = try await recording.durableEnd()
        if end > clone.position { try await clone.advance(to: end) }
        let transactions = clone.replay.report.counts.stableTransactions
        if transactions > seenTransactions { try await Task.sleep(for: took) }
        seenTransactions = transactions
    }

    private func stuck(_ clone: MergedClone) -> Failure {
        let rows = clone.engine.taintedRows.prefix(5).map { taint in
            "\(clone.schema[taint.id.table].name) (\(taint.id.key.map { $0.shown ?? "NULL" }.joined(separator: ", ")))"
        }
        return Failure(
            "rows cannot be healed, somebody keeps them or a constraint of live refuses them: "
                + rows.joined(separator: ", "),
            hint: "what was healed stays healed; end long transactions and ask again, or ask with rollback.mode: swap",
            isTransient: true)
    }
}

extension PostgresError {
    /// Somebody else's locks or rows are in the way: lock not available, deadlock, a value or a reference that is taken.
    fileprivate var isConflict: Bool {
        guard let state = serverError?.sqlState else { return false }
        return ["55P03", "40P01", "40001", "23505", "23503", "23514", "23P01"].contains(state)
    }
}
