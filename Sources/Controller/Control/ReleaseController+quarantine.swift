// What a rollback kept out of the data, and what people decide about it.
//
// A decision is a write of Perch's role to the live database. While a release of the service is recorded it is part of the
// recording, as stable's; so there is none where the recording would say otherwise, and none while a rollback goes on.

package import ControlModel
import Ports
package import Releases

extension ReleaseController {
    package func quarantine(
        _ id: ReleaseID, _ selection: QuarantineSelection, withRows: Bool
    ) async throws(Refusal) -> QuarantineList {
        let state = try await state(id)
        guard state.policy.database != nil else { return QuarantineList(changes: []) }
        var list = QuarantineList(changes: try await lines(of: id, selection))
        guard withRows, !list.changes.isEmpty else { return list }
        do {
            let rows = try await ports.data.quarantinedRows(
                release: id, policy: state.policy, ids: list.changes.map(\.id))
            for index in list.changes.indices {
                list.changes[index].now = rows[list.changes[index].id].map(SideLine.init)
            }
        } catch {
            list.unread = error.message
        }
        return list
    }

    package func applyQuarantine(
        _ id: ReleaseID, _ request: ApplyRequest, by person: String
    ) async throws(Refusal) -> DecisionResult {
        let state = try await state(id)
        try await requireDecidable(state)
        var side: QuarantinedChange.Side?
        if let take = request.take {
            side = QuarantinedChange.Side(rawValue: take)
            if side == nil { throw Refusal(.refusedByPolicy, "take must be before, canary or stable, not '\(take)'") }
        }
        let ids = try await ids(id, request.selection)
        let seen = (request.seen ?? []).map { ($0.id, QuarantinedRow($0.now)) }
        let order = QuarantineOrder(
            ids: ids, side: side, columns: request.columns ?? [], isWholeRow: request.wholeRow ?? false,
            seen: Dictionary(seen) { $1 }, isAgain: request.again ?? false, isRehearsal: request.dryRun ?? false,
            person: person, reason: request.reason, at: ports.now())
        do {
            let writes = try await ports.data.applyQuarantine(release: id, policy: state.policy, order)
            return DecisionResult(
                release: id, items: ids, dryRun: order.isRehearsal, writes: writes.map(DecisionResult.Write.init))
        } catch {
            throw Refusal(deciding: error, id)
        }
    }

    package func discardQuarantine(
        _ id: ReleaseID, _ request: DiscardRequest, by person: String
    ) async throws(Refusal) -> DecisionResult {
        _ = try await state(id)
        _ = try driver(of: id.service)
        let ids = try await ids(id, request.selection)
        do {
            try await ports.data.discardQuarantine(
                release: id, ids: ids, person: person, reason: request.reason, at: ports.now())
            return DecisionResult(release: id, items: ids, dryRun: false, writes: [])
        } catch {
            throw Refusal(deciding: error, id)
        }
    }

    /// Puts back what healing the release's data changed.
    package func undoHeal(
        _ id: ReleaseID, _ request: UndoHealRequest, by person: String
    ) async throws(Refusal) -> UndoHealResult {
        let state = try await state(id)
        try await requireDecidable(state)
        guard state.phase == .rolledBack else {
            throw Refusal(
                .conflict, "\(id) is \(state.phase.name): only a rollback that healed the data can be undone",
                release: id)
        }
        do {
            let undone = try await ports.data.undoHeal(
                release: id, policy: state.policy, skipsChanged: request.skipChanged ?? false,
                isRehearsal: request.dryRun ?? false)
            return UndoHealResult(
                release: id, rows: undone.rows, changedSince: undone.changedSince, dryRun: request.dryRun ?? false)
        } catch {
            throw Refusal(deciding: error, id)
        }
    }

    // MARK: -

