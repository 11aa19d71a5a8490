// What tests of measurements share.

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Ports
import PostgresSupport
import Synchronization
import Testing

extension MetricReading {
    var why: String? {
        if case .noData(let why) = self { return why }
        return nil
    }

    var isNoData: Bool { why != nil }
}

/// Asks again and again until it is so, for at most a minute.
func eventually(
    _ what: String, _ condition: () async throws -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(30))
    }
    Issue.record("not within a minute: \(what)", sourceLocation: sourceLocation)
    throw SupportError("not within a minute: \(what)")
}

/// An HTTP server of this process, on a port of its own.
final class HTTPServer: Sendable {
    enum Answer: Sendable {
        case whole(status: Int = 200, headers: [(String, String)] = [], body: String)
        /// The head and a first part, then nothing.
        case endless(String)
        /// Not a word.
        case silence
    }

    let port: Int
    private let channel: any Channel

    var address: String { "127.0.0.1:\(port)" }

    init(_ answer: @escaping @Sendable (String) -> Answer) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    /// Nobody can connect any more; connections that stand end with their next answer.
    func close() async throws { try await channel.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answer: @Sendable (String) -> Answer
        private var asked = ""

        init(_ answer: @escaping @Sendable (String) -> Answer) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): asked = head.uri
            case .body: break
            case .end: reply(context)
            }
        }

        private func reply(_ context: ChannelHandlerContext) {
            switch answer(asked) {
            case .silence: return
            case .endless(let part):
                context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: .ok))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(.init(string: part)))), promise: nil)
            case .whole(let status, let headers, let body):
                var head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status))
                head.headers.add(contentsOf: headers)
                head.headers.add(name: "content-length", value: "\(body.utf8.count)")
                head.headers.add(name: "connection", value: "close")
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(.init(string: body)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                context.close(promise: nil)
            }
        }
    }
}
