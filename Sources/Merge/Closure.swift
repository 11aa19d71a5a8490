// The clone's constraints at the commit of one transaction, only around rows that it changed.
//
// Live satisfies its constraints at every commit, so whatever is violated in the clone involves a row that differs from
// live's. Taking live's value there makes the two more alike, so this ends; at worst the clone is what live is.

extension BatchMerge {
    mutating func settle() throws(MergeError) {
        var next = 0
        while next < now.queue.count {
            let check = now.queue[next]
            next += 1
            try attempt { (merge) throws(Halt) in
                switch check {
                case .row(let id): try merge.judgeRow(id)
                case .copies(let id): try merge.judgeCopies(id)
                case .lost(let entry): try merge.judgeLost(entry)
                }
            }
        }
        now.queue = []
    }

    private mutating func judgeRow(_ id: RowID) throws(Halt) {
        work[id.table]?.unqueue(id.key)
        let layout = try layout(of: id.table)
        guard let slot = work[id.table]?[id.key], let clone = slot.clone, clone != slot.cloneBefore else {
            return
        }
        if layout.schema.hasChecks, slot.isTainted {
            let image = RowImage(table: id.table, row: clone)
            if let judgement = answers.judgements[image] {
                if !judgement.isValid { return try takeLive(id, nil, .check) }
            } else {
                missing.insert(.judgement(image))
            }
        }
        try judgeUniques(id, slot, clone, layout)
        // A victim among the row's own columns is queued again.
        guard work[id.table]?[id.key]?.isQueued == false else { return }
        try judgeParents(id, slot, clone, layout)
    }

    /// The clone's row, or some of its columns, becomes what live has; where live has no such row, none.
    ///
    /// - Parameter counterpart: the row that needs it.
    mutating func takeLive(
        _ id: RowID, _ columns: [Int]?, _ reason: Finding.Reason, for counterpart: RowID? = nil
    ) throws(Halt) {
        let layout = try layout(of: id.table)
        if layout.isKeyless { return try takeLiveCopies(id, layout, reason) }
        let slot = try fullSlot(id)
        var row = slot.live
        if let live = slot.live, let clone = slot.clone, let columns {
            row = clone
            for column in columns { row![column] = live[column] }
        }
        guard row != slot.clone else { return }
        report(reason, id, isOpen: true, saved: slot.clone, live: slot.live, counterpart: counterpart)
        try put(id, over: slot, clone: row, layout)
    }

    /// For a row that the clone would not take.
    mutating func takeLiveIfTainted(_ id: RowID) throws(Halt) {
        let layout = try layout(of: id.table)
        if layout.isKeyless ? !isAsBeforeTheBatch(id) : slot(id)?.isTainted == true {
            try takeLive(id, nil, .constraint)
        }
    }
}
