// One random history: live with both versions, the clone that takes one transaction a batch, a second clone that takes them
// in random batches and is restored from its own tables in between, and heal.

import Merge

struct HistoryFailure: Error, CustomStringConvertible {
    var seed: UInt64
    var reason: String
    var description: String { "history \(seed): \(reason)" }
}

struct HistoryStep: Sendable {
    var transaction: ModelTransaction
    /// Whose it is in the end: stable's or the canary's.
    var origin: Origin
    var run: TransactionRun
    var source: SourceTransaction?
    /// What the first clone's merge said of this transaction.
    var findings: [Finding] = []
    var isQuarantined = false
}

struct History {
    let seed: UInt64
    let world: World
    let initial: ModelDatabase
    private(set) var live: ModelDatabase
    private(set) var clone: ModelClone
    private(set) var batched: ModelClone
    private(set) var steps: [HistoryStep] = []
    private var generator: Generator
    private var writers = Writers()
    private var forms: [Origin: Forms] = [:]
    private var pending: [SourceTransaction] = []
    private var number: UInt64 = 1
    private(set) var healed = 0
    /// Rows of the largest heal transaction.
    private(set) var grouped = 0
    private(set) var reloads = 0
    private(set) var maxRounds = 0
    private(set) var operations = 0
    var lastChanges: [Change] = []

    init(seed: UInt64, mode: MergeMode) {
        self.seed = seed
        var random = SeededGenerator(seed: seed)
        world = World(random: &random, mode: mode)
        var generator = Generator(world, random)
        var start = ModelDatabase(world)
        var none = Forms()
        for table in world.ids {
            for _ in 0..<(1 + generator.random.below(4)) {
                let row = generator.row(table, start)
                _ = start.run(ModelTransaction(origin: .stable, statements: [.insert(table, row)]), &none)
            }
        }
        self.generator = generator
        initial = start
        live = start
        clone = ModelClone(start)
        batched = ModelClone(start)
    }

    /// - Throws: ``HistoryFailure`` for what does not hold at a commit.
    mutating func play() throws {
        let length = 5 + generator.random.below(12)
        while steps.count < length {
            if generator.random.chance(8) { try healGroup() }
            try step()
        }
        try flush()
    }

    private mutating func step() throws {
        let transaction = generator.transaction(live)
        let unattributed: Origin = world.policy.unattributed == .canary ? .canary : .stable
        let origin = transaction.origin == .unattributed ? unattributed : transaction.origin
        let before = live
        let run = live.run(transaction, &forms[origin, default: [:]])
        var step = HistoryStep(transaction: transaction, origin: origin, run: run)
        if run.committed, !run.changes.isEmpty {
            let source = next(transaction.origin, run.changes.map(\.change))
            writers.note(run.changes, by: origin, xid: source.xid, before: before)
            step.source = source
            (step.findings, step.isQuarantined) = try take(source, movesLiveOnly: origin == .canary)
        }
        steps.append(step)
    }

    private mutating func next(_ origin: Origin, _ changes: [Change]) -> SourceTransaction {
        number += 1
        operations += changes.count
        return SourceTransaction(
            xid: UInt32(number), commitLSN: number * 100, endLSN: number * 100 + 8, origin: origin, changes: changes)
    }

    /// Gives a transaction to both clones and looks at everything that must hold then.
    private mutating func take(
        _ source: SourceTransaction, movesLiveOnly: Bool
    ) throws -> (findings: [Finding], isQuarantined: Bool) {
        let before = clone.database
        lastChanges = source.changes
        let net: NetBatch
        do {
            net = try clone.merge([source])
        } catch {
            throw HistoryFailure(seed: seed, reason: "step \(steps.count): \(error)")
        }
        maxRounds = max(maxRounds, clone.rounds)
        let isQuarantined = !net.state.quarantined.isEmpty
        try require(clone.broken(live))
        try require(clone.misnamed(writers))
        if world.policy.mode != .cascade { try require(clone.lost(writers, live)) }
        if movesLiveOnly || isQuarantined { try require(clone.moved(since: before)) }
        if generator.random.chance(10) { try clone.reload() }
        pending.append(source)
        if generator.random.chance(40) { try flush() }
        return (net.state.findings, isQuarantined)
    }

    private func require(_ broken: String?) throws {
        if let broken { throw HistoryFailure(seed: seed, reason: "step \(steps.count): \(broken)") }
    }

    /// The second clone catches up, and is then the same as the first.
    private mutating func flush() throws {
        guard !pending.isEmpty else { return }
        do {
            try batched.merge(pending)
        } catch {
            throw HistoryFailure(seed: seed, reason: "batch before step \(steps.count): \(error)")
        }
        maxRounds = max(maxRounds, batched.rounds)
        pending = []
        try require(difference(batched, clone))
        if generator.random.chance(40) {
            reloads += 1
            try batched.reload()
        }
    }

