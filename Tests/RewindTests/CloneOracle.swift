// What the restored database must hold after a recorded history: the rules of the merge written down a second time, row by
// row in memory, without the engine's ledger, batches and questions. Tables have no constraint but their keys.

import Ports
import Postgres
import Releases

@testable import Rewind

struct CloneOracle {
    /// The column `a` of accounts follows live.
    let follows: Bool
    let dropsCanaryRows: Bool
    private(set) var live: [UInt32: Rows]
    private(set) var clone: [UInt32: Rows]

    init(_ rows: [UInt32: Rows], follows: Bool, dropsCanaryRows: Bool) {
        live = rows
        clone = rows
        self.follows = follows
        self.dropsCanaryRows = dropsCanaryRows
    }

    mutating func take(_ transaction: RecordedTransaction) {
        var rest = transaction.changes[...]
        while let change = rest.popFirst() {
            guard transaction.origin == .stable else {
                canary(change)
                continue
            }
            if case .delete(let source, let old) = change, case .insert(let target, let new) = rest.first,
                source.oid >= 4, target.oid >= 4, source.oid != target.oid
            {
                rest.removeFirst()
                update(source, old.values, target, new)
            } else {
                stable(change)
            }
        }
    }

    private func find(_ rows: [UInt32: Rows], _ relation: RelationDefinition, _ row: [TupleValue]) -> Int? {
        rows[relation.oid, default: []].firstIndex { relation.oid == 3 ? $0 == row : $0[0] == row[0] }
    }

    private func filled(_ sent: [TupleValue], _ base: [TupleValue]) -> [TupleValue] {
        zip(sent, base).map { $0 == .unchangedToast ? $1 : $0 }
    }

    /// The clone's row with what follows live.
    private mutating func follow(_ relation: RelationDefinition, _ new: [TupleValue]) {
        guard follows, relation.oid == 1, let there = find(clone, relation, new) else { return }
        clone[1]![there][1] = new[1]
    }

    private mutating func canary(_ change: RecordedChange) {
        switch change {
        case .insert(let relation, let new):
            live[relation.oid, default: []].append(new)
            follow(relation, new)
        case .update(let relation, let old, let sent):
            let place = find(live, relation, old?.values ?? sent)!
            let new = filled(sent, live[relation.oid]![place])
            live[relation.oid]![place] = new
            follow(relation, new)
        case .delete(let relation, let old):
            live[relation.oid]!.remove(at: find(live, relation, old.values)!)
        case .truncate(let relations, _, _):
            for relation in relations { live[relation.oid] = [] }
        }
    }

    private mutating func stable(_ change: RecordedChange) {
        switch change {
        case .insert(let relation, let new):
            live[relation.oid, default: []].append(new)
            if relation.oid != 3, let there = find(clone, relation, new) {
                clone[relation.oid]![there] = new
            } else {
                clone[relation.oid, default: []].append(new)
            }
        case .update(let relation, let old, let sent): update(relation, old?.values ?? sent, relation, sent)
        case .delete(let relation, let old):
            live[relation.oid]!.remove(at: find(live, relation, old.values)!)
            if let there = find(clone, relation, old.values) { clone[relation.oid]!.remove(at: there) }
        case .truncate(let relations, _, _):
            for relation in relations { (live[relation.oid], clone[relation.oid]) = ([], []) }
        }
    }

    private mutating func update(
        _ source: RelationDefinition, _ old: [TupleValue], _ target: RelationDefinition, _ sent: [TupleValue]
    ) {
        let base = live[source.oid]!.remove(at: find(live, source, old)!)
        let new = filled(sent, base)
        live[target.oid, default: []].append(new)
        guard let there = find(clone, source, old) else {
            if dropsCanaryRows { return follow(target, new) }
            return put(target, new)
        }
        let own = clone[source.oid]!.remove(at: there)
        guard source.oid != 3 else { return put(target, new) }
        put(
            target,
            new.indices.map { column in
                if follows, source.oid == 1, column == 1 { return new[column] }
                return column > 0 && new[column] == base[column] ? own[column] : new[column]
            })
    }

    private mutating func put(_ relation: RelationDefinition, _ row: [TupleValue]) {
        if relation.oid != 3, let taken = find(clone, relation, row) {
            clone[relation.oid]![taken] = row
        } else {
            clone[relation.oid, default: []].append(row)
        }
    }
}
