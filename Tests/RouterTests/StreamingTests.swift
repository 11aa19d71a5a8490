// Goal: bodies of any size pass in bounded memory, at the speed of the slower side. Method: 50 MB each way against a
// side that does not read; what the other side could get rid of is bounded by the kernel's socket buffers.

import Analysis
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Traffic

@testable import Router

private let size = 50 * 1_024 * 1_024
private let chunk = 64 * 1_024
/// Two connections' send and receive buffers, as large as Linux lets them grow by itself, and some room.
private let kernelBuffers = 32 * 1_024 * 1_024

/// Resident memory of this process.
private func residentBytes() -> Int {
    let statm = (try? String(contentsOfFile: "/proc/self/statm", encoding: .ascii)) ?? ""
    return (statm.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4_096
}

/// Takes an upload only when it is told to, and answers with the number of bytes.
private final class Sink: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    let received = Mutex(0)

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head:
            _ = context.channel.setOption(.autoRead, value: false)
        case .body(let bytes):
            received.withLock { $0 += bytes.readableBytes }
        case .end:
            let text = "\(received.withLock { $0 })"
            let fields: HTTPHeaders = ["Content-Length": "\(text.utf8.count)"]
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: fields)
            context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}

/// Answers with a long body, written as fast as it is taken.
private final class Source: ChannelInboundHandler, Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    let written = Mutex(0)
    private let isOn = Mutex(false)

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = Self.unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Transfer-Encoding": "chunked"])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        isOn.withLock { $0 = true }
        pump(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { pump(context) }

    private func pump(_ context: ChannelHandlerContext) {
        while isOn.withLock({ $0 }), context.channel.isWritable {
            if written.withLock({ $0 }) == size {
                isOn.withLock { $0 = false }
                context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
                return
            }
            written.withLock { $0 += chunk }
            let bytes = ByteBuffer(repeating: 0x62, count: chunk)
            context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
        }
    }
}

/// Waits until a number has not moved for half a second.
private func settled(_ number: () -> Int) async throws -> Int {
    var last = number()
    var since = ContinuousClock.now
    return try await eventually("a number that stands still", within: .seconds(30)) {
        let now = number()
        if now != last {
            last = now
            since = .now
        }
        return ContinuousClock.now - since > .milliseconds(500) ? now : nil
    }
}

extension Live {
    @Suite struct StreamingTests {
        @Test func `an upload waits for an instance that does not read`() async throws {
            let sink = Sink()
            let instance = try await ServiceInstance.start { channel, _, _, _ in
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(sink)
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
                let memory = residentBytes()
                let sent = Mutex(0)
                async let all: Void = {
                    let bytes = ByteBuffer(repeating: 0x61, count: chunk)
                    for _ in 0..<(size / chunk) {
                        try await wire.send(bytes)
                        sent.withLock { $0 += chunk }
                    }
                }()
                let stuck = try await settled { sent.withLock { $0 } }
                #expect(stuck > 0 && stuck < kernelBuffers, "the client got rid of \(stuck) bytes")
                #expect(residentBytes() - memory < 16 * 1_024 * 1_024, "the router keeps the body")
                for connection in instance.openChannels {
                    try await connection.setOption(.autoRead, value: true).get()
                    connection.read()
                }
                _ = try await all
                #expect(try await wire.answer().text == "\(size)")
                #expect(residentBytes() - memory < 32 * 1_024 * 1_024)
            }
        }

        @Test func `a download waits for a client that does not read`() async throws {
            let source = Source()
            let instance = try await ServiceInstance.start { channel, _, _, _ in
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(source)
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                wire.countOnly()
                try await wire.pauseReading()
                let memory = residentBytes()
                try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await eventually("a response under way") { source.written.withLock { $0 } > 0 ? true : nil }
                let stuck = try await settled { source.written.withLock { $0 } }
                #expect(stuck < kernelBuffers, "the instance got rid of \(stuck) bytes")
                #expect(residentBytes() - memory < 16 * 1_024 * 1_024, "the router keeps the body")
                try await wire.resumeReading()
                _ = try await eventually("the whole body", within: .seconds(60)) {
                    // Chunk sizes and the head come on top.
                    wire.totalReceived > size ? true : nil
                }
                #expect(residentBytes() - memory < 32 * 1_024 * 1_024)
                _ = try await eventually("counted") {
                    try await bench.report().stable.statusClasses[1] == 1 ? true : nil
                }
            }
        }

        @Test func `a client that never takes its response is let go`() async throws {
            let source = Source()
            let instance = try await ServiceInstance.start { channel, _, _, _ in
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(source)
            }
            try await Bench.with(limits: { $0.clientIdle = .milliseconds(300) }) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.pauseReading()
                try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try await eventually("counted") {
                    try await bench.report().stable.clientAborts == 1 ? true : nil
                }
                _ = try await eventually("closed") { instance.openConnections == 0 ? true : nil }
            }
        }
    }
}
