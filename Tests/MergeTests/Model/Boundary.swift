// What must hold at every commit (P1 to P4 and P6), looked at from outside: in the real live database, the clone and what
// the clone's own tables say.

import Merge

/// Who wrote what last in live, for P4. Of tables with keys.
struct Writers: Sendable {
    struct Row: Sendable {
        var columns: [Int: Origin] = [:]
        /// Whose INSERT, as far as stable or the canary made the row.
        var insertedBy: Origin
    }
    /// Rows of live.
    private(set) var rows: [RowID: Row] = [:]
    /// Who deleted a row that is not in live, and who had inserted it.
    private(set) var deleted: [RowID: (by: Origin, insertedBy: Origin?)] = [:]
    /// Which transaction wrote a row last, or took it away.
    private var last: [RowID: UInt32] = [:]
    private var emptied: [TableID: UInt32] = [:]

    private func made(_ row: Merge.Row, by origin: Origin) -> Row {
        Row(columns: Dictionary(uniqueKeysWithValues: row.indices.map { ($0, origin) }), insertedBy: origin)
    }

    /// nil for a row that nobody has written since the beginning.
    func xid(_ id: RowID) -> UInt32? {
        [last[id], emptied[id.table]].compactMap(\.self).max()
    }

    /// - Parameter xid: of the transaction, which are numbered in their order.
    mutating func note(_ changes: [LoggedChange], by origin: Origin, xid: UInt32, before: ModelDatabase) {
        for logged in changes {
            last[logged.id] = xid
            if let from = logged.from { last[from] = xid }
            if case .truncate(let tables) = logged.change { for table in tables { emptied[table] = xid } }
        }
        var live: [RowID: Merge.Row] = [:]
        func old(_ id: RowID) -> Merge.Row? { live[id] ?? before[id] }
        let world = before.world
        /// What the change before deleted: the first half of a move to another partition.
        var leaving: (id: RowID, row: Merge.Row, writer: Row?)?
        for logged in changes where !world.tables[logged.id.table]!.isKeyless {
            let table = logged.id.table
            defer { if case .delete = logged.change {} else { leaving = nil } }
            switch logged.change {
            case .insert(_, let new):
                live[logged.id] = new
                deleted[logged.id] = nil
                var writer = made(new, by: origin)
                if origin == .stable, let leaving, leaving.id.table != table,
                    let root = world.tables[table]!.schema.root,
                    root == world.tables[leaving.id.table]!.schema.root
                {
                    let names = world.tables[leaving.id.table]!.schema.columns
                    for column in leaving.row.indices {
                        let place = world.tables[table]!.column(names[column].name)
                        if new[place] == leaving.row[column] {
                            writer.columns[place] = leaving.writer?.columns[column]
                        }
                    }
                    writer.insertedBy = leaving.writer?.insertedBy ?? .stable
                }
                rows[logged.id] = writer
            case .update(_, let key, let sent):
                let model = world.tables[table]!
                let source =
                    switch key {
                    case nil: logged.id
                    case .key(let values): RowID(table: table, key: values)
                    case .full(let row): model.rowID(row)
                    }
                let base = old(source)!
                let new = sent.indices.map { sent[$0] == .unchanged ? base[$0] : sent[$0] }
                var writer = rows[source] ?? Row(insertedBy: .stable)
                for column in new.indices where new[column] != base[column] { writer.columns[column] = origin }
                if source != logged.id {
                    deleted[source] = (origin, writer.insertedBy)
                    rows[source] = nil
                    if origin != .stable { writer = made(new, by: origin) }
                }
                live[logged.id] = new
                rows[logged.id] = writer
                deleted[logged.id] = nil
            case .delete:
                leaving = old(logged.id).map { (logged.id, $0, rows[logged.id]) }
                live[logged.id] = nil
                deleted[logged.id] = (origin, rows[logged.id]?.insertedBy)
                rows[logged.id] = nil
            case .truncate(let tables):
                for (id, writer) in rows where tables.contains(id.table) {
                    deleted[id] = (origin, writer.insertedBy)
                    rows[id] = nil
                }
                // Stable's takes the clone's rows too, also those that live has lost before.
                if origin == .stable {
                    for id in deleted.keys where tables.contains(id.table) { deleted[id]!.by = origin }
                }
            }
        }
    }
}

