// One batch of transactions merged over an unmoved ledger. When an answer of the clone is missing the step that needs it is
// left out and the rest goes on, only to learn what else is missing; the outcome of such a run is thrown away.

struct BatchMerge: Sendable {
    let schema: Schema
    let policy: MergePolicy
    let ledger: Ledger
    let answers: Answers
    var missing: Set<Lookup> = []
    var work: [TableID: TableWork] = [:]
    var index = BatchIndex()
    /// Ghosts that the batch made, changed or (nil) removed.
    var ghosts: [RowID: Ghost?] = [:]
    var ghostOrder: [RowID] = []
    var findings = FindingList()
    var quarantined: [QuarantinedTransaction] = []
    var position: UInt64
    /// How many rows the batch writes, by table.
    var expected: [TableID: Int] = [:]
    var now = TransactionWork()
    /// Number of the transaction in the batch.
    var ordinal = 0

    init(schema: Schema, policy: MergePolicy, ledger: Ledger, answers: Answers) {
        self.schema = schema
        self.policy = policy
        self.ledger = ledger
        self.answers = answers
        position = ledger.position
    }

    /// - Parameter refused: rows that the clone would not take when this batch was tried before.
    mutating func run(_ batch: [SourceTransaction], refused: [RowID]) throws(MergeError) {
        let new = batch.filter { $0.endLSN > ledger.position }
        for transaction in new {
            for change in transaction.changes {
                if let table = change.table { expected[table, default: 0] += 1 }
            }
        }
        for (number, transaction) in new.enumerated() {
            try merge(transaction, refused: number == new.count - 1 ? refused : [])
            position = transaction.endLSN
        }
    }

    private mutating func merge(_ transaction: SourceTransaction, refused: [RowID]) throws(MergeError) {
        begin(transaction, asStable: isStable(transaction.origin))
        try apply(transaction)
        for row in refused { try attempt { (merge) throws(Halt) in try merge.takeLiveIfTainted(row) } }
        try settle()
        if now.keepsUndo, now.hasConflict {
            let conflicts = now.findings.all.filter { $0.lastCommitLSN == now.commitLSN }
            quarantined.append(.init(transaction: transaction, conflicts: conflicts))
            takeBack()
            begin(transaction, asStable: false)
            try apply(transaction)
            try settle()
        }
        for finding in now.findings.all { findings.add(finding) }
    }

    private func isStable(_ origin: Origin) -> Bool {
        switch origin {
        case .stable: true
        case .canary, .heal: false
        case .unattributed: policy.unattributed != .canary
        }
    }

    private mutating func begin(_ transaction: SourceTransaction, asStable: Bool) {
        ordinal += 1
        now = TransactionWork()
        now.xid = transaction.xid
        now.commitLSN = transaction.commitLSN
        now.isStable = asStable
        now.keepsUndo = asStable && policy.mode == .cascade
    }

    private mutating func apply(_ transaction: SourceTransaction) throws(MergeError) {
        guard now.isStable else {
            let isHeal = transaction.origin == .heal
            for change in transaction.changes {
                try attempt { (merge) throws(Halt) in try merge.moveLive(change, isHeal: isHeal) }
            }
            return
        }
        let isHeld = transaction.origin == .unattributed && policy.unattributed == .hold
        var rest = transaction.changes[...]
        while let change = rest.popFirst() {
            if let next = rest.first, let (source, target) = partitions(of: change, next) {
                rest.removeFirst()
                try attempt { (merge) throws(Halt) in
                    try merge.stableMove(change, next, from: source, to: target, isHeld: isHeld)
                }
            } else {
                try attempt { (merge) throws(Halt) in try merge.stableChange(change, isHeld: isHeld) }
            }
        }
    }

    /// Does a step; notes what it lacked.
    ///
    /// - Throws: what makes no sense although nothing is missing.
    mutating func attempt(_ step: (inout BatchMerge) throws(Halt) -> Void) throws(MergeError) {
        do {
            try step(&self)
        } catch {
            switch error {
            case .unanswered(let lookup): missing.insert(lookup)
            case .broken(let error): if missing.isEmpty { throw error }
            }
        }
    }

    /// The transaction leaves no trace but what was learnt to be missing. Children that were looked for in its course are
    /// indexed again as they were.
    private mutating func takeBack() {
        for step in now.undo.reversed() {
            switch step {
            case .slot(let id, let slot):
                work[id.table]!.restore(id.key, slot)
                if slot != nil { index.newChildren.append(id) }
            case .copies(let id, let slot):
                work[id.table]!.restore(copies: id.key, slot)
            case .table(let id, let table):
                work[id] = table
                for (key, _) in table?.slots ?? [] { index.newChildren.append(RowID(table: id, key: key)) }
            case .ghost(let id, let ghost):
                ghosts[id] = ghost
                if ghost == nil { ghostOrder.removeLast() }
            }
        }
    }

    // MARK: Findings

    /// - Parameter isOpen: a person must decide, and under `cascade` the transaction is kept out.
    mutating func report(
        _ reason: Finding.Reason, _ row: RowID, column: String? = nil, isOpen: Bool = false, saved: Row? = nil,
        live: Row? = nil, stable: Row? = nil, counterpart: RowID? = nil
    ) {
        if isOpen { now.hasConflict = true }
        now.findings.add(
            Finding(
                row: row, reason: reason, column: column, isOpen: isOpen, saved: saved, live: live, stable: stable,
                counterpart: counterpart, movedFrom: nil, firstCommitLSN: now.commitLSN, lastCommitLSN: now.commitLSN,
                xid: now.xid, count: 1))
    }

    /// What was listed under a key is listed under the one that stable gave the row.
    mutating func listAgain(_ old: RowID, as new: RowID) throws(Halt) {
        guard let stored = answers.findings[old] else { throw .unanswered(.findings(old)) }
        let (source, target) = (try layout(of: old.table), try layout(of: new.table))
        var copies = FindingList()
        for finding in stored + findings[old] + now.findings[old] { copies.add(finding) }
        for var finding in copies.all.sorted(by: precedes) {
            finding.row = new
            finding.movedFrom = old
            finding.saved = finding.saved.map { converted($0, from: source, to: target) }
            finding.live = finding.live.map { converted($0, from: source, to: target) }
            finding.stable = finding.stable.map { converted($0, from: source, to: target) }
            now.findings.add(finding)
        }
    }
}

/// The same order in whatever order the report was read.
private func precedes(_ left: Finding, _ right: Finding) -> Bool {
    (left.reason.rawValue, left.column ?? "") < (right.reason.rawValue, right.column ?? "")
}
