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

    /// Runs `COPY ... FROM STDIN` with what `body` writes; chunks need not end where rows do.
    ///
    /// - Returns: how many rows the server took.
    /// - Throws: the server's error, which may be about an earlier chunk than the one being written; else what `body`
    ///   throws, after the server has dropped the rows.
    func copyIn(
        _ sql: String, _ body: (_ write: (UnsafeRawBufferPointer) throws(PostgresError) -> Void) throws -> Void
    ) throws -> Int {
        try refuseZeroBytes(sql, [])
        var refusal: (any Error)?
        let rows = try dialogue { () throws(PostgresError) -> Int in
            try beginCopy(sql, expecting: PGRES_COPY_IN)
            var unflushed = 0
            var end: PostgresError?
            do {
                try body { bytes throws(PostgresError) in
                    if let end { throw end }
                    do throws(PostgresError) {
                        try write(bytes, unflushed: &unflushed)
                    } catch {
                        end = error
                        throw error
                    }
                }
            } catch {
                refusal = error
            }
            // The server's word counts, even if `body` took no notice of it.
            if let end { throw end }
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

    private func write(_ bytes: UnsafeRawBufferPointer, unflushed: inout Int) throws(PostgresError) {
        // One message's length is a signed 32-bit number.
        var rest = bytes[...]
        while !rest.isEmpty {
            let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
            rest = rest.dropFirst(chunk.count)
            let accepted = PQputCopyData(
                connection, chunk.assumingMemoryBound(to: CChar.self).baseAddress, Int32(chunk.count))
            if accepted != 1 { try endEarly() }
            unflushed += chunk.count
            if unflushed >= Self.outputBound {
                unflushed = 0
                try flush()
                // The server says at once when it does not like a row; nobody else would look before the end.
                if PQconsumeInput(connection) == 0 { try endEarly() }
            }
        }
    }

    /// libpq takes no more of this COPY: the server has ended it or is gone.
    private func endEarly() throws(PostgresError) {
        _ = try answer()
        throw .usage("the server ended the COPY before it had all rows")
    }
}
