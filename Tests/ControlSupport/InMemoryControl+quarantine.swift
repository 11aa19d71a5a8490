// Decisions about a quarantine: the model writes the whole row of a side to what an entry says is now.

package import ControlModel
package import Releases

extension InMemoryControl {
    package func quarantine(
        _ id: ReleaseID, _ selection: QuarantineSelection, withRows: Bool
    ) throws(Refusal) -> QuarantineList {
        let all = try find(id).quarantine
        if let missing = selection.items?.first(where: { item in !all.contains { $0.id == item } }) {
            throw Refusal(.notFound, "\(id) has no entry \(missing) in quarantine", release: id)
        }
        return QuarantineList(
            changes: all.filter(selection.covers).map { line in
                var line = line
                if !withRows { line.now = nil }
                return line
            })
    }

    /// Writes the whole row of the side that is named.
    package func applyQuarantine(
        _ id: ReleaseID, _ request: ApplyRequest, by person: String
    ) throws(Refusal) -> DecisionResult {
        let take = request.take ?? "canary"
        calls.append("apply \(id) \(take) \(person) \(request.reason ?? "-")")
        var result = DecisionResult(release: id, items: [], dryRun: request.dryRun ?? false, writes: [])
        for (index, line) in try find(id).quarantine.enumerated() where request.selection.covers(line) {
            if let seen = request.seen?.first(where: { $0.id == line.id }), seen.now != line.now {
                throw Refusal(.conflict, "the row of entry \(line.id) has changed", release: id)
            }
            let side = take == "before" ? line.before : take == "stable" ? line.stable : line.canary
            result.items.append(line.id)
            guard side != line.now else { continue }
            result.writes.append(
                .init(operation: "update", table: line.table, key: line.key, from: line.now?.row, to: side?.row))
            guard !result.dryRun else { continue }
            change(id) {
                $0.quarantine[index].now = side
                $0.quarantine[index].isOpen = false
                $0.quarantine[index].decision = DecisionLine(
                    how: "applied", side: take, person: person, reason: request.reason, at: "2026-08-01T10:00:00Z")
            }
        }
        return result
    }

    package func undoHeal(
        _ id: ReleaseID, _ request: UndoHealRequest, by person: String
    ) throws(Refusal) -> UndoHealResult {
        _ = try find(id)
        calls.append("undo \(id) \(person) \(request.skipChanged ?? false)")
        return UndoHealResult(
            release: id, rows: 3, changedSince: ["public.orders (id = 7)"], dryRun: request.dryRun ?? false)
    }

    package func discardQuarantine(
        _ id: ReleaseID, _ request: DiscardRequest, by person: String
    ) throws(Refusal) -> DecisionResult {
        calls.append("discard \(id) \(person) \(request.reason ?? "-")")
        let lines = try find(id).quarantine
        for (index, line) in lines.enumerated() where request.selection.covers(line) {
            change(id) {
                $0.quarantine[index].isOpen = false
                $0.quarantine[index].decision = DecisionLine(
                    how: "discarded", side: nil, person: person, reason: request.reason, at: "2026-08-01T10:00:00Z")
            }
        }
        return DecisionResult(
            release: id, items: lines.filter(request.selection.covers).map(\.id), dryRun: false, writes: [])
    }
}
