// Quarantined changes: a list, each with its sides beside each other, and what a decision did. Pure.

import ControlModel
import Releases

func quarantineText(_ changes: [QuarantineLine], _ style: Style) -> [String] {
    guard !changes.isEmpty else { return ["nothing in quarantine"] }
    let rows = changes.map { change in
        [
            String(change.id), plain(change.kind), plain(change.reason), plain(change.operation), plain(change.table),
            columns(change.key), change.column.map(plain) ?? "-", plain(change.commitLSN), state(change, style),
        ]
    }
    let head = ["ID", "KIND", "REASON", "CHANGE", "TABLE", "KEY", "COLUMN", "COMMITTED AT", "DECISION"]
    return table([head] + rows, [.right])
}

/// One change with its row on every side.
func quarantineDetail(_ change: QuarantineLine, _ style: Style) -> [String] {
    let transaction = change.xid == 0 ? "" : ", transaction \(change.xid)"
    var pairs: [(name: String, value: String)] = [
        ("Change", style.bold(String(change.id)) + "  \(plain(change.operation)) of \(plain(change.table))"),
        ("Kind", plain(change.kind)), ("Reason", "\(plain(change.reason)): \(plain(change.detail))"),
        ("Committed", "\(plain(change.committedAt)) at \(plain(change.commitLSN))\(transaction)"),
        ("Key", columns(change.key)), ("Decision", state(change, style)),
    ]
    if let reason = change.decision?.reason { pairs.append(("", plain(reason))) }
    if change.count > 1 { pairs.append(("Writes", "\(change.count); this is the last")) }
    return keyValues(pairs) + sides(change, style)
}

/// A line a column, marked where the sides differ or the database has none of theirs.
private func sides(_ change: QuarantineLine, _ style: Style) -> [String] {
    let sides = [change.before, change.canary, change.stable, change.now]
    let names = Set(sides.compactMap { $0?.row }.flatMap(\.keys)).sorted()
    let key = names.filter { change.key.keys.contains($0) }
    let rows = (key + names.filter { !key.contains($0) }).map { name in
        let isMarked = change.differing.contains(name)
        let cells = sides.map { cell($0, name) }
        return [isMarked ? "*" : " ", plain(name)] + cells.map { isMarked ? style.bold($0) : $0 }
    }
    guard !rows.isEmpty else { return [] }
    return table([[" ", "COLUMN", "BEFORE", "CANARY'S", "STABLE'S", "NOW"]] + rows)
}

/// `-`: not known or not written by this side; `(no row)`: there was none.
private func cell(_ side: SideLine?, _ column: String) -> String {
    guard let side else { return "-" }
    guard side.isThere else { return "(no row)" }
    guard let value = side.row?[column] else { return "-" }
    return clipped(value.map(plain) ?? "null", to: 40)
}

private func state(_ change: QuarantineLine, _ style: Style) -> String {
    guard let decision = change.decision else { return change.isOpen ? style.yellow("open") : "-" }
    let side = decision.side.map { " \(plain($0))" } ?? ""
    return "\(plain(decision.how))\(side) by \(plain(decision.person))"
}

/// What was written, a line a row, and what it was about.
func decisionText(_ result: DecisionResult, _ verb: String, _ style: Style) -> [String] {
    let writes = result.writes.map { write in
        let sign: String =
            switch write.operation {
            case "insert": style.green("+")
            case "delete": style.red("-")
            default: style.yellow("~")
            }
        return "\(sign) \(plain(write.table))  \(columns(write.key))  \(changes(write))"
    }
    let items = "\(verb) \(result.items.count) \(result.items.count == 1 ? "entry" : "entries") of \(result.release)"
    if result.dryRun { return writes + ["nothing was kept: this was a dry run"] }
    return writes + [verb == "applied" && writes.isEmpty ? "\(items): the rows were so already" : items]
}

private func changes(_ write: DecisionResult.Write) -> String {
    guard let to = write.to else { return "deleted" }
    let changed = to.filter { write.from?[$0.key] != .some($0.value) }.sorted { $0.key < $1.key }
    return changed.map { name, value in
        let old = write.from.map { clipped(($0[name] ?? nil).map(plain) ?? "null", to: 40) + " -> " } ?? ""
        return "\(plain(name)): \(old)\(clipped(value.map(plain) ?? "null", to: 40))"
    }.joined(separator: ", ")
}

private func columns(_ values: [String: String?]) -> String {
    values.sorted { $0.key < $1.key }.map { "\(plain($0.key))=\($0.value.map(plain) ?? "null")" }
        .joined(separator: ",")
}
