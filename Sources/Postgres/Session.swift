// One libpq connection: how it comes up, how it waits, how it ends.

import CLibPQ
import Dispatch
import Glibc

/// A libpq connection in non-blocking mode. Belongs to one thread; every wait is a poll(2) with a bound.
///
/// A peer that vanished without a word is noticed by TCP within half a minute: see ``defaults``.
final class Session {
    /// nil once closed; libpq's functions take that as a connection that is bad.
    private(set) var connection: OpaquePointer?
    let cancelKey: CancelKey
    let notices = NoticeLog()
    /// User, host, port and database, for messages.
    let place: String
    /// Longest silence of the server within a statement; nil trusts the server's own `statement_timeout`.
    var answerTimeout: Duration?
    var statements = StatementCache()

    /// What a session has unless its settings say otherwise: after 10 s of silence TCP asks three times, 5 s apart, and
    /// data that nobody acknowledges for 30 s ends the connection (tcp(7): TCP_USER_TIMEOUT).
    static let defaults = [
        "keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
        "tcp_user_timeout": "30000", "client_encoding": "UTF8", "fallback_application_name": "perch",
    ]

    /// Connects and logs in. Looking up a host's name has the resolver's own time limits.
    ///
    /// - Throws: ``PostgresError/connectionFailed(_:)``, also when `timeout` passes.
    init(_ settings: ConnectionSettings, timeout: Duration) throws(PostgresError) {
        place = settings.description
        let parameters = Self.defaults.merging(settings.parameters) { _, given in given }
        let handle = withCStrings(parameters.keys.map { $0 }) { keywords in
            withCStrings(parameters.values.map { $0 }) { values in
                PQconnectStartParams(keywords + [nil], values + [nil], 0)
            }
        }
        guard let handle else { throw .connectionFailed("connection to \(place) failed: out of memory") }
        do throws(PostgresError) {
            try Self.logIn(handle, place: place, timeout: timeout)
        } catch {
            PQfinish(handle)
            throw error
        }
        guard let cancelKey = CancelKey(of: handle) else {
            PQfinish(handle)
            throw .connectionFailed("connection to \(place) failed: out of memory")
        }
        self.cancelKey = cancelKey
        connection = handle
        notices.collect(from: handle)
        PQsetnonblocking(handle, 1)
    }

    deinit { PQfinish(connection) }

    /// Bytes after which output is pushed out: libpq's own buffer grows without bound.
    static let outputBound = 1 << 16

    private static func logIn(
        _ handle: OpaquePointer, place: String, timeout: Duration
    ) throws(PostgresError) {
        let deadline = ContinuousClock.now + timeout
        var step = PQstatus(handle) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING
        while step != PGRES_POLLING_OK {
            if step == PGRES_POLLING_FAILED {
                throw .connectionFailed(
                    "connection to \(place) failed: \(oneLine(String(cString: PQerrorMessage(handle))))")
            }
            let events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT
            if poll(PQsocket(handle), for: events, until: deadline) == 0 {
                throw .connectionFailed(
                    "connection to \(place) failed: no answer within \(timeout)\n"
                        + "hint: check host, port and firewall, and that the server is not overloaded")
            }
            step = PQconnectPoll(handle)
        }
    }

    /// False once the session is closed or known to be lost.
    var isOpen: Bool { PQstatus(connection) == CONNECTION_OK }

    /// Ends the session. The server rolls an open transaction back.
    func close() {
        PQfinish(connection)
        connection = nil
    }

    /// - Throws: ``PostgresError/connectionLost(_:)`` for a session that ended earlier.
    func mustBeOpen() throws(PostgresError) {
        guard connection != nil else { throw .connectionLost("connection to \(place) is closed") }
        guard isOpen else { throw lost() }
    }

    /// How the end of this session is reported.
    func lost(_ report: ServerError? = nil) -> PostgresError {
        let reason = report?.message ?? oneLine(String(cString: PQerrorMessage(connection)))
        return .connectionLost("connection to \(place) lost: \(reason.isEmpty ? "closed by the server" : reason)")
    }

    /// Waits until the socket can be read or written.
    ///
    /// - Returns: poll(2)'s events; 0 when `deadline` passed first.
    func wait(for events: Int32, until deadline: ContinuousClock.Instant?) throws(PostgresError) -> Int32 {
        let socket = PQsocket(connection)
        guard socket >= 0 else { throw lost() }
        return Self.poll(socket, for: events, until: deadline)
    }

    /// When the silence that begins now has lasted too long.
    func silenceDeadline() -> ContinuousClock.Instant? {
        answerTimeout.map { ContinuousClock.now + $0 }
    }

