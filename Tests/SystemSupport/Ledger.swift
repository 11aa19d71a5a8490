// The ledger's equation: what the customers were told, held against the live data and the quarantine.

package import ControlModel

/// What the service's database holds.
package struct LiveData: Sendable, Decodable {
    package struct Row: Sendable, Decodable {
        package var id: String
        package var value: Int
        package var version: String
    }
    package struct Account: Sendable, Decodable {
        package var session: String
        package var last: String
        package var version: String
    }
    package var entries: [Row]
    /// The `entry` of every row of the table without a key.
    package var lines: [String]
    package var accounts: [Account]

    /// All three tables of one moment.
    package static let query = """
        select json_build_object(
            'entries', (select coalesce(json_agg(json_build_object('id', id, 'value', value, 'version', version)), '[]')
                from entries),
            'lines', (select coalesce(json_agg(entry), '[]') from lines),
            'accounts', (select coalesce(json_agg(json_build_object('session', session, 'last', last, 'version', version)),
                '[]') from accounts))
        """
}

/// Everything that is known once the customers have stopped.
package struct Ledger: Sendable {
    package var entries: [Entry]
    package var live: LiveData
    package var quarantine: [QuarantineLine]
    /// Versions whose releases were rolled back with their data.
    package var takenBack: Set<String>

    /// What contradicts the equation, a sentence each; empty when every acknowledged write of a kept version is live
    /// exactly once or in quarantine, none of a version taken back is live, and nothing else is.
    package var violations: [String] {
        let values = Dictionary(live.entries.map { ($0.id, $0.value) }, uniquingKeysWith: { first, _ in first })
        let rows = Dictionary(grouping: live.entries, by: \.id)
        let lines = Dictionary(grouping: live.lines, by: { $0 })
        let aside = quarantined(.stable)
        var found: [String] = []
        let writes = entries.filter { $0.kind == .write }
        for entry in writes {
            let place = "entry \(entry.id) of \(entry.session) by \(entry.version ?? "nobody")"
            let copies = (rows[entry.id]?.count ?? 0, lines[entry.id]?.count ?? 0)
            if copies.0 > 1 || copies.1 > 1 { found.append("\(place) was applied twice: \(copies)") }
            let isTakenBack = entry.version.map { takenBack.contains($0) } ?? false
            if isTakenBack, copies != (0, 0) {
                found.append("\(place) was taken back but is live: \(copies)")
            } else if entry.isAcknowledgedWrite, !isTakenBack, copies != (1, 1), !aside.contains(entry.id) {
                found.append("\(place) was acknowledged but is neither live nor in quarantine: \(copies)")
            } else if let value = values[entry.id], value != entry.value {
                found.append("\(place) has value \(value), not \(entry.value)")
            }
        }
        found += live.entries.filter { takenBack.contains($0.version) }.map {
            "entry \($0.id) of \($0.version) is live"
        }
        found += live.accounts.filter { takenBack.contains($0.version) }
            .map { "account \($0.session) carries \($0.version)" }
        let known = Set(writes.map(\.id))
        found += rows.keys.filter { !known.contains($0) }.map { "entry \($0) is live, but nobody wrote it" }
        found += lines.keys.filter { !known.contains($0) }.map { "line \($0) is live, but nobody wrote it" }
        return found + accountViolations(writes, aside)
    }

    /// An account shows the last write of its session that was acknowledged and kept, or one sent after it.
    private func accountViolations(_ writes: [Entry], _ aside: Set<String>) -> [String] {
        let accounts = Dictionary(live.accounts.map { ($0.session, $0.last) }, uniquingKeysWith: { first, _ in first })
        return Dictionary(grouping: writes, by: \.session).compactMap { session, writes in
            let kept = writes.filter { entry in !(entry.version.map { takenBack.contains($0) } ?? false) }
            guard let last = kept.lastIndex(where: \.isAcknowledgedWrite) else { return nil }
            let allowed = Set(kept[last...].map(\.id))
            if let shown = accounts[session], allowed.contains(shown) { return nil }
            if aside.contains(kept[last].id) { return nil }
            return "account \(session) shows \(accounts[session] ?? "nothing"), last acknowledged was \(kept[last].id)"
        }
    }

    /// Acknowledged writes of versions taken back that the quarantine does not show.
    package var missingFromQuarantine: [String] {
        let shown = quarantined(.canary)
        return entries.filter { entry in
            entry.isAcknowledgedWrite && (entry.version.map { takenBack.contains($0) } ?? false)
                && !shown.contains(entry.id)
        }.map(\.id)
    }

    /// Requests that got no answer of the service.
    package var failedBecauseOfPerch: [String] {
        entries.filter { !$0.isFromService }.map { "\($0.kind) of \($0.session): \($0.status ?? 0) \($0.problem)" }
    }

    /// Answers of 400 and above by versions that have no defect.
    package func errors(besides broken: Set<ServiceVersion>) -> [String] {
        let broken = Set(broken.map(\.name))
        return entries.filter { entry in
            (entry.status ?? 0) >= 400 && !(entry.version.map { broken.contains($0) } ?? true)
        }.map { "\($0.kind) of \($0.session): \($0.status ?? 0) by \($0.version ?? ""): \($0.problem)" }
    }

    package func count(by version: ServiceVersion) -> Int { entries.count { $0.version == version.name } }

    private enum Origin: String { case stable, canary }

    /// The entry ids that changes of this origin in quarantine carry.
    private func quarantined(_ origin: Origin) -> Set<String> {
        var ids: Set<String> = []
        for change in quarantine where change.origin == origin.rawValue {
            for column in ["id", "entry", "last"] {
                if let value = change.row?[column] ?? change.key[column], let value { ids.insert(value) }
            }
        }
        return ids
    }
}
