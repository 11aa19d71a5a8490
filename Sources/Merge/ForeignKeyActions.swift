// What the database does to children when a parent goes or gets other values, done in the clone for children that live
// does not have there: the canary deleted them or gave them to another parent. Live's own children the stream brings.

/// Where a row went.
struct Arrival {
    var id: RowID
    var row: Row
    var layout: TableLayout
}

/// A row, of live or of the clone, that went or got other values.
struct Departure {
    var id: RowID
    var row: Row
    var layout: TableLayout
    /// nil when it was deleted.
    var arrival: Arrival?
}

/// What happens to the children of one departure.
private struct ChildAction {
    let parent: RowID
    /// What they refer to.
    let gone: UniqueEntry
    /// What their parent has instead; nil when it was deleted.
    let values: [Value]?
    /// Live's row went the same way, so live's children with these values are changed by the stream.
    let streamBrings: Bool

    func kind(_ key: ForeignKey) -> ReferentialAction { values == nil ? key.onDelete : key.onUpdate }

    /// - Returns: nil when the child goes.
    func changed(_ child: Row, by key: ForeignKey) -> Row? {
        var row = child
        switch kind(key) {
        case .refuse: break
        case .assign(let new): for (column, value) in new { row[column] = value }
        case .cascade:
            guard let values else { return nil }
            for (column, value) in zip(key.columns, values) { row[column] = value }
        }
        return row
    }
}

extension BatchMerge {
    /// - Parameters:
    ///   - departure: the clone's row.
    ///   - live: live's row before, which went the same way.
    mutating func actOnChildren(_ departure: Departure, live: Row) throws(Halt) {
        /// Live's row before; nil where only the clone's row went.
        var departures: [(parent: Departure, live: Row?)] = [(departure, live)]
        while let (parent, live) = departures.popLast() {
            for reference in parent.layout.references {
                guard let gone = try referenced(reference, by: parent.row, parent.id) else { continue }
                let new = try referenced(gone.unique, by: parent.arrival)
                if gone == new { continue }
                let livesOwn = try live.flatMap { row throws(Halt) in try referenced(reference, by: row, parent.id) }
                let nulls = reference.columns.map { _ in Value.null }
                let action = ChildAction(
                    parent: parent.id, gone: gone, values: parent.arrival == nil ? nil : new?.values ?? nulls,
                    streamBrings: livesOwn == gone)
                for key in schema.referencing[gone.unique] ?? [] where action.kind(key) != .refuse {
                    for child in try cloneChildren(key, gone, withUntouched: !action.streamBrings) {
                        if let next = try act(action, on: child, key.id) { departures.append((next, nil)) }
                    }
                }
            }
        }
    }

    /// The values of a row that went somewhere, in the index of the same name there.
    func referenced(_ unique: UniqueID, by arrival: Arrival?) throws(Halt) -> UniqueEntry? {
        guard let arrival, let same = arrival.layout.references.first(where: { $0.unique == unique }) else {
            return nil
        }
        return try referenced(same, by: arrival.row, arrival.id)
    }

    /// - Returns: the child as a parent of others; nil when nothing was done or nothing can refer to it.
    private mutating func act(_ action: ChildAction, on id: RowID, _ key: ForeignKeyID) throws(Halt) -> Departure? {
        let layout = try layout(of: id.table)
        guard let own = layout.schema.foreignKeys.first(where: { $0.id == key }) else { return nil }
        if layout.isKeyless {
            let new = action.changed(id.key, by: own)
            try actOnCopies(of: id, layout, becoming: new, onlyClones: action.streamBrings)
            return nil
        }
        let slot = try fullSlot(id)
        guard let clone = slot.clone else { return nil }
        if action.streamBrings, let live = slot.live, try reference(own, of: live, id)?.values == action.gone.values {
            return nil
        }
        report(.foreignKeyAction, id, saved: clone, live: slot.live, counterpart: action.parent)
        var arrival: Arrival?
        if let new = action.changed(clone, by: own) {
            arrival = try place(new, from: id, slot, layout, for: action.parent)
        } else {
            try put(id, over: slot, clone: nil, layout)
        }
        return Departure(id: id, row: clone, layout: layout, arrival: arrival)
    }

    /// Writes a row of the clone that an action changed, under another key when the key refers.
    ///
    /// - Returns: nil when the clone has a row with that key already: then the row goes, and a person looks.
    private mutating func place(
        _ new: Row, from id: RowID, _ slot: Slot, _ layout: TableLayout, for parent: RowID
    ) throws(Halt) -> Arrival? {
        let arrival = layout.rowID(of: new)
        if arrival == id {
            try put(id, over: slot, clone: new, layout)
            return Arrival(id: id, row: new, layout: layout)
        }
        let place = try fullSlot(arrival)
        try put(id, over: slot, clone: nil, layout)
        if place.clone != nil {
            report(.foreignKeyChild, id, isOpen: true, saved: slot.clone, live: slot.live, counterpart: arrival)
            return nil
        }
        report(.foreignKeyAction, arrival, live: place.live, counterpart: parent)
        try put(arrival, over: place, clone: following(place.live, new, layout), layout)
        try listAgain(id, as: arrival)
        return Arrival(id: arrival, row: new, layout: layout)
    }

    /// Any row's slot with every value.
    func fullSlot(_ id: RowID) throws(Halt) -> Slot {
        var slot = try slotOrAsk(id)
        if !slot.isTainted, let row = slot.clone {
            slot.clone = try full(row, id)
            slot.live = slot.clone
        }
        return slot
    }

    /// Rows of the clone that refer to values, in the order of their names: those that are tainted or were written in this
    /// batch, and the untouched ones where there can be any.
    ///
    /// - Parameter withUntouched: an untouched row has live's values, so it needs a tainted parent in live.
    mutating func cloneChildren(
        _ foreignKey: ForeignKey, _ gone: UniqueEntry, withUntouched: Bool
    ) throws(Halt) -> [RowID] {
        try indexChildren()
        let entry = ReferenceEntry(foreignKey: foreignKey.id, values: gone.values)
        var children: [RowID] = []
        for id in rows(ledger.cloneChildren[entry], index.cloneChildren[entry]) {
            let layout = try layout(of: id.table)
            if layout.isKeyless {
                children.append(id)
            } else if let clone = slot(id)?.clone,
                let own = layout.schema.foreignKeys.first(where: { $0.id == foreignKey.id }),
                try reference(own, of: clone, id) == entry
            {
                children.append(id)
            }
        }
        let canHide = schema.tablesByForeignKey[foreignKey.id]?.contains { isEmptiedByCanary($0) } ?? false
        let hasOthers = withUntouched ? try taintedLiveHolder(gone) != nil : false
        guard canHide || hasOthers else { return children }
        guard let found = answers.children[entry] else { throw .unanswered(.children(entry)) }
        return (children + found.map(\.id).filter(isAsBeforeTheBatch)).sorted()
    }

    /// Brings the index of children up to what the batch has written.
    private mutating func indexChildren() throws(Halt) {
        while let id = index.newChildren.last {
            if let clone = slot(id)?.clone {
                for entry in try references(of: clone, id, layout(of: id.table)) {
                    index.cloneChildren[entry, default: .one(id)].insert(id)
                }
            }
            index.newChildren.removeLast()
        }
    }
}
