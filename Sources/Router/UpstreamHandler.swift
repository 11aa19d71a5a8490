// One HTTP/1.1 connection to an instance.

import Glibc
import NIOCore
import NIOHTTP1

/// The last handler of a connection to an instance: it serves one exchange at a time and waits unused in between.
final class UpstreamHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = HTTPClientRequestPart

    let channel: any Channel
    let decoder: ByteToMessageHandler<HTTPResponseDecoder>
    private let instance: Instance
    private weak var exchange: Exchange?
    private var context: ChannelHandlerContext?
    private var readIsWaiting = false
    private var isClosing = false
    /// An unused connection reads, because that is how its end is noticed.
    private var isUnused = true
    private(set) var unusedSince = NIODeadline.now()
    private(set) var expires = NIODeadline.distantFuture
    private var keepAliveSeconds: Int64?
    /// Responses that were read whole.
    private(set) var served = 0
    private var responseAllowsReuse = false

    init(to instance: Instance, channel: any Channel, decoder: ByteToMessageHandler<HTTPResponseDecoder>) {
        self.instance = instance
        self.channel = channel
        self.decoder = decoder
    }

    var isWritable: Bool { channel.isWritable }

    /// Whether the connection is open here, and for the kernel: a FIN that has arrived but was not yet read shows as
    /// a state other than ESTABLISHED (the first byte of `tcp_info`).
    var isOpen: Bool {
        guard channel.isActive, !isClosing else { return false }
        let option = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: TCP_INFO))
        guard let state = try? channel.syncOptions?.getOption(option) else { return true }
        return UInt8(truncatingIfNeeded: state) == UInt8(TCP_ESTABLISHED)
    }

    // MARK: What an exchange asks

    func begin(_ exchange: Exchange) {
        self.exchange = exchange
        isUnused = false
        keepAliveSeconds = nil
        responseAllowsReuse = false
    }

    /// - Parameter wasWritten: called when the operating system has taken the whole head.
    func write(head: HTTPRequestHead, wasWritten: @escaping () -> Void) {
        guard let context else { return }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { result in
            if case .success = result { wasWritten() }
        }
        context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
    }

    func write(_ part: HTTPClientRequestPart) {
        context?.write(Self.wrapOutboundOut(part), promise: nil)
    }

    func flush() { context?.flush() }

    /// The exchange is over; `whole` when request and response are complete on this connection.
    func end(whole: Bool, now: NIODeadline) {
        exchange = nil
        guard whole, responseAllowsReuse, channel.isActive else { return close() }
        isUnused = true
        unusedSince = now
        expires = now + instance.unusedTime(keepAliveSeconds: keepAliveSeconds)
        instance.giveBack(self)
        letReadGo()
    }

    /// Kept for its first request: whoever it was opened for has gone.
    func keepUnused() {
        unusedSince = .now()
        expires = unusedSince + instance.unusedTime(keepAliveSeconds: nil)
        instance.giveBack(self)
        letReadGo()
    }

    func close() {
        isClosing = true
        exchange = nil
        channel.close(promise: nil)
    }

    /// Reads on when the client can take more; called when that changes.
    func letReadGo() {
        guard readIsWaiting, isUnused || exchange?.clientTakesMore ?? true else { return }
        readIsWaiting = false
        context?.read()
    }

    // MARK: What the connection says

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func read(context: ChannelHandlerContext) {
        if isUnused || exchange?.clientTakesMore ?? true {
            context.read()
        } else {
            readIsWaiting = true
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let exchange else {
            // Nobody asked: whatever this is, the next response could not be told from it.
            return close()
        }
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            if head.status.code >= 200 {
                responseAllowsReuse = head.isKeepAlive
                keepAliveSeconds = ResponseFields.keepAliveSeconds(head.headers)
            }
            exchange.response(head: head)
        case .body(let bytes):
            exchange.response(body: bytes)
        case .end(let trailers):
            served += 1
            exchange.responseEnded(trailers: trailers)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        exchange?.responsePaused()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        exchange?.upstreamWritabilityChanged()
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        lost(isMalformed: error is HTTPParserError || error is NIOHTTPDecoderError)
        close()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        instance.forget(self)
        lost(isMalformed: false)
        context.fireChannelInactive()
    }

    private func lost(isMalformed: Bool) {
        guard let exchange else { return }
        self.exchange = nil
        exchange.upstreamLost(isMalformed: isMalformed)
    }
}