    func timedOut() -> PostgresError {
        .timedOut("no answer from \(place) within \(answerTimeout ?? .zero)")
    }

    private static func poll(_ socket: Int32, for events: Int32, until deadline: ContinuousClock.Instant?) -> Int32 {
        var descriptor = pollfd(fd: socket, events: Int16(events), revents: 0)
        while true {
            var milliseconds: Int32 = -1
            if let deadline {
                let left = ContinuousClock.now.duration(to: deadline)
                // Rounded up, so that the last wait does not spin; a day at most, which fits.
                milliseconds = left <= .zero ? 0 : Int32(min(left / .milliseconds(1) + 1, 86_400_000))
            }
            let count = Glibc.poll(&descriptor, 1, milliseconds)
            // Anything but an interruption or an early end of the wait is for libpq to find out about.
            if count > 0 { return Int32(descriptor.revents) }
            if count < 0 && errno != EINTR { return POLLERR }
            if let deadline, ContinuousClock.now >= deadline { return 0 }
        }
    }

    /// Hands libpq's output to the kernel, reading meanwhile: a server that cannot send does not read.
    func flush() throws(PostgresError) {
        while true {
            switch PQflush(connection) {
            case 0: return
            case 1:
                let events = try wait(for: POLLIN | POLLOUT, until: silenceDeadline())
                if events == 0 { throw timedOut() }
                // When this fails, the reason is in the input; who asks for the result gets it.
                if events & ~POLLOUT != 0 && PQconsumeInput(connection) == 0 { return }
            default: throw lost()
            }
        }
    }

    /// The next result of what was sent; nil after the last one. The caller clears it.
    func nextResult() throws(PostgresError) -> OpaquePointer? {
        while PQisBusy(connection) != 0 {
            if try wait(for: POLLIN, until: silenceDeadline()) == 0 { throw timedOut() }
            // When this fails, PQgetResult does not wait and gives the reason.
            if PQconsumeInput(connection) == 0 { break }
        }
        return PQgetResult(connection)
    }

    /// Reads and drops what is left of a statement, whatever it was, until the server waits for the next one.
    func drain() throws(PostgresError) {
        let isPipeline = PQpipelineStatus(connection) != PQ_PIPELINE_OFF
        while isOpen {
            guard let result = try nextResult() else {
                if isPipeline { continue }
                return
            }
            let status = PQresultStatus(result)
            PQclear(result)
            switch status {
            case PGRES_PIPELINE_SYNC:
                PQexitPipelineMode(connection)
                return
            case PGRES_COPY_IN:
                PQputCopyEnd(connection, "given up")
                try flush()
            case PGRES_COPY_OUT:
                while try nextCopyData({ _ in }) {}
            case PGRES_COPY_BOTH:
                // Only a stream of replication looks like this, and that one is ended by closing.
                close()
            default: break
            }
        }
        throw lost()
    }

    /// Runs one statement's dialogue. When the server is silent for too long, its statement is cancelled and the
    /// session goes on if the server takes note within two seconds, else it is closed.
    func dialogue<Value>(_ body: () throws(PostgresError) -> Value) throws(PostgresError) -> Value {
        try mustBeOpen()
        do throws(PostgresError) {
            return try body()
        } catch {
            if case .timedOut = error { cancelOrClose() }
            throw error
        }
    }

    private func cancelOrClose() {
        let patience = answerTimeout
        defer { answerTimeout = patience }
        answerTimeout = .seconds(2)
        let taken = cancelKey.sendInBackground()
        do throws(PostgresError) {
            try drain()
        } catch {
            return close()
        }
        // A request still on its way could cancel the next statement instead.
        if taken.wait(timeout: .now() + .seconds(2)) == .timedOut { close() }
    }
}

/// Calls `body` with C strings for these texts, valid within the call.
///
/// - Precondition: no text has a zero byte.
func withCStrings<Value, Failure: Error>(
    _ texts: [String?], _ body: ([UnsafePointer<CChar>?]) throws(Failure) -> Value
) throws(Failure) -> Value {
    var bytes: [CChar] = []
    var starts: [Int?] = []
    starts.reserveCapacity(texts.count)
    for text in texts {
        guard let text else {
            starts.append(nil)
            continue
        }
        starts.append(bytes.count)
        bytes.append(contentsOf: text.utf8CString)
    }
    return try bytes.withUnsafeBufferPointer { buffer throws(Failure) in
        try body(starts.map { start in start.flatMap { buffer.baseAddress?.advanced(by: $0) } })
    }
}
