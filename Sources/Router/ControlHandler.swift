// HTTP on the control socket, and on the metrics listener.

import Foundation
import NIOCore
import NIOHTTP1
import Traffic

/// Answers one control connection. Confined to the control event loop.
final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Bound of a request's body; a table of thousands of instances fits.
    static let bodyBytes = 4 * 1_024 * 1_024

    /// What may be asked on a connection.
    enum Scope: Hashable, Sendable {
        /// By the owner of the control socket.
        case everything
        /// By whoever reaches the metrics listener: `/metrics` and `/healthz`, without a body.
        case metrics

        func offers(_ path: String) -> Bool { self == .everything || path == "/metrics" || path == "/healthz" }
        var bodyBytes: Int { self == .everything ? ControlHandler.bodyBytes : 0 }
    }

    private let state: ControlState
    private let scope: Scope
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ state: ControlState, scope: Scope) {
        self.state = state
        self.scope = scope
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
        case .body(var bytes):
            guard head != nil else { return }
            body.writeBuffer(&bytes)
            guard body.readableBytes > scope.bodyBytes else { return }
            head = nil
            body.clear()
            context.close(promise: nil)
        case .end:
            guard let head else { return }
            let keepsAlive = head.isKeepAlive
            answer(head).assumeIsolated().whenComplete { result in
                let answer: ControlAnswer
                switch result {
                case .success(let success): answer = success
                case .failure(let error): answer = .problem(.internalServerError, "\(error)")
                }
                self.write(answer, context: context, isHead: head.method == .HEAD, keepsAlive: keepsAlive)
            }
        }
    }

    private func answer(_ head: HTTPRequestHead) -> EventLoopFuture<ControlAnswer> {
        guard scope.offers(head.uri) else { return now(.problem(.notFound, "nothing at \(head.uri)")) }
        // Of all there is, only a report can be asked for with a query.
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let isReport = parts.first == "/report"
        let query = isReport && parts.count > 1 ? parts[1] : nil
        return switch (head.method, isReport ? "/report" : head.uri) {
        case (.PUT, "/table"): decoded(RoutingTable.self) { state.put($0) }
        case (.GET, "/table"): now(state.currentTable)
        case (.GET, "/report"): report(query)
        case (.GET, "/samples"): state.samples()
        case (.POST, "/hold"): decoded(HoldRequest.self) { state.hold($0) }
        case (.POST, "/let-go"): decoded(LetGoRequest.self) { state.letGo($0) }
        case (.GET, "/metrics"): state.metrics()
        case (.GET, "/healthz"): now(.json(.ok, ["status": "ok"]))
        case (_, "/table"), (_, "/report"), (_, "/samples"), (_, "/hold"), (_, "/let-go"), (_, "/metrics"),
            (_, "/healthz"):
            now(.problem(.methodNotAllowed, "no \(head.method.rawValue) at \(head.uri)"))
        default:
            now(.problem(.notFound, "nothing at \(head.uri)"))
        }
    }

    private func report(_ query: Substring?) -> EventLoopFuture<ControlAnswer> {
        do throws(ReportQuery.Mistake) {
            return state.report(try ReportQuery(query))
        } catch {
            return now(.problem(.badRequest, error.text))
        }
    }

    private func now(_ answer: ControlAnswer) -> EventLoopFuture<ControlAnswer> {
        state.eventLoop.makeSucceededFuture(answer)
    }

    private func decoded<Value: Decodable>(
        _ type: Value.Type, _ act: (Value) -> EventLoopFuture<ControlAnswer>
    ) -> EventLoopFuture<ControlAnswer> {
        do {
            return act(try JSONDecoder().decode(type, from: Data(body.readableBytesView)))
        } catch {
            return now(.problem(.badRequest, "the body is no \(type): \(error)"))
        }
    }

    private func write(_ answer: ControlAnswer, context: ChannelHandlerContext, isHead: Bool, keepsAlive: Bool) {
        let headers: HTTPHeaders = [
            "Content-Type": answer.contentType,
            "Content-Length": String(answer.body.count),
            "Connection": keepsAlive ? "keep-alive" : "close",
        ]
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        if !isHead {
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            if !keepsAlive { context.close(promise: nil) }
        }
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: written)
    }

    /// A connection of the metrics listener was silent for too long.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
