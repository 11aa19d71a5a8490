// A database, its slot and the stream of its changes, for the tests of replication.

import Postgres
import PostgresSupport
import Synchronization
import Testing

/// One fresh database on the server of the replication tests. That is a server of its own, because making a slot waits
/// for every writing transaction of the cluster.
struct ReplicationBench {
    let settings: ConnectionSettings
    let sql: Connection
    /// Slots' names are the cluster's, not the database's.
    let slot: String

    private static let server = Task { try await PostgresServer.start() }
    private static let count = Atomic<Int>(0)

    /// - Parameter schema: run before the publication `everything` and, unless asked not to, the slot are made.
    init(_ schema: String = "", server: PostgresServer? = nil, withSlot: Bool = true) async throws {
        let host = if let server { server } else { try await Self.server.value }
        settings = try await ConnectionSettings(url: host.freshDatabase())
        sql = try await Connection.open(settings)
        slot = "slot_\(Self.count.wrappingAdd(1, ordering: .relaxed).newValue)"
        try await sql.execute("\(schema); CREATE PUBLICATION everything FOR ALL TABLES")
        if withSlot {
            _ = try await sql.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot])
        }
    }

    func open(_ sessionOptions: [String: String] = [:]) async throws -> ReplicationConnection {
        try await ReplicationConnection.open(settings, sessionOptions: sessionOptions)
    }

    /// A running stream from the slot's position.
    func stream(
        from position: LogSequenceNumber = .zero, _ sessionOptions: [String: String] = [:]
    ) async throws -> ReplicationConnection {
        let connection = try await open(sessionOptions)
        try await connection.startReplication(slot: slot, from: position, publications: ["everything"])
        return connection
    }

    /// The messages up to and with the `commits`th commit.
    func messages(of stream: ReplicationConnection, commits: Int) async throws -> [PgOutputMessage] {
        var decoder = PgOutputDecoder()
        var messages: [PgOutputMessage] = []
        var remaining = commits
        let deadline = ContinuousClock.now + .seconds(20)
        while remaining > 0 {
            try #require(ContinuousClock.now < deadline, "still waiting for \(remaining) commits after \(messages)")
            guard case .data(_, _, _, let bytes) = try await stream.next(timeout: .milliseconds(200)) else { continue }
            let message = try decoder.decode(bytes)
            messages.append(message)
            if case .commit = message { remaining -= 1 }
        }
        return messages
    }

    /// The slot's row in pg_replication_slots; nil when there is none.
    func slotValue(_ column: String) async throws -> String? {
        try await sql.query("SELECT \(column) FROM pg_replication_slots WHERE slot_name = $1", [slot]).scalar
    }
}

extension PgOutputMessage {
    /// Changes and messages as short texts: `I 1 a`, `U K:1 - > 2 u`, `M+ prefix`; nil for what frames them.
    var summary: String? {
        func texts(_ values: [TupleValue]) -> String {
            values.map { value in
                switch value {
                case .null: "-"
                case .unchangedToast: "u"
                case .text(let bytes): String(decoding: bytes.prefix(40), as: UTF8.self)
                }
            }.joined(separator: " ")
        }
        switch self {
        case .insert(_, let new): return "I \(texts(new))"
        case .update(_, nil, let new): return "U \(texts(new))"
        case .update(_, let old?, let new):
            return "U \(old.kind == .key ? "K" : "O"):\(texts(old.values)) > \(texts(new))"
        case .delete(_, let old): return "D \(old.kind == .key ? "K" : "O"):\(texts(old.values))"
        case .truncate(let relations, let options): return "T \(relations.count) \(options.rawValue)"
        case .message(let isTransactional, _, let prefix, _): return "M\(isTransactional ? "+" : "-") \(prefix)"
        case .begin, .commit, .origin, .relation, .type: return nil
        }
    }
}
