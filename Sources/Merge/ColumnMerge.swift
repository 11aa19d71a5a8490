// Stable's update of a row that differs in live and clone, column by column. base is live's row before, new live's row after.

extension BatchMerge {
    /// - Parameter spared: columns that only live's foreign keys changed.
    mutating func merged(
        _ id: RowID, base: Row, new: Row, clone: Row, spared: Set<Int>, _ layout: TableLayout
    ) -> Row {
        var row = clone
        for column in row.indices {
            let isTainted = base[column] != clone[column]
            if layout.rules[column] == .follow {
                row[column] = new[column]
            } else if spared.contains(column) {
                continue
            } else if new[column] == base[column] {
                if isTainted { report(.kept, id, column: layout.column(column), saved: clone, live: base, stable: new) }
            } else if !isTainted || layout.isKeyColumn[column] {
                row[column] = new[column]
            } else {
                row[column] = ruled(id, column, base: base, new: new, clone: clone, layout)
            }
        }
        return row
    }

    /// The value of a tainted column that stable changed.
    private mutating func ruled(
        _ id: RowID, _ column: Int, base: Row, new: Row, clone: Row, _ layout: TableLayout
    ) -> Value {
        let name = layout.column(column)
        switch layout.rules[column] {
        case .overwrite: report(.overwritten, id, column: name, saved: clone, live: base, stable: new)
        case .hold: report(.held, id, column: name, isOpen: true, saved: clone, live: base, stable: new)
        case .stamp, .follow: break
        case .add:
            let addition = layout.schema.columns[column].addition
            if let sum = addition.sum(clone[column], plus: new[column], minus: base[column]) {
                report(.added, id, column: name, saved: clone, live: base, stable: new)
                return sum
            }
            report(.addImpossible, id, column: name, isOpen: true, saved: clone, live: base, stable: new)
        }
        return new[column]
    }
}
