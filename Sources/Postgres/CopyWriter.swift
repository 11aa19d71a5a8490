// The client's end of a COPY into a table.

import CLibPQ

/// Takes the bytes of a `COPY ... FROM STDIN` while it runs. Chunks may end anywhere, also within a row.
package struct CopyWriter: ~Copyable {
    private let session: Session
    private var unflushed = 0
    /// Why nothing more can be written.
    private(set) var end: PostgresError?

    init(_ session: Session) { self.session = session }

    /// - Throws: ``PostgresError`` when the session is over or the server too slow. A row that the server refuses is
    ///   reported by the COPY as a whole, at its end.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(PostgresError) {
        if let end { throw end }
        do throws(PostgresError) {
            // One message's length is a signed 32-bit number.
            var rest = bytes[...]
            while !rest.isEmpty {
                let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
                rest = rest.dropFirst(chunk.count)
                try put(chunk)
            }
        } catch {
            end = error
            throw error
        }
    }

    package mutating func write(_ bytes: [UInt8]) throws(PostgresError) {
        try bytes.withUnsafeBufferPointer { buffer throws(PostgresError) in try write(UnsafeRawBufferPointer(buffer)) }
    }

    private mutating func put(_ chunk: UnsafeRawBufferPointer) throws(PostgresError) {
        let start = chunk.assumingMemoryBound(to: CChar.self).baseAddress
        if PQputCopyData(session.connection, start, Int32(chunk.count)) != 1 { throw reasonOfRefusal() }
        unflushed += chunk.count
        guard unflushed >= Session.outputBound else { return }
        unflushed = 0
        try session.flush()
        // Notices are taken in, and the end of the session is heard of. An error about a row libpq keeps for the end.
        if PQconsumeInput(session.connection) == 0 { throw reasonOfRefusal() }
    }

    /// libpq takes no more of this COPY.
    private func reasonOfRefusal() -> PostgresError {
        do throws(PostgresError) {
            _ = try session.answer()
        } catch {
            return error
        }
        return .usage("the server ended the COPY before it had all rows")
    }
}
