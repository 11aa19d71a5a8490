// Goal: what is not clearly one HTTP/1.1 request never reaches an instance. Method: raw bytes, and an instance that
// counts what it sees.

import Analysis
import NIOCore
import NIOHTTP1
import Testing
import Traffic

@testable import Router

extension Live {
    @Suite struct RefusalTests {
        @Test(arguments: [
            (
                "both lengths",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
            ),
            (
                "both lengths, other order",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400
            ),
            ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
            (
                "the same length twice",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400
            ),
            ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd", 400),
            ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd", 400),
            ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
            ("an obsolete fold", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n", 400),
            ("space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nabcd", 400),
            ("space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            ("a bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\rX-B: 2\r\n\r\n", 400),
            ("a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\0\r\n\r\n", 400),
            (
                "chunked twice",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400
            ),
            (
                "chunked under another name",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501
            ),
            (
                "chunked not last",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400
            ),
            ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (
                "a bad chunk size",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", 400
            ),
            ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
            ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("no HTTP", "hello there\r\n\r\n", 400),
            ("HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            ("HTTP/2 in a request line", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ])
        func `is refused`(what: String, bytes: String, status: Int) async throws {
            let instance = try await ServiceInstance.named("a")
            try await Bench.with(threads: 1) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                // A second request right behind must not be served either: nobody knows where it begins.
                try await wire.send(bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
                let answer = try await wire.answer()
                #expect(answer.status == status, "\(what): \(answer.head)")
                #expect(answer.field("connection") == "close")
                _ = try await eventually("the end") { wire.isOver ? true : nil }
                #expect(wire.text.isEmpty, "\(what): more than one answer")
                #expect(!instance.requests.contains { $0.uri == "/smuggled" })
            }
        }

        @Test func `limits of line, header and body`() async throws {
            let instance = try await ServiceInstance.named("a")
            let limits = { (limits: inout RouterLimits) in
                limits.headerBytes = 4_096
                limits.headerFields = 20
                limits.targetBytes = 1_000
                limits.bodyBytes = 1_000
            }
            try await Bench.with(limits: limits) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let long = { String(repeating: "x", count: $0) }
                func status(_ text: String) async throws -> Int {
                    let wire = try await bench.wire()
                    try await wire.send(text)
                    return try await wire.answer().status
                }
                #expect(try await status("GET /\(long(980)) HTTP/1.1\r\nHost: a\r\n\r\n") == 200)
                #expect(try await status("GET /\(long(1_010)) HTTP/1.1\r\nHost: a\r\n\r\n") == 414)
                #expect(try await status("GET /\(long(100_000))") == 414)
                #expect(try await status("GET / HTTP/1.1\r\nHost: a\r\nX-A: \(long(3_000))\r\n\r\n") == 200)
                #expect(try await status("GET / HTTP/1.1\r\nHost: a\r\nX-A: \(long(5_000))\r\n\r\n") == 431)
                #expect(try await status("GET / HTTP/1.1\r\nHost: a\r\nX-A: \(long(90_000))") == 431)
                let many = (0..<30).map { "X-\($0): 1\r\n" }.joined()
                #expect(try await status("GET / HTTP/1.1\r\nHost: a\r\n\(many)\r\n") == 431)
                #expect(try await status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n") == 413)
                let chunk = "3e8\r\n\(long(1_000))\r\n"
                #expect(
                    try await status(
                        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)1\r\nx\r\n") == 413)
                #expect(
                    try await status(
                        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)0\r\n\r\n") == 200)
            }
        }

        @Test func `slow and silent clients are let go`() async throws {
            let instance = try await ServiceInstance.named("a")
            let limits = { (limits: inout RouterLimits) in
                limits.headerTimeout = .milliseconds(200)
                limits.keepAlive = .milliseconds(300)
                limits.clientIdle = .milliseconds(200)
            }
            try await Bench.with(limits: limits) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let slowHeader = try await bench.wire()
                try await slowHeader.send("GET / HTTP/1.1\r\nHo")
                #expect(try await slowHeader.answer().status == 408)
                let slowBody = try await bench.wire()
                try await slowBody.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
                #expect(try await slowBody.answer().status == 408)
                let silent = try await bench.wire()
                #expect(try await silent.ask("GET /").status == 200)
                _ = try await eventually("the end") { silent.isOver ? true : nil }
                #expect(silent.text.isEmpty)
                #expect(try await bench.report().stable.clientAborts == 1)
            }
        }

        @Test func `a good request before a bad one is still answered`() async throws {
            let instance = try await ServiceInstance.serving { _ in Reply(body: "good", after: .milliseconds(50)) }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n\u{1}garbage\r\n\r\n")
                #expect(try await wire.answer().text == "good")
                _ = try await eventually("the end") { wire.isOver ? true : nil }
            }
        }
    }
}