    private func difference(_ a: ModelClone, _ b: ModelClone) -> String? {
        for table in world.ids {
            for key in Set((a.database.rows[table] ?? [:]).keys).union((b.database.rows[table] ?? [:]).keys) {
                let id = RowID(table: table, key: key)
                if a.database[id] != b.database[id] {
                    return "P5: \(id) is \(shown(a.database[id])) in batches, \(shown(b.database[id])) one by one"
                }
            }
            if a.database.copies[table] ?? [:] != b.database.copies[table] ?? [:] { return "P5: copies of \(table)" }
        }
        if a.state != b.state {
            let taints = Set(a.state.taints.values).symmetricDifference(b.state.taints.values)
            return "P5: the states differ: \(taints.map { "\($0.row) \(shown($0.live)) \($0.xid)" }.sorted())"
        }
        if a.report != b.report {
            let own = Set(a.report.values).symmetricDifference(b.report.values)
            return "P5: the reports differ: \(own.map { "\($0)" }.sorted())"
        }
        if a.quarantined == b.quarantined { return nil }
        let conflicts = Set(a.quarantined.flatMap(\.conflicts)).symmetricDifference(b.quarantined.flatMap(\.conflicts))
        return "P5: the quarantines differ: \(conflicts.map { "\($0)" }.sorted())"
    }

    // MARK: Heal

    /// Brings a row or two of live back to the clone's, with all that they need: live has to be consistent after it.
    private mutating func healGroup() throws {
        let tainted = (clone.state.taints.keys.sorted() + clone.state.copies.keys.sorted())
            .filter { clone.state.emptied[$0.table] == nil }
        guard !tainted.isEmpty else { return }
        let seeds = Set((0..<(1 + generator.random.below(2))).map { _ in generator.random.pick(tainted) }).sorted()
        let group = clone.engine.closure(of: seeds) ?? []
        let before = live
        live.log = []
        for id in group {
            if world.tables[id.table]!.isKeyless { healCopies(id) } else { heal(id) }
        }
        if let violation = live.violation { try require("P7: \(violation) in live after heal of \(group)") }
        let changes = live.log
        live.log = []
        healed += group.count
        grouped = max(grouped, group.count)
        let source = next(.heal, changes.map(\.change))
        writers.note(changes, by: .heal, xid: source.xid, before: before)
        _ = try take(source, movesLiveOnly: true)
        for id in group where live[id] != clone.database[id] { try require("P7: \(id) differs after heal") }
    }

    private mutating func healCopies(_ id: RowID) {
        guard let count = clone.state.copies[id]?.count else { return }
        for _ in 0..<abs(count) {
            let change: Change = count > 0 ? .delete(id.table, old: .full(id.key)) : .insert(id.table, new: id.key)
            live.log.append(.init(change: change, id: id, assigned: [:]))
        }
        live.force(copies: (live.copies[id.table]?[id.key] ?? 0) - count, of: id)
    }

    private mutating func heal(_ id: RowID) {
        let model = world.tables[id.table]!
        let wanted = clone.database[id]
        var healed = wanted
        if wanted != nil, live[id] != nil {
            for column in wanted!.indices where world.follows(id.table, column) {
                if let version = live[id]![column].number { healed![column] = Value(version + 1) }
            }
        }
        switch (live[id], healed) {
        case (nil, nil): return
        case (nil, let new?):
            live.log.append(.init(change: .insert(id.table, new: new), id: id, assigned: [:]))
        case (let old?, nil):
            let key: OldRow = model.isFull ? .full(old) : .key(id.key)
            live.log.append(.init(change: .delete(id.table, old: key), id: id, assigned: [:]))
        case (let old?, let new?):
            live.log.append(
                .init(change: .update(id.table, old: model.isFull ? .full(old) : nil, new: new), id: id, assigned: [:]))
        }
        live.force(healed, at: id)
    }

    /// Everything is healed: live and clone are the same on every row, open ones included.
    mutating func healAll() throws {
        try clone.unfold()
        live.log = []
        for id in clone.state.taints.keys.sorted() { heal(id) }
        for id in clone.state.copies.keys.sorted() { healCopies(id) }
        let changes = live.log.map(\.change)
        live.log = []
        if !changes.isEmpty { _ = try clone.merge([next(.heal, changes)]) }
        try require(clone.broken(live))
        if !clone.engine.isClean { try require("P7: \(Array(clone.engine.taintedRows)) differ after heal") }
        for table in world.ids where clone.database.sortedRows(table) != live.sortedRows(table) {
            try require("P7: table \(table) differs after heal")
        }
    }
}
