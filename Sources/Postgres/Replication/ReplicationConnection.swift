// A session with a walsender: slots and the stream of changes.

import CLibPQ
import Glibc

/// A session in logical replication mode (PostgreSQL: 55.4), on a thread of its own.
///
/// Its text format is pinned: ISO dates in UTC, PostgreSQL intervals, shortest exact floats, hex bytea, UTF-8. A
/// database in SQL_ASCII keeps its bytes as they are, because there the server cannot know what they mean.
///
/// A call waits for the one before it: whoever calls ``next(timeout:)`` with a long timeout holds a status back as long.
package actor ReplicationConnection {
    private let thread: ConnectionThread
    let session: Session
    private let cancelKey: CancelKey
    /// What was promised last. A server that asks for a reply gets just that again.
    private var status = StandbyStatus()
    private var isStreaming = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// What the text of values depends on (walsenders take it from their session), as PostgreSQL's own apply worker
    /// sets it (libpqwalreceiver.c), and what must not end a stream that is quiet for long.
    private static let pinnedOptions = [
        "datestyle": "ISO", "intervalstyle": "postgres", "extra_float_digits": "3", "TimeZone": "UTC",
        "bytea_output": "hex", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
    ]

    /// Connects to the settings' database as a walsender.
    ///
    /// - Parameter sessionOptions: settings of the server for this session, such as `wal_sender_timeout` or
    ///   `logical_decoding_work_mem`. The pinned ones above win.
    /// - Throws: ``PostgresError/connectionFailed(_:)``, also for a role without REPLICATION.
    package static func open(
        _ settings: ConnectionSettings, sessionOptions: [String: String] = [:], timeout: Duration = .seconds(10)
    ) async throws(PostgresError) -> ReplicationConnection {
        let options = sessionOptions.merging(pinnedOptions) { _, pinned in pinned }
            .sorted { $0.key < $1.key }
            .map { "-c \($0.key)=\(escapedOption($0.value))" }
        let given = settings.parameters["options"].map { [$0] } ?? []
        let replication =
            settings
            .with("replication", "database")
            .with("client_encoding", "UTF8")
            .with("options", (given + options).joined(separator: " "))
        let thread = ConnectionThread(name: "replication")
        let outcome = await Session.open(replication, timeout: timeout, on: thread)
        switch consume outcome {
        case .success(let session):
            let connection = ReplicationConnection(thread, session)
            try await connection.settle()
            return connection
        case .failure(let error):
            thread.stop()
            throw error
        }
    }

    private init(_ thread: ConnectionThread, _ session: sending Session) {
        self.thread = thread
        self.cancelKey = session.cancelKey
        self.session = session
    }

    deinit { thread.stop() }

    /// What depends on the server and so cannot be asked for before it is known.
    private func settle() throws(PostgresError) {
        if session.reported("server_encoding") == "SQL_ASCII" {
            _ = try command("SET client_encoding TO SQL_ASCII", timeout: .seconds(10))
        }
        // An exported snapshot is a transaction of the walsender's; older servers do not know this limit.
        if session.serverVersion >= 170_000 {
            _ = try command("SET transaction_timeout TO 0", timeout: .seconds(10))
        }
    }

    /// In `options`, spaces part the words and a backslash keeps a space.
    private static func escapedOption(_ value: String) -> String {
        var escaped = ""
        for character in value {
            if character == " " || character == "\\" { escaped.append("\\") }
            escaped.append(character)
        }
        return escaped
    }

    /// Begins to stream the changes of `publications` that commit after the slot's position.
    ///
    /// The server starts at the later of `position` and what the slot has confirmed, and says nothing when these differ:
    /// compare `pg_replication_slots.confirmed_flush_lsn` first.
    ///
    /// - Throws: a publication that does not exist shows only in ``next(timeout:)``, once there is a change to decode.
    package func startReplication(
        slot: String, from position: LogSequenceNumber, publications: [String]
    ) throws(PostgresError) {
        let names = publications.map(quoteIdentifier).joined(separator: ",")
        let command =
            "START_REPLICATION SLOT \(quoteIdentifier(slot)) LOGICAL \(position) "
            + "(proto_version '1', publication_names \(quoteReplicationLiteral(names)), messages 'true')"
        status = StandbyStatus()
        try session.dialogue { () throws(PostgresError) in
            try session.send(PQsendQuery(session.connection, command))
            try session.flush()
            guard let result = try session.nextResult() else { throw session.lost() }
            defer { PQclear(result) }
            if PQresultStatus(result) == PGRES_COPY_BOTH { return }
            let failure = session.failure(of: result)
            if session.isOpen { try session.drain() }
            throw failure
        }
        isStreaming = true
    }

    /// The next message of the stream; nil when none came in time.
    ///
    /// A keepalive that asks for a reply has its reply already: the positions of the last status, once more.
    ///
    /// - Throws: ``PostgresError/server(_:)`` when the server cannot go on, such as for a missing publication (15 to 17
    ///   raise an error, 18 a warning and would leave the changes out); the stream is over then.
    package func next(timeout: Duration) throws(PostgresError) -> ReplicationFrame? {
        try nextBatch(timeout: timeout, maximumBytes: 0).first
    }

    /// Waits for a message, then takes what else is there already, up to `maximumBytes` and the message that passes
    /// them. Empty when none came in time.
    package func nextBatch(timeout: Duration, maximumBytes: Int) throws(PostgresError) -> [ReplicationFrame] {
        try session.mustBeOpen()
        guard isStreaming else { throw .usage("no stream runs on this connection") }
        let deadline = ContinuousClock.now + timeout
        var frames: [ReplicationFrame] = []
        var size = 0
        while frames.isEmpty || size < maximumBytes {
            guard let message = try nextMessage(until: frames.isEmpty ? deadline : nil) else { break }
            let frame: ReplicationFrame
            do {
                frame = try ReplicationFrame(message)
            } catch {
                throw end(.connectionLost("connection to \(session.place) lost: replication message: \(error)"))
            }
            if case .keepalive(_, replyRequested: true, _) = frame { try sendStatus(replyRequested: false) }
            frames.append(frame)
            size += message.count
        }
        return frames
    }

    /// - Parameter deadline: nil does not wait.
    private func nextMessage(until deadline: ContinuousClock.Instant?) throws(PostgresError) -> [UInt8]? {
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(session.connection, &buffer, 1)
            try refuseSkippedPublication()
            if count > 0 {
                defer { PQfreemem(buffer) }
                return Array(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
            }
            if count < 0 { throw try reasonOfEnd() }
            guard let deadline else { return nil }
            if try session.wait(for: POLLIN, until: deadline) == 0 { return nil }
            if PQconsumeInput(session.connection) == 0 {
                // The server's last words may have come before the end.
                if PQgetCopyData(session.connection, &buffer, 1) < 0 { throw try reasonOfEnd() }
                PQfreemem(buffer)
                throw end(session.lost())
            }
        }
    }

    /// Server 18 and later leave a missing publication out and only warn; we would lose every change of it.
    private func refuseSkippedPublication() throws(PostgresError) {
        guard let notice = session.notices.first(where: { $0.isSkippedPublication }) else { return }
        throw end(
            .server(
                ServerError(
                    sqlState: notice.sqlState, severity: notice.severity, message: notice.message,
                    detail: notice.detail, hint: notice.hint)))
    }

    private func reasonOfEnd() throws(PostgresError) -> PostgresError {
        isStreaming = false
        do throws(PostgresError) {
            _ = try session.answer()
        } catch {
            return error
        }
        return end(.connectionLost("connection to \(session.place) lost: the server ended the stream"))
    }

    private func end(_ error: PostgresError) -> PostgresError {
        isStreaming = false
        session.close()
        return error
    }

    /// Tells the server how far we are. It may forget everything up to `flushed` and never sends it again.
    ///
    /// - Parameter replyRequested: asks for a keepalive at once.
    package func sendStatus(
        written: LogSequenceNumber, flushed: LogSequenceNumber, applied: LogSequenceNumber, replyRequested: Bool = false
    ) throws(PostgresError) {
        try session.mustBeOpen()
        guard isStreaming else { throw .usage("no stream runs on this connection") }
        status = StandbyStatus(written: written, flushed: flushed, applied: applied)
        try sendStatus(replyRequested: replyRequested)
    }

    private func sendStatus(replyRequested: Bool) throws(PostgresError) {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let microseconds = Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000
        let sentAt = PostgresTimestamp(microsecondsSince1970: microseconds) ?? .init(microsecondsSince2000: 0)
        let message = status.message(sentAt: sentAt, replyRequested: replyRequested)
        let accepted = message.withUnsafeBytes { bytes in
            PQputCopyData(
                session.connection, bytes.assumingMemoryBound(to: CChar.self).baseAddress, Int32(bytes.count))
        }
        try session.send(accepted)
        try session.flush()
    }

    /// Asks the server to stop what it does. Returns at once, from any thread. A slot being made is given up.
    package nonisolated func cancel() { cancelKey.sendInBackground() }

    /// What the server remarked since the last call, oldest first; the last 100 are kept.
    package func takeNotices() -> [Notice] { session.notices.take() }

    package var isOpen: Bool { session.isOpen }
    /// The walsender: `pg_stat_replication.pid`. 0 after ``close()``.
    package var backendPID: Int32 { session.backendPID }
    /// 150012 is 15.12. 0 after ``close()``.
    package var serverVersion: Int { session.serverVersion }

    /// Ends the session. Its slot stays, unless it is temporary.
    package func close() {
        isStreaming = false
        session.close()
    }
}

extension Notice {
    /// `skipped loading publication "..."` of pgoutput, whatever language it comes in: a walsender warns with this
    /// SQLSTATE (object not in prerequisite state) of nothing else.
    var isSkippedPublication: Bool { severity == "WARNING" && sqlState == "55000" }
}
