// COPY in chunks: nothing here holds a whole table.

import CLibPQ
import Glibc

extension Session {
    /// Gives `body` the next message of a COPY that comes from the server; the bytes are valid within the call.
    ///
    /// - Returns: false at the end, whose results are to be read next.
    func nextCopyData(_ body: (UnsafeRawBufferPointer) -> Void) throws(PostgresError) -> Bool {
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(connection, &buffer, 1)
            if count > 0 {
                body(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
                PQfreemem(buffer)
                return true
            }
            if count < 0 { return false }
            if try wait(for: POLLIN, until: silenceDeadline()) == 0 { throw timedOut() }
            if PQconsumeInput(connection) == 0 { throw lost() }
        }
    }

    /// Runs `COPY ... TO STDOUT`; `row` gets a row's bytes at a time, or a header's, as the format says.
    ///
    /// - Returns: how many rows the server says it sent.
    /// - Throws: what `row` throws, after the server was made to stop.
    func copyOut(_ sql: String, _ row: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        try refuseZeroBytes(sql, [])
        var refusal: (any Error)?
        let rows = try dialogue { () throws(PostgresError) -> Int in
            try beginCopy(sql, expecting: PGRES_COPY_OUT)
            while try nextCopyData({ bytes in
                if refusal != nil { return }
                do {
                    try row(bytes)
                } catch {
                    refusal = error
                    if !cancelKey.send(patience: 2) { close() }
                }
            }) {}
            if refusal == nil { return try answer().affected }
            // Whether it was cancelled or had just ended is the same to us.
            try drain()
            return 0
        }
        if let refusal { throw refusal }
        return rows
    }

    /// Runs `COPY ... FROM STDIN` with what `body` writes.
    ///
    /// - Returns: how many rows the server took.
    /// - Throws: what `body` throws, after the server has dropped the rows; else the server's error.
    func copyIn(_ sql: String, _ body: (inout CopyWriter) throws -> Void) throws -> Int {
        try refuseZeroBytes(sql, [])
        var refusal: (any Error)?
        let rows = try dialogue { () throws(PostgresError) -> Int in
            try beginCopy(sql, expecting: PGRES_COPY_IN)
            var writer = CopyWriter(self)
            do {
                try body(&writer)
            } catch {
                refusal = error
            }
            // The server's word counts, even if `body` took no notice of it.
            if let end = writer.end { throw end }
            if refusal == nil {
                try send(PQputCopyEnd(connection, nil))
                try flush()
                return try answer().affected
            }
            PQputCopyEnd(connection, "given up")
            try flush()
            try drain()
            return 0
        }
        if let refusal { throw refusal }
        return rows
    }

    private func beginCopy(_ sql: String, expecting expected: ExecStatusType) throws(PostgresError) {
        try send(PQsendQuery(connection, sql))
        try flush()
        guard let result = try nextResult() else { throw lost() }
        defer { PQclear(result) }
        if PQresultStatus(result) == expected { return }
        var failure = PostgresError.usage("not a COPY of the wanted direction: \(sql)")
        do throws(PostgresError) {
            _ = try value(of: result)
        } catch {
            failure = error
        }
        if isOpen { try drain() }
        throw failure
    }
}
