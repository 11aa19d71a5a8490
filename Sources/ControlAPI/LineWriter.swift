// Lines into a response body, many at a time.

import Hummingbird
import NIOCore
import Synchronization

/// Gathers lines and passes them on once there are enough.
///
/// Not protected against itself: the controller gives its sink one line after the other, and none after it has returned.
final class LineWriter: @unchecked Sendable {
    private static let enough = 64 << 10
    private var writer: any ResponseBodyWriter
    private var gathered = ByteBuffer()

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    func write(_ line: String) async throws {
        gathered.writeString(line)
        if line.utf8.last != UInt8(ascii: "\n") { gathered.writeString("\n") }
        if gathered.readableBytes >= Self.enough { try await flush() }
    }

    func finish() async throws {
        try await flush()
        try await writer.finish(nil)
    }

    private func flush() async throws {
        guard gathered.readableBytes > 0 else { return }
        let part = gathered
        gathered = ByteBuffer()
        try await writer.write(part)
    }
}

/// Goes up once.
final class Flag: Sendable {
    private let state = Mutex(false)
    var isRaised: Bool { state.withLock { $0 } }
    func raise() { state.withLock { $0 = true } }
}
