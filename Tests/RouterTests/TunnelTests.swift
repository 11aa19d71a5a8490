// Goal: a WebSocket passes through and is left alone. Method: an instance that switches protocols and echoes bytes.

import Analysis
import NIOCore
import Testing
import Traffic

@testable import Router

private let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
private let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

/// Switches protocols, says hello, and echoes from there on, bytes that came with the request too.
private func echo() async throws -> ServiceInstance {
    try await ServiceInstance.start { channel, _, _, _ in try channel.pipeline.syncOperations.addHandler(Echo()) }
}

private final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var head = ""

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        guard !head.hasSuffix("\r\n\r\n") else { return write(bytes, context) }
        let text = head + String(buffer: bytes)
        guard let end = text.firstRange(of: "\r\n\r\n") else {
            head = text
            return
        }
        head = String(text[..<end.upperBound])
        write(ByteBuffer(string: switching + "hello " + text[end.upperBound...]), context)
    }

    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        context.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else { return }
        write(ByteBuffer(string: " bye"), context)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

extension Live {
    @Suite struct TunnelTests {
        @Test func `bytes go both ways, also those sent ahead, and the end of one way is passed on`() async throws {
            let instance = try await echo()
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send(upgrade + "early")
                let answer = try await wire.answer()
                #expect(answer.status == 101 && answer.field("upgrade") == "websocket")
                #expect(answer.field("connection")?.lowercased() == "upgrade")
                #expect(try await wire.take(through: "early") == "hello early")
                for number in 0..<50 {
                    try await wire.send("<\(number)>")
                    _ = try await wire.take(through: "<\(number)>")
                }
                try await wire.channel.close(mode: .output)
                #expect(String(decoding: try await wire.takeToEnd(), as: UTF8.self) == " bye")
                _ = try await eventually("closed") { instance.openConnections == 0 ? true : nil }
            }
        }

        @Test func `a tunnel is settled when it opens, is not in flight, and outlives its table`() async throws {
            let instance = try await echo()
            let other = try await ServiceInstance.named("b")
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send(upgrade)
                #expect(try await wire.answer().status == 101)
                let report = try await bench.report()
                #expect(
                    report.inFlightStable == 0 && report.stable.requests == 1 && report.stable.statusClasses[0] == 1)
                #expect(try await bench.hold("swap").inFlight == 0)
                try await bench.put(.serving(stable: [other.backend("b")], generation: 2))
                try await bench.letGo("swap")
                try await wire.send("still here")
                _ = try await wire.take(through: "still here")
                #expect(try await bench.get("/").text == "b")
            }
        }

        @Test func `twenty megabytes through a tunnel whose reader pauses`() async throws {
            let instance = try await echo()
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send(upgrade)
                _ = try await wire.take(through: "hello ")
                wire.countOnly()
                let before = wire.totalReceived
                try await wire.pauseReading()
                let chunk = ByteBuffer(repeating: 0x61, count: 256 * 1_024)
                async let sent: Void = {
                    for _ in 0..<80 { try await wire.send(chunk) }
                }()
                try await wire.resumeReading()
                _ = try await sent
                _ = try await eventually("all echoed", within: .seconds(30)) {
                    wire.totalReceived - before == 80 * 256 * 1_024 ? true : nil
                }
            }
        }

        @Test func `a declined upgrade is an ordinary answer`() async throws {
            let instance = try await ServiceInstance.raw { _, received in
                received.hasSuffix("\r\n\r\n") ? [.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")] : []
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<3 {
                    try await wire.send(upgrade)
                    #expect(try await wire.answer().text == "no")
                }
            }
        }

        @Test func `a silent tunnel ends`() async throws {
            let instance = try await echo()
            try await Bench.with(limits: { $0.tunnelIdle = .milliseconds(200) }) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send(upgrade)
                _ = try await wire.take(through: "hello ")
                _ = try await eventually("closed") { wire.isOver && instance.openConnections == 0 ? true : nil }
            }
        }
    }
}
