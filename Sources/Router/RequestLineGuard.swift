// Watches the raw bytes in front of the parser: how long a request line is, and when a request began.

import NIOCore

/// A request line longer than it may be; answered 414, which the parser's own limit cannot tell from 431.
struct RequestLineTooLong: Error {}

/// The first inbound handler of a client's connection.
///
/// Only a request that begins while its connection is idle is watched; the few that a client sends ahead of an answer
/// are bounded by the parser's limits alone.
final class RequestLineGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private enum State {
        /// The next byte that is no line end begins a request.
        case idle
        case inLine(bytes: Int)
        /// The request line was whole.
        case past
        case refused
    }

    private let limitBytes: Int
    private var state = State.idle
    /// When the request that is arriving began; nil between requests.
    private(set) var beganAt: NIODeadline?

    /// - Parameter targetBytes: limit of the target alone; method and version come on top.
    init(targetBytes: Int) { limitBytes = targetBytes + 64 }

    func expectRequest() {
        if case .refused = state { return }
        state = .idle
        beganAt = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .past: context.fireChannelRead(data)
        case .refused: break
        case .idle, .inLine:
            watch(Self.unwrapInboundIn(data).readableBytesView)
            if case .refused = state {
                context.fireErrorCaught(RequestLineTooLong())
            } else {
                context.fireChannelRead(data)
            }
        }
    }

    private func watch(_ bytes: ByteBufferView) {
        var rest = bytes[...]
        if case .idle = state {
            rest = rest.drop { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }
            guard !rest.isEmpty else { return }
            beganAt = .now()
            state = .inLine(bytes: 0)
        }
        guard case .inLine(let before) = state else { return }
        if let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            state = before + (end - rest.startIndex) > limitBytes ? .refused : .past
        } else {
            state = before + rest.count > limitBytes ? .refused : .inLine(bytes: before + rest.count)
        }
    }
}
