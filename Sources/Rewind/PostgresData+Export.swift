// The recording as JSON lines; the format is in docs/recording.md.

import Foundation
package import Ports
import Postgres
package import Releases
import Synchronization
import SystemPackage

extension PostgresData {
    package func exportRecording(
        release: ReleaseID, policy: Policy, to sink: @escaping @Sendable (String) async throws -> Void
    ) async throws(Failure) {
        let folder = folder(release)
        guard let file = try RecordingFile.read(folder) else {
            throw Failure("\(release) has no recording in \(folder.root)")
        }
        // While a recorder appends, only what is durable holds still.
        let running = recorder(of: release)?.state.withLock { $0.task == nil ? nil : $0.durable }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            var reader = try JournalReader(folder: folder.journal)
            let schema = try Manifest.read(from: folder.root.string)?.schema
            try await sink(try line(RecordingExport.Header(file, policy.database?.rollback, schema), encoder))
            var relations = RelationLines()
            try await reader.forEachTransaction(upTo: running) { transaction in
                for relation in relations.news(in: transaction) { try await sink(try self.line(relation, encoder)) }
                for line in RecordingExport.lines(transaction) { try await sink(try self.line(line, encoder)) }
            }
        } catch let error as JournalError {
            throw Failure("recording of \(release): \(error)")
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("export of the recording of \(release): \(error)")
        }
    }

    private func line(_ value: some Encodable, _ encoder: JSONEncoder) throws -> String {
        String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

enum RecordingExport {
    struct Header: Encodable {
        /// How both arms' writes to one row are put together; see docs/merging.md.
        struct Merge: Encodable {
            var mode: String
            var writes: String
            var unattributed: String
            var canaryRow: String
            var columns: [String: [String: String]]

            enum CodingKeys: String, CodingKey {
                case mode, writes, unattributed, columns
                case canaryRow = "canary_row"
            }
        }

        var format = "perch-recording-2"
        var release: ReleaseID
        var database: String
        var start: LogSequenceNumber
        var systemIdentifier: String
        var timeline: UInt32
        var merge: Merge?
        /// The definitions of the snapshot, as ``SchemaFingerprint`` writes them; nil once it is cleaned up.
        var schema: [String]?

        init(_ file: RecordingFile, _ policy: Policy.DataRollback?, _ schema: [String]?) {
            self.schema = schema
            merge = policy.map { policy in
                Merge(
                    mode: policy.merge.rawValue, writes: policy.writes.rawValue,
                    unattributed: policy.unattributed.rawValue, canaryRow: policy.canaryRow.rawValue,
                    columns: policy.columns.mapValues { $0.mapValues(\.rawValue) })
            }
            release = file.release
            database = file.database
            start = file.start
            systemIdentifier = "\(file.systemIdentifier)"
            timeline = file.timeline
        }

        enum CodingKeys: String, CodingKey {
            case format, release, database, start, timeline, merge, schema
            case systemIdentifier = "system_identifier"
        }
    }

    struct Line: Encodable {
        var commitLSN: LogSequenceNumber
        var endLSN: LogSequenceNumber
        var xid: UInt32
        /// `stable`, `canary`, `neither` or `heal`
        var origin: String
        var committedAt: String
        var operation: String
        var schema: String?
        var table: String?
        /// Of a truncate.
        var tables: [String]?
        var cascade: Bool?
        var restartIdentity: Bool?
        /// The replica identity's columns before the change.
        var key: [String: String?]?
        /// The whole row before the change, where the table has replica identity full.
        var old: [String: String?]?
        var row: [String: String?]?
        /// Columns that kept a value stored out of line.
        var unchanged: [String]?
        var command: String?

        init(_ transaction: RecordedTransaction, _ operation: String) {
            commitLSN = transaction.commitLSN
            endLSN = transaction.endLSN
            xid = transaction.xid
            origin = "\(transaction.origin)"
            committedAt = Date(
                timeIntervalSince1970: Double(transaction.committedAt.millisecondsSince1970) / 1_000
            ).formatted(
                .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
            self.operation = operation
        }

        enum CodingKeys: String, CodingKey {
            case xid, origin, operation, schema, table, tables, cascade, key, old, row, unchanged, command
            case restartIdentity = "restart_identity"
            case commitLSN = "commit_lsn"
            case endLSN = "end_lsn"
            case committedAt = "committed_at"
        }
    }

    /// A line for each change, and before them one for each command that changed the schema.
    static func lines(_ transaction: RecordedTransaction) -> [Line] {
        transaction.schemaCommands.map { command in
            var line = Line(transaction, "schema")
            line.command = command
            return line
        } + transaction.changes.map { line($0, transaction) }
    }

    private static func line(_ change: RecordedChange, _ transaction: RecordedTransaction) -> Line {
        switch change {
        case .insert(let relation, let new):
            return line("insert", relation, old: nil, new: new, transaction)
        case .update(let relation, let old, let new):
            return line("update", relation, old: old, new: new, transaction)
        case .delete(let relation, let old):
            return line("delete", relation, old: old, new: nil, transaction)
        case .truncate(let relations, let cascade, let restartIdentity):
            var line = Line(transaction, "truncate")
            line.cascade = cascade
            line.restartIdentity = restartIdentity
            line.tables = relations.map { "\($0.schema).\($0.table)" }
            return line
        }
    }

    private static func line(
        _ operation: String, _ relation: RelationDefinition, old: OldTuple?, new: [TupleValue]?,
        _ transaction: RecordedTransaction
    ) -> Line {
        var line = Line(transaction, operation)
        line.schema = relation.schema
        line.table = relation.table
        if let values = old?.values ?? new {
            line.key = columns(relation, values) { $0.isKey && relation.replicaIdentity != .full }
        }
        if let old, old.kind == .full { line.old = columns(relation, old.values) { _ in true } }
        if let new {
            line.row = columns(relation, new) { _ in true }
            let unchanged = zip(relation.columns, new).filter { $0.1 == .unchangedToast }.map(\.0.name)
            if !unchanged.isEmpty { line.unchanged = unchanged }
        }
        return line
    }

    /// Values by column; those that the stream did not carry are left out.
    private static func columns(
        _ relation: RelationDefinition, _ values: [TupleValue], _ isWanted: (RelationDefinition.Column) -> Bool
    ) -> [String: String?] {
        var found: [String: String?] = [:]
        for (column, value) in zip(relation.columns, values) where isWanted(column) {
            switch value {
            case .null: found.updateValue(nil, forKey: column.name)
            case .unchangedToast: break
            case .text(let bytes): found[column.name] = String(decoding: bytes, as: UTF8.self)
            }
        }
        return found
    }
}
