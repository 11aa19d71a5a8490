// Reads the messages of pgoutput. Pure: no clock, no I/O, no Foundation.
//
// Protocol version 1 (PostgreSQL: 55.9), text values, no streaming, no two-phase. Integers are big-endian, strings end
// with a zero byte, times are microseconds since 2000, numbers after a name are its width in bytes.
//
//     begin     'B' | finalLSN 8 | commitTime 8 | xid 4
//     commit    'C' | flags 1 | commitLSN 8 | endLSN 8 | commitTime 8
//     origin    'O' | commitLSN 8 | name string
//     relation  'R' | id 4 | namespace string | name string | replica identity 1 ('d' 'n' 'f' 'i') | columns 2
//                   | columns times: flags 1 (bit 0: part of the key) | name string | type 4 | type modifier 4
//     type      'Y' | id 4 | namespace string | name string
//     insert    'I' | relation 4 | 'N' | tuple
//     update    'U' | relation 4 | [ 'K' | tuple  or  'O' | tuple ] | 'N' | tuple
//     delete    'D' | relation 4 | 'K' | tuple  or  'O' | tuple
//     truncate  'T' | relations 4 | options 1 (1: CASCADE, 2: RESTART IDENTITY) | relations times: id 4
//     message   'M' | flags 1 (1: transactional) | LSN 8 | prefix string | length 4 | content
//
//     tuple     columns 2 | columns times: 'n'                     NULL
//                                      or 'u'                     unchanged, stored out of line
//                                      or 't' | length 4 | bytes  text

