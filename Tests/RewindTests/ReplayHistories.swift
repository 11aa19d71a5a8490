// A small in-memory live database that both arms write at random, the stream it would send, and a restored database that
// takes what a `ReplayWalk` lets through. The oracle of the property test.

import Ports
import Postgres
import Releases

@testable import Rewind

/// SplitMix64: small, and the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension TupleValue {
    static func of(_ text: String) -> TupleValue { .text(Array(text.utf8)) }
}

func relation(
    _ table: String, oid: UInt32, _ columns: [String], key: [String],
    identity: RelationDefinition.ReplicaIdentity = .primaryKey
) -> RelationDefinition {
    RelationDefinition(
        oid: oid, schema: "public", table: table, replicaIdentity: identity,
        columns: columns.map { .init(name: $0, typeOID: 25, typeModifier: -1, isKey: key.contains($0)) })
}

func isCanaryValue(_ value: TupleValue) -> Bool { value.string?.hasPrefix("c") == true }

/// Rows of a table in order of insertion; copies allowed.
typealias Rows = [[TupleValue]]

struct RandomHistory {
    static let keyed = relation("accounts", oid: 1, ["id", "a", "b", "long"], key: ["id"])
    /// REPLICA IDENTITY FULL with a primary key.
    static let full = relation(
        "notes", oid: 2, ["id", "a", "b", "long"], key: ["id", "a", "b", "long"], identity: .full)
    static let keyless = relation("log", oid: 3, ["a", "b", "long"], key: ["a", "b", "long"], identity: .full)
    static let east = relation("orders_east", oid: 4, ["id", "a", "b", "long"], key: ["id"])
    static let west = relation("orders_west", oid: 5, ["id", "a", "b", "long"], key: ["id"])
    static let all = [keyed, full, keyless, east, west]
    static let facts: [TableName: TableFacts] = [
        TableName(keyed): TableFacts(keyColumns: ["id"]),
        TableName(full): TableFacts(keyColumns: ["id"]),
        TableName(keyless): TableFacts(keyColumns: []),
        TableName(east): TableFacts(keyColumns: ["id"], root: TableName(schema: "public", table: "orders")),
        TableName(west): TableFacts(keyColumns: ["id"], root: TableName(schema: "public", table: "orders")),
    ]

    private var random: SeededGenerator
    private(set) var live: [UInt32: Rows] = [:]
    private var written = 0
    private var lsn: UInt64 = 0x100

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        for relation in Self.all {
            live[relation.oid] = []
            for id in 1...4 where Bool.random(using: &random) {
                let rest: [TupleValue] = [value(.stable), value(.stable), value(.stable)]
                live[relation.oid, default: []].append(relation.oid == 3 ? rest : [.of("\(id)")] + rest)
            }
        }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func value(_ arm: Arm) -> TupleValue {
        written += 1
        // Few values in the keyless table's columns would never collide; half of them do.
        let tag = Bool.random(using: &random) ? Int.random(in: 0..<3, using: &random) : 100 + written
        return .of("\(arm == .stable ? "s" : "c")\(tag)")
    }

