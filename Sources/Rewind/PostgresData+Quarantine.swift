// Deciding about a release's quarantine: what rows are now, and writing what a person chose.

import Logging
package import Ports
import Postgres
package import Releases
import SystemPackage

extension PostgresData {
    /// Rows that are read or written at once.
    private static let maximumEntries = 10_000

    package func quarantine(release: ReleaseID) async throws(Failure) -> [QuarantinedChange] {
        let folder = folder(release)
        return Self.decided(
            try QuarantineFile.read(folder.quarantine), try DecisionFile(reading: folder.decisions).decisions)
    }

    private static func decided(
        _ entries: [QuarantinedChange], _ decisions: [EntryIdentity: QuarantineDecision]
    ) -> [QuarantinedChange] {
        guard !decisions.isEmpty else { return entries }
        return zip(entries, EntryIdentity.all(of: entries)).map { entry, identity in
            var entry = entry
            entry.decision = decisions[identity]
            if let how = entry.decision?.how, how != .unsettled { entry.isOpen = false }
            return entry
        }
    }

    package func quarantinedRows(
        release: ReleaseID, policy: Policy, ids: [Int]
    ) async throws(Failure) -> [Int: QuarantinedRow] {
        let chosen = try Chosen(release, folder(release), ids, limit: Self.maximumEntries)
        return try await onLive(policy) { rows throws(Failure) in
            var places: [Int: RowAddress] = [:]
            for entry in chosen.entries where entry.operation != "TRUNCATE" {
                places[entry.id] = try? DecisionPlan.addresses(of: entry, in: rows.tables).first
            }
            let found = try await rows.read(Array(places.values), locked: false)
            return places.mapValues { found[$0].map(QuarantinedRow.row) ?? .absent }
        }
    }

    package func applyQuarantine(
        release: ReleaseID, policy: Policy, _ order: QuarantineOrder
    ) async throws(Failure) -> [QuarantineWrite] {
        try await applyQuarantine(release: release, policy: policy, order) { _ in }
    }

    /// - Parameter faultPoint: called at each named place on the way.
    func applyQuarantine(
        release: ReleaseID, policy: Policy, _ order: QuarantineOrder, faultPoint: @escaping FaultPoint
    ) async throws(Failure) -> [QuarantineWrite] {
        try beginDecision(release)
        defer { endDecision(release) }
        let chosen = try Chosen(release, folder(release), order.ids, limit: Self.maximumEntries)
        let writes = try await onLive(policy) { rows throws(Failure) in
            var decision = Decision(
                release: release, chosen: chosen, order: order, rows: rows, faultPoint: faultPoint)
            return try await decision.make()
        }
        logger.notice(
            "quarantine decided",
            metadata: [
                "release": "\(release)", "person": "\(order.person)", "entries": "\(order.ids.count)",
                "rows": "\(writes.count)", "rehearsal": "\(order.isRehearsal)",
            ])
        return writes
    }

    package func discardQuarantine(
        release: ReleaseID, ids: [Int], person: String, reason: String?, at: Instant
    ) async throws(Failure) {
        try beginDecision(release)
        defer { endDecision(release) }
        let chosen = try Chosen(release, folder(release), ids, limit: .max)
        var file = chosen.file
        try file.append(
            DecisionLine(
                step: .discarded, number: file.nextNumber, entries: chosen.identities, person: person, reason: reason,
                at: at.millisecondsSince1970))
        logger.notice(
            "quarantine discarded",
            metadata: ["release": "\(release)", "person": "\(person)", "entries": "\(ids.count)"])
    }

    private func onLive<Value: Sendable>(
        _ policy: Policy, _ body: (DecidedRows) async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let (_, admin) = try admin(policy)
        let rows: DecidedRows
        do {
            let connection = try await Connection.open(admin)
            try await connection.execute(DecidedRows.session)
            rows = try await DecidedRows(connection)
        } catch {
            throw Failure("cannot read database \(admin.database): \(error)", isTransient: error.serverError == nil)
        }
        do throws(Failure) {
            let value = try await body(rows)
            await rows.connection.close()
            return value
        } catch {
            await rows.connection.close()
            throw error
        }
    }
}

/// Entries of a quarantine that are asked for.
struct Chosen: Sendable {
    /// In the order of the list.
    let entries: [QuarantinedChange]
    let identities: [EntryIdentity]
    let file: DecisionFile

    /// - Throws: when one is not there.
    init(_ release: ReleaseID, _ folder: ReleaseFolder, _ ids: [Int], limit: Int) throws(Failure) {
        let all = try QuarantineFile.read(folder.quarantine)
        let wanted = Set(ids)
        let chosen = zip(all, EntryIdentity.all(of: all)).filter { wanted.contains($0.0.id) }
        entries = chosen.map(\.0)
        identities = chosen.map(\.1)
        file = try DecisionFile(reading: folder.decisions)
        if let missing = wanted.subtracting(entries.map(\.id)).min() {
            throw Failure(
                "\(release) has no entry \(missing) in quarantine", hint: "`perch quarantine list \(release)`")
        }
        guard entries.count <= limit else {
            throw Failure("\(entries.count) entries are too many at once", hint: "at most \(limit)")
        }
    }
}
