// What a rewind left against what stable alone would have left: every row that differs has to be in the report, or hang on
// a row there by a foreign key.

import Ports
import Postgres

/// A row of a world's table, named as the report names it; of a table without a key, by all of its values.
struct RealPlace: Hashable, Comparable, CustomStringConvertible {
    /// With its schema.
    let table: String
    let key: [String?]

    var description: String { "\(table) (\(key.map { $0 ?? "NULL" }.joined(separator: ", ")))" }
    static func < (a: Self, b: Self) -> Bool { a.description < b.description }
}

/// All worlds of a database.
struct RealRows: Sendable {
    /// Copies of a row; one at most where there is a key.
    private(set) var rows: [RealPlace: [[String?]]] = [:]

    static func read(_ worlds: [RealWorld], _ settings: ConnectionSettings) async throws -> RealRows {
        var all = RealRows()
        let connection = try await Connection.open(settings, answerTimeout: .seconds(60))
        for world in worlds {
            for table in world.tables {
                let columns = table.columns.map(quoteIdentifier).joined(separator: ", ")
                for row in try await connection.query("SELECT \(columns) FROM \(world.name).\(table.name)").rows {
                    let place = RealPlace(
                        table: "\(world.name).\(table.name)",
                        key: table.key.map { row[table.columns.firstIndex(of: $0)!] })
                    all.rows[place, default: []].append(row)
                }
            }
        }
        await connection.close()
        return all
    }

    subscript(place: RealPlace) -> [[String?]] { rows[place] ?? [] }

    /// For people: rows with long values cut short.
    func shown(_ place: RealPlace) -> String {
        "[" + self[place].map { $0.map { ($0 ?? "NULL").prefix(24) }.joined(separator: "|") }.joined(separator: ", ")
            + "]"
    }

    func differences(_ other: RealRows, without columns: Set<Int> = []) -> Set<RealPlace> {
        func claimed(_ rows: [[String?]]) -> [[String?]] {
            rows.map { row in row.indices.filter { !columns.contains($0) }.map { row[$0] } }
        }
        return Set(
            Set(rows.keys).union(other.rows.keys).filter { claimed(self[$0]) != claimed(other[$0]) })
    }
}

struct RealCheck {
    let worlds: [RealWorld]
    let result: RealRows
    let alone: RealRows
    /// Other states in which a row may have hung on another.
    let others: [RealRows]
    private let listed: Set<RealPlace>
    /// Tables that the report names as a whole.
    private let listedTables: Set<String>
    private let reasons: [String: [QuarantinedChange.Reason]]

    struct Verdict {
        var fault: String?
        var isUnreported: Bool
        var differs: Bool
    }

    init(
        worlds: [RealWorld], result: RealRows, alone: RealRows, others: [RealRows], quarantine: [QuarantinedChange]
    ) {
        self.worlds = worlds
        self.result = result
        self.alone = alone
        self.others = others
        var tables: [String: RealTable] = [:]
        for world in worlds { for table in world.tables { tables["\(world.name).\(table.name)"] = table } }
        var listed: Set<RealPlace> = []
        var listedTables: Set<String> = []
        var reasons: [String: [QuarantinedChange.Reason]] = [:]
        // What the canary wrote is in the file too, but a row is only listed where stable met it.
        for entry in quarantine where entry.reason != .canaryWrite {
            let parts = entry.table.split(separator: ".").map(String.init)
            reasons[parts[0], default: []].append(entry.reason)
            let name = "\(parts[0]).\(RealWorld.root(parts[1]))"
            if entry.key.isEmpty {
                listedTables.insert(name)
            } else if let table = tables[name] {
                listed.insert(RealPlace(table: name, key: table.key.map { entry.key[$0] ?? nil }))
            }
        }
        (self.listed, self.listedTables, self.reasons) = (listed, listedTables, reasons)
    }

    /// - Parameter world: one in which no statement of stable's went differently without the canary.
    func judge(_ world: Int) -> Verdict {
        let world = worlds[world]
        let isUnreported = reasons[world.name] == nil
        var differs = false
        for table in world.tables {
            let name = "\(world.name).\(table.name)"
            let following = Set(table.columns.indices.filter { table.following.contains(table.columns[$0]) })
            for place in result.differences(alone, without: following).sorted() where place.table == name {
                differs = true
                if !isUnreported, isExcused(place, world) { continue }
                return Verdict(
                    fault:
                        "\(place) is \(result.shown(place)), alone \(alone.shown(place)), and the report does not name it; it has "
                        + "\(listed.filter { $0.table.hasPrefix(world.name + ".") }.sorted()) for \(reasons[world.name] ?? [])",
                    isUnreported: isUnreported, differs: true)
            }
        }
        return Verdict(fault: nil, isUnreported: isUnreported, differs: differs)
    }

    private func isExcused(_ place: RealPlace, _ world: RealWorld) -> Bool {
        var seen: Set<RealPlace> = [place]
        var open = [place]
        while let next = open.popLast() {
            if listed.contains(next) || listedTables.contains(next.table) { return true }
            let table = world.tables.first { "\(world.name).\($0.name)" == next.table }!
            for row in ([result, alone] + others).flatMap({ $0[next] }) {
                for parent in table.parents {
                    let key = parent.columns.map { row[table.columns.firstIndex(of: $0)!] }
                    let above = RealPlace(table: "\(world.name).\(parent.table)", key: key)
                    if !key.contains(nil), seen.insert(above).inserted { open.append(above) }
                }
            }
        }
        return false
    }
}