extension ModelClone {
    /// P1 to P3.
    ///
    /// - Returns: what does not hold; nil when everything does.
    func broken(_ live: ModelDatabase) -> String? {
        for table in world.ids {
            let model = world.tables[table]!
            let emptied = state.emptied[table] != nil
            if model.isKeyless {
                let rows = Set((live.copies[table] ?? [:]).keys).union((database.copies[table] ?? [:]).keys)
                    .union(state.copies.keys.filter { $0.table == table }.map(\.key))
                for row in rows {
                    let (l, c) = (live.copies[table]?[row] ?? 0, database.copies[table]?[row] ?? 0)
                    let recorded = state.copies[RowID(table: table, key: row)]?.count
                    if l != (emptied ? 0 : c) + (recorded ?? 0) { return "P1: \(l) copies of \(row.map(\.string))" }
                    if recorded == 0 { return "P2: a record that says nothing" }
                }
                continue
            }
            let keys = Set((live.rows[table] ?? [:]).keys).union((database.rows[table] ?? [:]).keys)
                .union(state.taints.keys.filter { $0.table == table }.map(\.key))
            for key in keys {
                let id = RowID(table: table, key: key)
                let said = state.taints[id].map(\.live) ?? (emptied ? nil : database[id])
                if said != live[id] { return "P1: live's \(id) is \(shown(live[id])), the state says \(shown(said))" }
                guard let taint = state.taints[id] else { continue }
                if emptied ? taint.live == nil : taint.live == database[id] { return "P2: \(id) is not tainted" }
            }
        }
        if let violation = database.violation { return "P3: \(violation)" }
        return nil
    }

    /// Who a tainted row says has written it last, which heal relies on: nobody but its last writer.
    func misnamed(_ writers: Writers) -> String? {
        for record in state.taints.values where record.xid != 0 && record.xid != writers.xid(record.row) {
            return "\(record.row) was not written by \(record.xid) but \(writers.xid(record.row) ?? 0)"
        }
        return nil
    }

    /// P4: no write of stable's is lost without a line in the report.
    func lost(_ writers: Writers, _ live: ModelDatabase) -> String? {
        let listed = Set(report.values.map(\.row))
        let excepted = Set(
            report.values.filter { [.dropped, .spared, .foreignKeyAction].contains($0.reason) }.map(\.row))
        for (id, writer) in writers.rows {
            guard let row = live[id] else { continue }
            for (column, origin) in writer.columns where origin == .stable && !excepted.contains(id) {
                guard let own = database[id] else { return "P4: \(id) is missing" }
                if world.rule(id.table, column) == .add || own[column] == row[column] { continue }
                return "P4: \(id) has \(shown(own)), stable wrote \(shown(row)), column \(column)"
            }
        }
        for (id, end) in writers.deleted {
            if end.by == .stable, database[id] != nil, !excepted.contains(id) { return "P4: \(id) was deleted" }
            if end.by == .canary, end.insertedBy == .stable, database[id] == nil, !listed.contains(id) {
                return "P4: \(id) was inserted"
            }
        }
        return nil
    }

    /// P6: nothing but columns that follow has changed since.
    func moved(since before: ModelDatabase) -> String? {
        for table in world.ids {
            if before.copies[table] ?? [:] != database.copies[table] ?? [:] { return "P6: copies of \(table)" }
            let (old, new) = (before.rows[table] ?? [:], database.rows[table] ?? [:])
            guard old.count == new.count else { return "P6: rows of \(table)" }
            for (key, row) in old {
                guard let now = new[key], world.claimed(now, table) == world.claimed(row, table) else {
                    return "P6: \(RowID(table: table, key: key))"
                }
            }
        }
        return nil
    }
}

func shown(_ row: Row?) -> String { row.map { "(\($0.map(\.string).joined(separator: ",")))" } ?? "absent" }
