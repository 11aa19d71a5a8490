// Test support: a client connection that speaks bytes, and what it takes to read HTTP from them.

import NIOCore
import NIOPosix
import Synchronization

let testLoops = MultiThreadedEventLoopGroup(numberOfThreads: 2)

struct TimedOut: Error, CustomStringConvertible {
    var description: String
}

/// Asks again and again until the answer is there; 30 seconds at most unless told.
func eventually<Answer>(
    _ what: String, within limit: Duration = .seconds(30), _ ask: () async throws -> Answer?
) async throws -> Answer {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if let answer = try await ask() { return answer }
        try await Task.sleep(for: .milliseconds(2))
    }
    throw TimedOut(description: "not within \(limit): \(what)")
}

/// A connection that keeps what it receives until it is asked for.
final class Wire: Sendable {
    private struct Received {
        var bytes: [UInt8] = []
        var total = 0
        var isOver = false
        var wasReset = false
    }

    let channel: any Channel
    private let received: Collector

    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let state = Mutex(Received())
        let keeps = Mutex(true)

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Self.unwrapInboundIn(data)
            let keeps = keeps.withLock { $0 }
            state.withLock {
                $0.total += bytes.readableBytes
                if keeps { $0.bytes += bytes.readableBytesView }
            }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .some(.inputClosed) = event as? ChannelEvent { state.withLock { $0.isOver = true } }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            state.withLock { $0.wasReset = true }
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            state.withLock { $0.isOver = true }
        }
    }

    private init(channel: any Channel, received: Collector) {
        self.channel = channel
        self.received = received
    }

    static func connect(port: Int) async throws -> Wire {
        try await connect { try await $0.connect(host: "127.0.0.1", port: port).get() }
    }

    static func connect(socket: String) async throws -> Wire {
        try await connect { try await $0.connect(unixDomainSocketPath: socket).get() }
    }

    private static func connect(_ open: (ClientBootstrap) async throws -> any Channel) async throws -> Wire {
        let collector = Collector()
        let bootstrap = ClientBootstrap(group: testLoops)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { $0.pipeline.addHandler(collector) }
        return Wire(channel: try await open(bootstrap), received: collector)
    }

    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }
    func send(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes).get() }
    func close() async { try? await channel.close() }

    /// Stops reading from the kernel, so that back-pressure reaches the other side.
    func pauseReading() async throws { try await channel.setOption(.autoRead, value: false).get() }
    func resumeReading() async throws {
        try await channel.setOption(.autoRead, value: true).get()
        channel.read()
    }

    /// Counts what arrives from now on and throws it away.
    func countOnly() { received.keeps.withLock { $0 = false } }
    var totalReceived: Int { received.state.withLock { $0.total } }
    var isOver: Bool { received.state.withLock { $0.isOver } }
    var text: String { received.state.withLock { String(decoding: $0.bytes, as: UTF8.self) } }

    /// Takes what arrived up to and with `end`.
    func take(through end: String) async throws -> String {
        let mark = Array(end.utf8)
        return try await eventually("'\(end)' in '\(text.prefix(300))'") {
            received.state.withLock { state in
                guard let found = state.bytes.firstRange(of: mark) else { return nil }
                let taken = String(decoding: state.bytes[..<found.upperBound], as: UTF8.self)
                state.bytes.removeFirst(found.upperBound)
                return taken
            }
        }
    }

    func take(_ count: Int) async throws -> [UInt8] {
        try await eventually("\(count) bytes, had \(totalReceived)", within: .seconds(30)) {
            received.state.withLock { state in
                guard state.bytes.count >= count else {
                    return state.isOver && count == .max ? [] : nil
                }
                let taken = Array(state.bytes[..<count])
                state.bytes.removeFirst(count)
                return taken
            }
        }
    }

    func takeToEnd() async throws -> [UInt8] {
        try await eventually("the end") {
            received.state.withLock { state in
                guard state.isOver else { return nil }
                defer { state.bytes = [] }
                return state.bytes
            }
        }
    }
}

struct Answer: Sendable {
    var status: Int
    var fields: [(name: String, value: String)]
    var body: [UInt8]
    var head: String

    var text: String { String(decoding: body, as: UTF8.self) }
    func field(_ name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

extension Wire {
    /// Sends a request as text, `Host` added, and reads the answer.
    func ask(
        _ line: String, _ fields: [String] = [], body: String? = nil, isHead: Bool = false
    ) async throws -> Answer {
        var text = "\(line) HTTP/1.1\r\nHost: shop.test\r\n"
        for field in fields { text += field + "\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        try await send(text + "\r\n" + (body ?? ""))
        return try await answer(isHead: isHead)
    }

    func answer(isHead: Bool = false) async throws -> Answer {
        let head = try await take(through: "\r\n\r\n")
        var lines = head.split(separator: "\r\n").map(String.init)
        let status = Int(lines.removeFirst().split(separator: " ")[1]) ?? 0
        let fields = lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return (name: String(parts[0]), value: parts.count > 1 ? String(parts[1].drop { $0 == " " }) : "")
        }
        var answer = Answer(status: status, fields: fields, body: [], head: head)
        if isHead || status < 200 || status == 204 || status == 304 { return answer }
        if let length = answer.field("content-length").flatMap(Int.init) {
            answer.body = try await take(length)
        } else if answer.field("transfer-encoding") == "chunked" {
            while true {
                let size = try await take(through: "\r\n").dropLast()
                let count = Int(size.split(separator: ";")[0], radix: 16) ?? 0
                answer.body += try await take(count)
                if count == 0 {
                    // Trailers, if any, up to the empty line.
                    while try await take(through: "\r\n") != "\r\n" {}
                    break
                }
                _ = try await take(2)
            }
        } else {
            answer.body = try await takeToEnd()
        }
        return answer
    }
}
