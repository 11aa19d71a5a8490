// One HTTP/1.1 connection from a client.

import NIOCore
import NIOHTTP1

/// The last handler of a client's connection: takes one request at a time, gates what is read, writes the answers.
///
/// Reading goes on only where the bytes have somewhere to go: to the parser between requests, to an instance that
/// takes more of a body. A client that closes its side while a request is under way has gone (as nginx and HAProxy
/// see it); inside a tunnel closing one side is passed on.
final class ClientHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Mode {
        case http
        /// The last response is written, our side is closed; what the client still sends is read and dropped, because
        /// closing now would make its kernel throw the response away (RFC 9112 section 9.6).
        case lingering(until: NIODeadline)
        case gone
    }

    private let lane: Lane
    private let guardian: RequestLineGuard
    private var decoder: ByteToMessageHandler<HTTPRequestDecoder>
    private let encoder: HTTPResponseEncoder
    private let address: ClientAddress
    private var context: ChannelHandlerContext?
    private var mode = Mode.http

    private(set) var exchange: Exchange?
    /// The request that is being received has not ended; its exchange may be over already.
    private var requestIsOpen = false
    private var request: AdmittedRequest?
    private var responseHasBegun = false
    private var responseCloses = false
    /// What follows the request under way is not HTTP.
    private var isPoisoned = false
    /// Requests that came ahead of the answer to the one before; bounded by one read.
    private var ahead = CircularBuffer<HTTPServerRequestPart>()
    private var isWorkingAhead = false
    private var readIsWaiting = false
    private var idleSince = NIODeadline.now()

    static let linger = TimeAmount.seconds(2)

    init(
        lane: Lane, guardian: RequestLineGuard, decoder: ByteToMessageHandler<HTTPRequestDecoder>,
        encoder: HTTPResponseEncoder, address: ClientAddress
    ) {
        self.lane = lane
        self.guardian = guardian
        self.decoder = decoder
        self.encoder = encoder
        self.address = address
    }

    static func parser(_ limits: RouterLimits) -> ByteToMessageHandler<HTTPRequestDecoder> {
        ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: .init(limits)))
    }

    // MARK: What the client sends

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lane.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        lane.remove(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .http = mode, !isClosing else { return }
        let part = Self.unwrapInboundIn(data)
        if !ahead.isEmpty || (exchange != nil && !requestIsOpen) {
            ahead.append(part)
        } else {
            take(part)
        }
    }

    private func take(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head):
            requestIsOpen = true
            responseHasBegun = false
            responseCloses = false
            do throws(Refusal) {
                let request = try AdmittedRequest(head, from: address, limits: lane.settings.limits)
                let exchange = Exchange(request, client: self, lane: lane)
                self.request = request
                self.exchange = exchange
                lane.begin(exchange)
            } catch {
                request = nil
                answer(error)
            }
        case .body(let bytes):
            exchange?.request(body: bytes)
        case .end(let trailers):
            requestIsOpen = false
            if let exchange { exchange.requestEnded(trailers: trailers) } else { requestIsOver() }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        exchange?.requestPaused()
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case .http = mode, !isClosing else { return }
        let limits = lane.settings.limits
        let refusal: Refusal
        switch error {
        case is RequestLineTooLong: refusal = .targetTooLong(limitBytes: limits.targetBytes)
        case HTTPParserError.headerOverflow: refusal = .headerTooLarge(limitBytes: limits.headerBytes)
        case HTTPParserError.invalidVersion: refusal = .versionNotSupported
        case is HTTPParserError: refusal = .badRequest("the request is not HTTP/1.1")
        default: return context.close(promise: nil)
        }
        // The parser has lost its place, so nothing after this can be a request; one that is whole is still answered.
        if exchange != nil, !requestIsOpen {
            isPoisoned = true
            return
        }
        requestIsOpen = true
        request = nil
        if let exchange { exchange.endForClient(answering: refusal) } else { answer(refusal) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        mode = .gone
        exchange?.clientGone()
        exchange = nil
        context.fireChannelInactive()
    }

    /// The last response of this connection is on its way out.
    private var isClosing: Bool { responseCloses && exchange == nil }

    // MARK: Gated reads

    private var takesMore: Bool {
        if case .lingering = mode { return true }
        guard let exchange else { return true }
        return requestIsOpen && exchange.takesBody
    }

    func read(context: ChannelHandlerContext) {
        if takesMore { context.read() } else { readIsWaiting = true }
    }

    func letReadGo() {
        guard readIsWaiting, takesMore else { return }
        readIsWaiting = false
        context?.read()
    }

    // MARK: What goes back

    var isWritable: Bool { context?.channel.isWritable ?? false }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        exchange?.clientWritabilityChanged()
        context.fireChannelWritabilityChanged()
    }

    func write(interim head: HTTPResponseHead) {
        context?.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: nil)
    }

    func begin(_ response: ForwardedResponse) {
        responseHasBegun = true
        responseCloses = response.closes
        context?.write(Self.wrapOutboundOut(.head(response.head)), promise: nil)
    }

    func write(body bytes: ByteBuffer) {
        context?.write(Self.wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
    }

    func flush() {
        if responseHasBegun { context?.flush() }
    }

    /// The response is whole.
    func finish(trailers: HTTPHeaders?) {
        exchange = nil
        write(end: trailers)
    }

    /// An answer of the router's own, unless a response has begun already.
    func answer(_ refusal: Refusal) {
        exchange = nil
        guard !responseHasBegun else { return abort() }
        let bodyIsOwed = requestIsOpen && request?.body != AdmittedRequest.Body.none
        responseCloses = bodyIsOwed || lane.isDraining || !(request?.keepsAlive ?? false)
        let head = ForwardedResponse.refusal(
            refusal, closes: responseCloses, isHTTP10: request?.isHTTP10 ?? false)
        context?.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        responseHasBegun = true
        if request?.head.method != .HEAD {
            write(body: ByteBuffer(string: refusal.text + "\n"))
        }
        write(end: nil)
    }

    private func write(end trailers: HTTPHeaders?) {
        guard let context else { return }
        if isPoisoned { responseCloses = true }
        guard responseCloses else {
            context.writeAndFlush(Self.wrapOutboundOut(.end(trailers)), promise: nil)
            if !requestIsOpen { requestIsOver() }
            return
        }
        idleSince = .now()
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in self.linger() }
        context.writeAndFlush(Self.wrapOutboundOut(.end(trailers)), promise: written)
    }

    private func linger() {
        guard case .http = mode, let context else { return }
        mode = .lingering(until: .now() + Self.linger)
        ahead.removeAll()
        context.close(mode: .output, promise: nil)
        letReadGo()
    }

    /// A response that cannot be completed: the client learns it by the missing end.
    func abort() {
        exchange = nil
        context?.close(promise: nil)
    }

    /// Request and response are both complete, and the connection goes on.
    private func requestIsOver() {
        guard case .http = mode, !responseCloses else { return }
        if request?.stopsParser ?? false { renewParser() }
        request = nil
        idleSince = .now()
        guardian.expectRequest()
        workAhead()
        if lane.isDraining, exchange == nil, !requestIsOpen { return abort() }
        letReadGo()
    }

    /// The parser stopped at a request that asked for an upgrade; the answer was an ordinary one, so HTTP goes on.
    private func renewParser() {
        guard let context else { return }
        let stopped = decoder
        decoder = Self.parser(lane.settings.limits)
        let pipeline = context.pipeline.syncOperations
        do { try pipeline.addHandler(decoder, position: .after(stopped)) } catch { return abort() }
        // What it had read ahead goes on to the handler after it, which is the new parser.
        pipeline.removeHandler(stopped, promise: nil)
    }

    private func workAhead() {
        guard !isWorkingAhead else { return }
        isWorkingAhead = true
        while exchange == nil || requestIsOpen, case .http = mode, let part = ahead.popFirst() { take(part) }
        isWorkingAhead = false
    }

    // MARK: The end

    /// 101 was sent: from here on both connections carry bytes.
    func switchProtocols(with upstream: UpstreamHandler) {
        exchange = nil
        mode = .gone
        guard let context else { return upstream.close() }
        Tunnel.open(
            client: context.channel, [self, decoder, encoder, guardian], upstream: upstream, lane: lane)
    }

    /// Called every tenth of a second.
    func check(now: NIODeadline) {
        switch mode {
        case .gone:
            return
        case .lingering(let until):
            if now > until { context?.close(promise: nil) }
        case .http:
            let limits = lane.settings.limits
            if let exchange {
                exchange.check(now: now)
            } else if responseCloses {
                if now - idleSince > TimeAmount(limits.clientIdle) { abort() }
            } else if let beganAt = guardian.beganAt {
                if now - beganAt > TimeAmount(limits.headerTimeout) {
                    requestIsOpen = true
                    answer(.requestTimeout)
                }
            } else if now - idleSince > TimeAmount(limits.keepAlive) {
                abort()
            }
        }
    }

    /// The router stops: a connection between requests closes, one with a request closes after its response.
    func drain() {
        if case .http = mode, exchange == nil, !requestIsOpen, guardian.beganAt == nil { abort() }
    }
}
