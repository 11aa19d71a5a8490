// From messages of pgoutput to frames of the journal: whose transaction it is, and which ones to leave out.

import Postgres
import Releases

/// Follows one stream. A new connection begins with a new one: the server describes its relations again.
struct StreamAssembler {
    private struct OpenTransaction {
        var xid: UInt32
        var commitLSN: LogSequenceNumber
        var committedAt: PostgresTimestamp
        var origin = RecordedOrigin.stable
        var content = Content.none
    }

    private enum Content {
        /// Nothing to keep so far: a transaction without changes leaves only a position.
        case none
        case written
        /// The journal has this transaction from before the server's or our own restart.
        case known
    }

    /// Prefix of the canary's marks.
    private let mark: String
    private var decoder = PgOutputDecoder()
    private var relations: [UInt32: RelationDefinition] = [:]
    private var transaction: OpenTransaction?
    /// The content of the last message to ``Barrier/sentinelPrefix(_:)`` that came.
    private(set) var sentinel: String?

    init(_ attribution: Attribution) { mark = attribution.prefix }

    var isInTransaction: Bool { transaction != nil }

    /// - Throws: ``JournalError/broken(_:)`` when the stream makes no sense.
    mutating func take(_ bytes: [UInt8], into writer: inout JournalWriter) throws(JournalError) {
        let message: PgOutputMessage
        do {
            message = try decoder.decode(bytes)
        } catch {
            throw .broken("the server's stream cannot be read after \(writer.written.lsn): \(error)")
        }
        switch message {
        case .begin(let finalLSN, let commitTime, let xid):
            guard transaction == nil else { throw nonsense("a transaction begins within another", writer) }
            transaction = OpenTransaction(xid: xid, commitLSN: finalLSN, committedAt: commitTime)
        case .commit(_, _, let endLSN, _):
            guard let done = transaction else { throw nonsense("a commit without a begin", writer) }
            transaction = nil
            switch done.content {
            case .none: writer.advance(to: endLSN)
            case .written:
                try writer.commit(endLSN: endLSN, origin: done.origin)
            case .known: break
            }
        case .relation(let relation):
            relations[relation.id] = RelationDefinition(relation)
        case .insert(let id, let new):
            try append(.insert(try known(id, writer), new: new), &writer)
        case .update(let id, let old, let new):
            try append(.update(try known(id, writer), old: old, new: new), &writer)
        case .delete(let id, let old):
            try append(.delete(try known(id, writer), old: old), &writer)
        case .truncate(let ids, let options):
            var tables: [RelationDefinition] = []
            for id in ids { tables.append(try known(id, writer)) }
            try append(
                .truncate(
                    tables, cascade: options.contains(.cascade), restartIdentity: options.contains(.restartIdentity)),
                &writer)
        case .message(isTransactional: true, _, let prefix, let content):
            try take(message: prefix, content, &writer)
        case .message, .origin, .type:
            break
        }
    }

    private mutating func take(
        message prefix: String, _ content: [UInt8], _ writer: inout JournalWriter
    ) throws(JournalError) {
        guard prefix.hasPrefix(mark) else { return }
        switch prefix.dropFirst(mark.count) {
        case "" where content == Array(Attribution.other.utf8): attribute(to: .neither, over: [.stable])
        case "": attribute(to: .canary, over: [.stable, .neither])
        case Attribution.healSuffix: attribute(to: .heal, over: [.stable, .neither])
        case SchemaWatch.suffix:
            if try beginContent(&writer) { try writer.append(schemaCommand: String(decoding: content, as: UTF8.self)) }
        case Barrier.sentinelSuffix: sentinel = String(decoding: content, as: UTF8.self)
        default: break
        }
    }

    /// - Parameter weaker: origins that give way to this one.
    private mutating func attribute(to origin: RecordedOrigin, over weaker: Set<RecordedOrigin>) {
        guard let known = transaction?.origin, weaker.contains(known) else { return }
        transaction?.origin = origin
    }

    private mutating func append(_ change: RecordedChange, _ writer: inout JournalWriter) throws(JournalError) {
        if try beginContent(&writer) { try writer.append(change) }
    }

    /// - Returns: false when the journal has the transaction already.
    private mutating func beginContent(_ writer: inout JournalWriter) throws(JournalError) -> Bool {
        guard let open = transaction else { throw nonsense("a change outside of a transaction", writer) }
        switch open.content {
        case .written: return true
        case .known: return false
        case .none:
            let isNew = try writer.begin(xid: open.xid, commitLSN: open.commitLSN, committedAt: open.committedAt)
            transaction?.content = isNew ? .written : .known
            return isNew
        }
    }

    private func known(_ id: UInt32, _ writer: JournalWriter) throws(JournalError) -> RelationDefinition {
        guard let relation = relations[id] else { throw nonsense("a change of the undescribed relation \(id)", writer) }
        return relation
    }

    private func nonsense(_ what: String, _ writer: JournalWriter) -> JournalError {
        .broken("the server's stream has \(what), after \(writer.written.lsn)")
    }
}

extension RelationDefinition {
    init(_ relation: Relation) {
        let identity: ReplicaIdentity =
            switch relation.replicaIdentity {
            case .byDefault: .primaryKey
            case .nothing: .nothing
            case .full: .full
            case .index: .index
            }
        self.init(
            oid: relation.id, schema: relation.namespace.isEmpty ? "pg_catalog" : relation.namespace,
            table: relation.name, replicaIdentity: identity,
            columns: relation.columns.map {
                Column(name: $0.name, typeOID: $0.typeID, typeModifier: $0.typeModifier, isKey: $0.isKey)
            })
    }
}
