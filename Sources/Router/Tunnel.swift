// Two connections that left HTTP (WebSocket): bytes from each go to the other.

import NIOCore
import NIOHTTP1

/// One end of a tunnel. Confined to its event loop.
///
/// Reads at one end go on only while the other end can be written; the end of one direction is passed on, and the
/// tunnel is over when both have ended or either connection is lost.
final class Tunnel: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let lane: Lane
    private var partner: Tunnel?
    private var context: ChannelHandlerContext?
    /// Until both pipelines have lost their HTTP handlers nothing may be written; what comes earlier waits here.
    private var isOpen = false
    private var early: [ByteBuffer] = []
    private var inputIsClosed = false
    /// The HTTP handlers may have kept a read back; it is asked for again when the tunnel opens.
    private var readIsWaiting = true
    private(set) var lastByteAt = NIODeadline.now()

    private init(lane: Lane) { self.lane = lane }

    /// Takes the HTTP handlers out of both pipelines and couples what is left.
    ///
    /// - Parameter handlers: the client's, last one first, so that bytes the parser had read ahead fall into the tunnel.
    static func open(
        client: any Channel, _ handlers: [any RemovableChannelHandler], upstream: UpstreamHandler, lane: Lane
    ) {
        let near = Tunnel(lane: lane)
        let far = Tunnel(lane: lane)
        near.partner = far
        far.partner = near
        do {
            try client.pipeline.syncOperations.addHandler(near)
            try upstream.channel.pipeline.syncOperations.addHandler(far)
            try upstream.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            let encoder = try upstream.channel.pipeline.syncOperations.handler(type: HTTPRequestEncoder.self)
            let farHandlers: [any RemovableChannelHandler] = [upstream, upstream.decoder, encoder]
            let removed =
                handlers.map { client.pipeline.syncOperations.removeHandler($0) }
                + farHandlers.map { upstream.channel.pipeline.syncOperations.removeHandler($0) }
            EventLoopFuture.andAllSucceed(removed, on: lane.eventLoop).assumeIsolated().whenComplete { result in
                if case .success = result {
                    near.begin()
                    far.begin()
                } else {
                    near.close()
                }
            }
        } catch {
            client.close(promise: nil)
            upstream.close()
        }
    }

    private func begin() {
        isOpen = true
        for bytes in early { partner?.write(bytes) }
        early = []
        if inputIsClosed { partner?.closeOutput() }
        letReadGo()
    }

    func close() {
        context?.close(promise: nil)
        partner?.context?.close(promise: nil)
    }

    private func write(_ bytes: ByteBuffer) {
        context?.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil)
    }

    private func closeOutput() {
        guard let context else { return }
        // An empty write completes after everything before it, so nothing that waits is lost.
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            if self.inputIsClosed { self.close() } else { context.close(mode: .output, promise: nil) }
        }
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer()), promise: written)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        lane.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        lane.remove(self)
    }

    func read(context: ChannelHandlerContext) {
        if isOpen, partner?.context?.channel.isWritable ?? false { context.read() } else { readIsWaiting = true }
    }

    private func letReadGo() {
        guard readIsWaiting, isOpen, partner?.context?.channel.isWritable ?? false else { return }
        readIsWaiting = false
        context?.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        lastByteAt = .now()
        if isOpen { partner?.write(bytes) } else { early.append(bytes) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        partner?.letReadGo()
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            inputIsClosed = true
            if isOpen { partner?.closeOutput() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close() }

    func channelInactive(context: ChannelHandlerContext) {
        let other = partner
        partner = nil
        other?.partner = nil
        other?.context?.close(promise: nil)
        context.fireChannelInactive()
    }

    /// Called every tenth of a second.
    func check(now: NIODeadline) {
        let idle = TimeAmount(lane.settings.limits.tunnelIdle)
        guard now - lastByteAt > idle, partner.map({ now - $0.lastByteAt > idle }) ?? true else { return }
        close()
    }
}