/// Decodes one stream's messages, in the order of the stream.
///
/// Remembers the relations described so far, because a tuple is only good with as many columns as its table has. Bytes
/// that are no message are an error and change nothing.
package struct PgOutputDecoder: Hashable, Sendable {
    /// By `pg_class.oid`, as described last.
    package private(set) var relations: [UInt32: Relation] = [:]

    package init() {}

    package mutating func decode(_ bytes: [UInt8]) throws(PgOutputError) -> PgOutputMessage {
        var reader = ByteReader(bytes)
        let message = try body(of: try reader.byte("kind of message"), &reader)
        try reader.end()
        if case .relation(let relation) = message { relations[relation.id] = relation }
        return message
    }

    private func body(of kind: UInt8, _ reader: inout ByteReader) throws(PgOutputError) -> PgOutputMessage {
        switch kind {
        case UInt8(ascii: "B"):
            return .begin(
                finalLSN: try reader.position("final LSN"), commitTime: try reader.timestamp("commit time"),
                xid: try reader.uint32("transaction id"))
        case UInt8(ascii: "C"):
            return .commit(
                flags: try reader.byte("commit flags"), commitLSN: try reader.position("commit LSN"),
                endLSN: try reader.position("end LSN"), time: try reader.timestamp("commit time"))
        case UInt8(ascii: "O"):
            return .origin(
                commitLSN: try reader.position("LSN at the origin"), name: try reader.string("name of the origin"))
        case UInt8(ascii: "R"):
            return .relation(try relation(&reader))
        case UInt8(ascii: "Y"):
            return .type(
                id: try reader.uint32("type id"), namespace: try reader.string("namespace of the type"),
                name: try reader.string("name of the type"))
        case UInt8(ascii: "I"):
            let (id, width) = try knownRelation(&reader)
            return .insert(relation: id, new: try newTuple(width, &reader))
        case UInt8(ascii: "U"):
            return try update(&reader)
        case UInt8(ascii: "D"):
            let (id, width) = try knownRelation(&reader)
            let place = reader.offset
            let mark = try reader.byte("mark of the old tuple")
            guard let kind = OldTuple.Kind(rawValue: mark) else {
                throw .unexpectedByte(offset: place, expected: "'K' or 'O'", found: mark)
            }
            return .delete(relation: id, old: OldTuple(kind: kind, values: try tuple(width, &reader)))
        case UInt8(ascii: "T"):
            return try truncate(&reader)
        case UInt8(ascii: "M"):
            return try message(&reader)
        default:
            throw .unexpectedByte(offset: 0, expected: "one of B C O R Y I U D T M", found: kind)
        }
    }

    private func update(_ reader: inout ByteReader) throws(PgOutputError) -> PgOutputMessage {
        let (id, width) = try knownRelation(&reader)
        let place = reader.offset
        let mark = try reader.byte("mark of a tuple")
        if mark == UInt8(ascii: "N") {
            return .update(relation: id, old: nil, new: try tuple(width, &reader))
        }
        guard let kind = OldTuple.Kind(rawValue: mark) else {
            throw .unexpectedByte(offset: place, expected: "'K', 'O' or 'N'", found: mark)
        }
        let old = OldTuple(kind: kind, values: try tuple(width, &reader))
        return .update(relation: id, old: old, new: try newTuple(width, &reader))
    }

    private func truncate(_ reader: inout ByteReader) throws(PgOutputError) -> PgOutputMessage {
        let count = try reader.length("number of relations")
        let options = TruncateOptions(rawValue: try reader.byte("options of TRUNCATE"))
        var ids: [UInt32] = []
        // The number may lie; a relation's id costs four bytes, so no more than that are ever read.
        for _ in 0..<count { ids.append(try knownRelation(&reader).id) }
        return .truncate(relations: ids, options: options)
    }

    private func message(_ reader: inout ByteReader) throws(PgOutputError) -> PgOutputMessage {
        let flags = try reader.byte("message flags")
        let lsn = try reader.position("LSN of the message")
        let prefix = try reader.string("prefix of the message")
        let length = try reader.length("length of the message")
        return .message(
            isTransactional: flags & 1 != 0, lsn: lsn, prefix: prefix,
            content: try reader.run(of: length, "content of the message"))
    }

    private func relation(_ reader: inout ByteReader) throws(PgOutputError) -> Relation {
        let id = try reader.uint32("relation id")
        let namespace = try reader.string("namespace of the relation")
        let name = try reader.string("name of the relation")
        let place = reader.offset
        let mark = try reader.byte("replica identity")
        guard let identity = Relation.ReplicaIdentity(rawValue: mark) else {
            throw .unexpectedByte(offset: place, expected: "one of d n f i", found: mark)
        }
        var columns: [Relation.Column] = []
        for _ in 0..<(try reader.uint16("number of columns")) {
            columns.append(
                Relation.Column(
                    isKey: try reader.byte("flags of a column") & 1 != 0, name: try reader.string("name of a column"),
                    typeID: try reader.uint32("type of a column"),
                    typeModifier: try reader.int32("type modifier of a column")))
        }
        return Relation(id: id, namespace: namespace, name: name, replicaIdentity: identity, columns: columns)
    }

    /// A relation's id and how many columns its tuples have.
    private func knownRelation(_ reader: inout ByteReader) throws(PgOutputError) -> (id: UInt32, width: Int) {
        let place = reader.offset
        let id = try reader.uint32("relation id")
        guard let relation = relations[id] else { throw .unknownRelation(offset: place, id: id) }
        return (id, relation.columns.count)
    }

    private func newTuple(_ width: Int, _ reader: inout ByteReader) throws(PgOutputError) -> [TupleValue] {
        let place = reader.offset
        let mark = try reader.byte("mark of the new tuple")
        guard mark == UInt8(ascii: "N") else { throw .unexpectedByte(offset: place, expected: "'N'", found: mark) }
        return try tuple(width, &reader)
    }

    private func tuple(_ width: Int, _ reader: inout ByteReader) throws(PgOutputError) -> [TupleValue] {
        let place = reader.offset
        let count = Int(try reader.uint16("number of columns"))
        guard count == width else { throw .columnCount(offset: place, expected: width, found: count) }
        var values: [TupleValue] = []
        values.reserveCapacity(count)
        for _ in 0..<count {
            let place = reader.offset
            switch try reader.byte("kind of value") {
            case UInt8(ascii: "n"): values.append(.null)
            case UInt8(ascii: "u"): values.append(.unchangedToast)
            case UInt8(ascii: "t"):
                let length = try reader.length("length of a value")
                values.append(.text(try reader.run(of: length, "a value")))
            case let kind: throw .unexpectedByte(offset: place, expected: "'n', 'u' or 't'", found: kind)
            }
        }
        return values
    }
}