    mutating func transaction() -> RecordedTransaction {
        let arm: Arm = chance(40) ? .canary : .stable
        var changes: [RecordedChange] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) { changes += change(arm) }
        lsn += 0x20
        return RecordedTransaction(
            xid: UInt32(lsn), commitLSN: .init(rawValue: lsn), endLSN: .init(rawValue: lsn + 8),
            committedAt: PostgresTimestamp(microsecondsSince2000: Int64(lsn)), origin: arm, changes: changes)
    }

    private mutating func change(_ arm: Arm) -> [RecordedChange] {
        let relation = Self.all.randomElement(using: &random)!
        var rows = live[relation.oid] ?? []
        let picked = rows.indices.randomElement(using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<2:
            live[relation.oid] = []
            return [.truncate([relation], cascade: false, restartIdentity: false)]
        case 2..<35:
            guard let new = freshRow(relation, rows, arm) else { return [] }
            live[relation.oid]!.append(new)
            return [.insert(relation, new: new)]
        case 35..<50:
            guard let picked else { return [] }
            let old = rows.remove(at: picked)
            live[relation.oid] = rows
            return [.delete(relation, old: oldTuple(relation, old))]
        case 50..<60 where relation.oid >= 4:
            return moveToOtherPartition(relation, picked, arm)
        default:
            guard let picked else { return [] }
            return update(relation, picked, arm)
        }
    }

    private mutating func freshRow(_ relation: RelationDefinition, _ rows: Rows, _ arm: Arm) -> [TupleValue]? {
        let rest = [value(arm), value(arm), value(arm)]
        if relation.oid == 3 {
            // Stable never writes again what it read from the canary: no recording could tell.
            let copies = rows.filter { arm == .canary || !$0.contains(where: isCanaryValue) }
            return chance(30) ? copies.randomElement(using: &random) ?? rest : rest
        }
        let id = TupleValue.of("\(Int.random(in: 1...6, using: &random))")
        return rows.contains { $0[0] == id } ? nil : [id] + rest
    }

    private mutating func update(_ relation: RelationDefinition, _ picked: Int, _ arm: Arm) -> [RecordedChange] {
        let old = live[relation.oid]![picked]
        var new = old
        for column in new.indices where (relation.oid == 3 || column > 0) && chance(40) { new[column] = value(arm) }
        if relation.oid != 3, chance(25) {
            let id = TupleValue.of("\(Int.random(in: 1...6, using: &random))")
            guard !live[relation.oid]!.contains(where: { $0[0] == id }) else { return [] }
            new[0] = id
        }
        live[relation.oid]![picked] = new
        var sent = new
        if let last = sent.indices.last, new[last] == old[last], chance(60) { sent[last] = .unchangedToast }
        let needsOld = relation.replicaIdentity == .full || new[0] != old[0]
        return [.update(relation, old: needsOld ? oldTuple(relation, old) : nil, new: sent)]
    }

    private mutating func moveToOtherPartition(_ from: RelationDefinition, _ picked: Int?, _ arm: Arm)
        -> [RecordedChange]
    {
        let to = from.oid == 4 ? Self.west : Self.east
        guard let picked else { return [] }
        let old = live[from.oid]![picked]
        guard !(live[to.oid] ?? []).contains(where: { $0[0] == old[0] }) else { return [] }
        var new = old
        new[1] = value(arm)
        live[from.oid]!.remove(at: picked)
        live[to.oid, default: []].append(new)
        return [.delete(from, old: oldTuple(from, old)), .insert(to, new: new)]
    }

    private func oldTuple(_ relation: RelationDefinition, _ row: [TupleValue]) -> OldTuple {
        if relation.replicaIdentity == .full { return OldTuple(kind: .full, values: row) }
        return OldTuple(kind: .key, values: row.indices.map { relation.columns[$0].isKey ? row[$0] : .null })
    }
}

/// A restored database: enforces keys, refuses some changes for no reason, and knows nothing of who wrote what.
struct RestoredRows {
    enum Outcome: Equatable { case done, hitNothing, keyTaken }
    private(set) var tables: [UInt32: Rows]

    init(_ tables: [UInt32: Rows]) { self.tables = tables }

    private func hasKey(_ relation: RelationDefinition) -> Bool { relation.oid != 3 }

    mutating func apply(_ change: RecordedChange) -> Outcome {
        switch change {
        case .insert(let relation, let new):
            if hasKey(relation), tables[relation.oid, default: []].contains(where: { $0[0] == new[0] }) {
                return .keyTaken
            }
            tables[relation.oid, default: []].append(new)
        case .update(let relation, let old, let sent):
            let new = filled(sent, from: old, relation)
            guard let at = find(relation, old?.values ?? new) else { return .hitNothing }
            var row = tables[relation.oid]![at]
            for column in row.indices where new[column] != .unchangedToast { row[column] = new[column] }
            if hasKey(relation),
                tables[relation.oid]!.indices.contains(where: {
                    $0 != at && tables[relation.oid]![$0][0] == row[0]
                })
            {
                return .keyTaken
            }
            tables[relation.oid]![at] = row
        case .delete(let relation, let old):
            guard let at = find(relation, old.values) else { return .hitNothing }
            tables[relation.oid]!.remove(at: at)
        case .truncate(let relations, _, _):
            for relation in relations { tables[relation.oid] = [] }
        }
        return .done
    }

    private func find(_ relation: RelationDefinition, _ row: [TupleValue]) -> Int? {
        (tables[relation.oid] ?? []).firstIndex { hasKey(relation) ? $0[0] == row[0] : $0 == row }
    }
}
