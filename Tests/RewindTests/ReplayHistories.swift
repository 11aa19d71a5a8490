// A small in-memory live database that both arms write at random, and the stream it would send.

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

/// Rows of a table in order of insertion; copies allowed.
typealias Rows = [[TupleValue]]

struct RandomHistory {
    static let keyed = relation("accounts", oid: 1, ["id", "a", "b", "long"], key: ["id"])
    /// REPLICA IDENTITY FULL with a primary key.
    static let full = relation(
        "notes", oid: 2, ["id", "a", "b", "long"], key: ["id", "a", "b", "long"], identity: .full)
    static let keyless = relation("log", oid: 3, ["a", "b", "long"], key: ["a", "b", "long"], identity: .full)
    static let east = relation("orders_east", oid: 4, ["id", "a", "b", "long", "region"], key: ["id"])
    static let west = relation("orders_west", oid: 5, ["id", "a", "b", "long", "region"], key: ["id"])
    static let all = [keyed, full, keyless, east, west]
    /// The same tables as DDL.
    static let schema = """
        CREATE TABLE accounts (id text PRIMARY KEY, a text, b text, long text);
        CREATE TABLE notes (id text PRIMARY KEY, a text, b text, long text);
        ALTER TABLE notes REPLICA IDENTITY FULL;
        CREATE TABLE log (a text, b text, long text);
        ALTER TABLE log REPLICA IDENTITY FULL;
        CREATE TABLE orders (id text, a text, b text, long text, region text) PARTITION BY LIST (region);
        CREATE TABLE orders_east PARTITION OF orders (PRIMARY KEY (id)) FOR VALUES IN ('orders_east');
        CREATE TABLE orders_west PARTITION OF orders (PRIMARY KEY (id)) FOR VALUES IN ('orders_west');
        """

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
                live[relation.oid, default: []].append(
                    relation.oid == 3 ? rest : [.of("\(id)")] + rest + region(relation))
            }
        }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func value(_ arm: RecordedOrigin) -> TupleValue {
        written += 1
        // Few values in the keyless table's columns would never collide; half of them do.
        let tag = Bool.random(using: &random) ? Int.random(in: 0..<3, using: &random) : 100 + written
        return .of("\(arm == .stable ? "s" : "c")\(tag)")
    }

    mutating func transaction() -> RecordedTransaction {
        let arm: RecordedOrigin = chance(40) ? .canary : .stable
        var changes: [RecordedChange] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) { changes += change(arm) }
        lsn += 0x20
        return RecordedTransaction(
            xid: UInt32(lsn), commitLSN: .init(rawValue: lsn), endLSN: .init(rawValue: lsn + 8),
            committedAt: PostgresTimestamp(microsecondsSince2000: Int64(lsn)), origin: arm, changes: changes)
    }

    private mutating func change(_ arm: RecordedOrigin) -> [RecordedChange] {
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

    private mutating func freshRow(_ relation: RelationDefinition, _ rows: Rows, _ arm: RecordedOrigin) -> [TupleValue]?
    {
        let rest = [value(arm), value(arm), value(arm)]
        if relation.oid == 3 {
            return chance(30) ? rows.randomElement(using: &random) ?? rest : rest
        }
        let id = TupleValue.of("\(Int.random(in: 1...6, using: &random))")
        return rows.contains { $0[0] == id } ? nil : [id] + rest + region(relation)
    }

    private func region(_ relation: RelationDefinition) -> [TupleValue] {
        relation.oid >= 4 ? [.of(relation.table)] : []
    }

    private mutating func update(_ relation: RelationDefinition, _ picked: Int, _ arm: RecordedOrigin)
        -> [RecordedChange]
    {
        let old = live[relation.oid]![picked]
        var new = old
        let long = relation.oid == 3 ? 2 : 3
        for column in new.indices where (relation.oid == 3 || column > 0) && column <= long && chance(40) {
            new[column] = value(arm)
        }
        if relation.oid != 3, chance(25) {
            let id = TupleValue.of("\(Int.random(in: 1...6, using: &random))")
            guard !live[relation.oid]!.contains(where: { $0[0] == id }) else { return [] }
            new[0] = id
        }
        live[relation.oid]![picked] = new
        var sent = new
        if new[long] == old[long], chance(60) { sent[long] = .unchangedToast }
        let needsOld = relation.replicaIdentity == .full || new[0] != old[0]
        return [.update(relation, old: needsOld ? oldTuple(relation, old) : nil, new: sent)]
    }

    private mutating func moveToOtherPartition(_ from: RelationDefinition, _ picked: Int?, _ arm: RecordedOrigin)
        -> [RecordedChange]
    {
        let to = from.oid == 4 ? Self.west : Self.east
        guard let picked else { return [] }
        let old = live[from.oid]![picked]
        guard !(live[to.oid] ?? []).contains(where: { $0[0] == old[0] }) else { return [] }
        var new = old
        new[1] = value(arm)
        new[4] = .of(to.table)
        live[from.oid]!.remove(at: picked)
        live[to.oid, default: []].append(new)
        return [.delete(from, old: oldTuple(from, old)), .insert(to, new: new)]
    }

    private func oldTuple(_ relation: RelationDefinition, _ row: [TupleValue]) -> OldTuple {
        if relation.replicaIdentity == .full { return OldTuple(kind: .full, values: row) }
        return OldTuple(kind: .key, values: row.indices.map { relation.columns[$0].isKey ? row[$0] : .null })
    }
}