    /// - Throws: when an entry that is named is not there.
    private func lines(
        of id: ReleaseID, _ selection: QuarantineSelection
    ) async throws(Refusal) -> [QuarantineLine] {
        let all: [QuarantineLine]
        do {
            all = try await ports.data.quarantine(release: id).map(QuarantineLine.init)
        } catch {
            throw Refusal(.unavailable, error.message, hint: error.hint)
        }
        let chosen = all.filter(selection.covers)
        let hint = "`perch quarantine list \(id)`"
        if let missing = selection.items?.first(where: { item in !chosen.contains { $0.id == item } }) {
            throw Refusal(.notFound, "\(id) has no entry \(missing) in quarantine", hint: hint, release: id)
        }
        if let transaction = selection.transaction, chosen.isEmpty {
            throw Refusal(
                .notFound, "\(id) has nothing of transaction \(transaction) in quarantine", hint: hint, release: id)
        }
        return chosen
    }

    private func ids(_ id: ReleaseID, _ selection: QuarantineSelection) async throws(Refusal) -> [Int] {
        guard !(selection.items ?? []).isEmpty || selection.transaction != nil else {
            throw Refusal(.refusedByPolicy, "which entries?", hint: "name items or a transaction", release: id)
        }
        return try await lines(of: id, selection).map(\.id)
    }

    private func requireDecidable(_ state: ReleaseState) async throws(Refusal) {
        let service = state.id.service
        _ = try driver(of: service)
        guard state.policy.database != nil else {
            throw Refusal(.conflict, "the policy of \(state.id) names no database", release: state.id)
        }
        let releases: [(id: ReleaseID, isActive: Bool)]
        do {
            releases = try await store.unfinished(of: service)
        } catch {
            throw Refusal(error)
        }
        guard let id = releases.first(where: \.isActive)?.id else { return }
        let active = try await self.state(id)
        // A rollback under `nocascade` waits for exactly these decisions.
        let waitsForThem = active.id == state.id && active.policy.database?.rollback.merge == .nocascade
        if case .rollingBack = active.phase, !waitsForThem {
            throw Refusal(
                .conflict, "\(active.id) is being rolled back", hint: "decide when that has ended", release: active.id)
        }
        let unattributed = active.policy.database?.rollback.unattributed ?? .stable
        guard active.snapshot == nil || unattributed == .stable else {
            throw Refusal(
                .conflict,
                "\(active.id) is being recorded, and what neither role writes is \(unattributed.rawValue) to it",
                hint: "decide when that release has ended", release: active.id)
        }
    }
}

// MARK: Documents from values

extension QuarantineLine {
    init(_ change: QuarantinedChange) {
        let kind =
            switch change.reason {
            case .canaryWrite: "canary-write"
            case .transactionKeptOut: "transaction-kept-out"
            default: "conflict"
            }
        self.init(
            id: change.id, kind: kind, reason: change.reason.rawValue, origin: change.origin.rawValue,
            table: change.table, operation: change.operation, key: change.key, column: change.column, row: change.row,
            before: change.image(.before).map(SideLine.init), canary: change.image(.canary).map(SideLine.init),
            stable: change.image(.stable).map(SideLine.init), differing: change.differingColumns,
            commitLSN: change.commitLSN, xid: Int(change.xid),
            committedAt: Instant(millisecondsSince1970: change.committedAt).iso8601, detail: change.detail,
            isOpen: change.isOpen, count: change.count, decision: change.decision.map(DecisionLine.init))
    }
}

extension DecisionLine {
    fileprivate init(_ decision: QuarantineDecision) {
        self.init(
            how: decision.how.rawValue, side: decision.side?.rawValue, person: decision.person,
            reason: decision.reason, at: Instant(millisecondsSince1970: decision.at).iso8601)
    }
}

extension SideLine {
    fileprivate init(_ row: QuarantinedRow) { self.init(isThere: row != .absent, row: row.row) }
}

extension QuarantinedRow {
    fileprivate init(_ side: SideLine) { self = side.isThere ? .row(side.row ?? [:]) : .absent }
}

extension DecisionResult.Write {
    fileprivate init(_ write: QuarantineWrite) {
        self.init(
            operation: write.operation.rawValue, table: write.table, key: write.key, from: write.from, to: write.to)
    }
}

extension Refusal {
    fileprivate init(deciding failure: Failure, _ id: ReleaseID) {
        self.init(failure.isTransient ? .unavailable : .conflict, failure.message, hint: failure.hint, release: id)
    }
}
