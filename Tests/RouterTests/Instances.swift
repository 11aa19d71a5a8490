// Test support: instances of a service that behave, and instances that misbehave byte by byte.

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Traffic

/// What an instance received.
struct Request: Sendable {
    var head: HTTPRequestHead
    var body: ByteBuffer
    /// Which connection of this instance it came on, from 1.
    var connection: Int
}

struct Reply: Sendable {
    var status: HTTPResponseStatus = .ok
    var fields: HTTPHeaders = [:]
    var body: String = ""
    var after: TimeAmount = .zero
    /// Nil is at once.
    var when: EventLoopFuture<Void>?
}

/// A small HTTP server of the test, on its own port.
final class ServiceInstance: Sendable {
    let channel: any Channel
    private let counts: Counts

    final class Counts: Sendable {
        let connections = Mutex(0)
        let requests = Mutex<[HTTPRequestHead]>([])
        let open = Mutex<[ObjectIdentifier: any Channel]>([:])
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var connections: Int { counts.connections.withLock { $0 } }
    var requests: [HTTPRequestHead] { counts.requests.withLock { $0 } }
    var openConnections: Int { counts.open.withLock { $0.count } }
    var openChannels: [any Channel] { counts.open.withLock { Array($0.values) } }

    private init(channel: any Channel, counts: Counts) {
        self.channel = channel
        self.counts = counts
    }

    func backend(_ name: String) -> Backend { Backend(name: name, host: "127.0.0.1", port: port) }

    /// Stops listening and cuts every connection, like a process that dies.
    func die() async {
        try? await channel.close()
        for connection in counts.open.withLock({ Array($0.values) }) { try? await connection.close() }
    }

    static func serving(_ reply: @escaping @Sendable (Request) -> Reply) async throws -> ServiceInstance {
        try await start { channel, _, number, counts in
            try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
            try channel.pipeline.syncOperations.addHandler(Serving(number: number, counts: counts, reply: reply))
        }
    }

    /// Answers every request with its name.
    static func named(_ name: String) async throws -> ServiceInstance {
        try await serving { _ in Reply(fields: ["X-Instance": name], body: name) }
    }

    enum Step: Sendable {
        case send(String)
        case close
    }

    /// Says what to do each time bytes arrive: given the connection's number and all it received so far.
    static func raw(_ act: @escaping @Sendable (Int, String) -> [Step]) async throws -> ServiceInstance {
        try await start { channel, _, number, _ in
            try channel.pipeline.syncOperations.addHandler(Raw(number: number, act: act))
        }
    }

    /// A server whose connections get the handlers that `configure` adds.
    static func start(
        _ configure: @escaping @Sendable (any Channel, any EventLoop, Int, Counts) throws -> Void
    ) async throws -> ServiceInstance {
        let counts = Counts()
        let channel = try await ServerBootstrap(group: testLoops)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                let number = counts.connections.withLock { count in
                    count += 1
                    return count
                }
                counts.open.withLock { $0[ObjectIdentifier(channel)] = channel }
                channel.closeFuture.whenComplete { _ in
                    counts.open.withLock { $0[ObjectIdentifier(channel)] = nil }
                }
                return channel.eventLoop.makeCompletedFuture {
                    try configure(channel, channel.eventLoop, number, counts)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ServiceInstance(channel: channel, counts: counts)
    }

    private final class Serving: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let number: Int
        private let counts: Counts
        private let reply: @Sendable (Request) -> Reply
        private var head: HTTPRequestHead?
        private var body = ByteBuffer()

        init(number: Int, counts: Counts, reply: @escaping @Sendable (Request) -> Reply) {
            self.number = number
            self.counts = counts
            self.reply = reply
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch Self.unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body.clear()
            case .body(var bytes):
                body.writeBuffer(&bytes)
            case .end:
                guard let head else { return }
                counts.requests.withLock { $0.append(head) }
                let reply = reply(Request(head: head, body: body, connection: number))
                if let when = reply.when {
                    when.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in
                        self.write(reply, to: head, context)
                    }
                } else if reply.after > .zero {
                    context.eventLoop.assumeIsolated().scheduleTask(in: reply.after) {
                        self.write(reply, to: head, context)
                    }
                } else {
                    write(reply, to: head, context)
                }
            }
        }

        private func write(_ reply: Reply, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
            var fields = reply.fields
            if reply.status.mayHaveBody { fields.add(name: "Content-Length", value: "\(reply.body.utf8.count)") }
            let response = HTTPResponseHead(version: .http1_1, status: reply.status, headers: fields)
            context.write(Self.wrapOutboundOut(.head(response)), promise: nil)
            if head.method != .HEAD, reply.status.mayHaveBody {
                context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: reply.body)))), promise: nil)
            }
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .some(.inputClosed) = event as? ChannelEvent { context.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private final class Raw: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let number: Int
        private let act: @Sendable (Int, String) -> [Step]
        private var received = ""

        init(number: Int, act: @escaping @Sendable (Int, String) -> [Step]) {
            self.number = number
            self.act = act
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += String(buffer: Self.unwrapInboundIn(data))
            for step in act(number, received) {
                switch step {
                case .send(let text):
                    context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
                case .close:
                    context.close(promise: nil)
                }
            }
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .some(.inputClosed) = event as? ChannelEvent { context.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

extension HTTPResponseStatus {
    fileprivate var mayHaveBody: Bool { code >= 200 && self != .noContent && self != .notModified }
}

/// What a killed server leaves behind: a socket file on which nobody listens.
func abandonSocket(at path: String) -> Bool {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
        }
    }
}
