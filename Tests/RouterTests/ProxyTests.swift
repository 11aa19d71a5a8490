// Goal: HTTP/1.1 passes through unchanged where it must and changed where it must. Method: a live router between raw
// bytes of a client and small servers.

import NIOCore
import NIOHTTP1
import Synchronization
import Testing
import Traffic

@testable import Router

extension Live {
    @Suite struct ProxyTests {
        @Test func `connections of clients and instances are used again`() async throws {
            let instance = try await ServiceInstance.named("a")
            try await Bench.with(threads: 1) { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for number in 0..<20 {
                    let answer = try await wire.ask("GET /\(number)")
                    #expect(answer.status == 200 && answer.text == "a")
                }
                #expect(try await bench.get("/other").status == 200)
                #expect(instance.connections == 1)
                #expect(instance.requests.count == 21)
            }
        }

        @Test func `requests sent ahead are answered in order`() async throws {
            let instance = try await ServiceInstance.serving { request in
                Reply(body: request.head.uri, after: request.head.uri == "/1" ? .milliseconds(80) : .zero)
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                let paths = ["/1", "/2", "/3"]
                try await wire.send(paths.map { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
                for path in paths { #expect(try await wire.answer().text == path) }
            }
        }

        @Test func `no body with HEAD, 204 and 304, and the connection goes on`() async throws {
            let instance = try await ServiceInstance.serving { request in
                switch request.head.uri {
                case "/204": Reply(status: .noContent)
                case "/304": Reply(status: .notModified, fields: ["ETag": "x"])
                default: Reply(body: "nine byte")
                }
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                let head = try await wire.ask("HEAD /", isHead: true)
                #expect(head.status == 200 && head.field("content-length") == "9")
                #expect(try await wire.ask("GET /204").status == 204)
                #expect(try await wire.ask("GET /304").field("etag") == "x")
                #expect(try await wire.ask("GET /").text == "nine byte")
            }
        }

        @Test func `chunks and trailers pass both ways`() async throws {
            let instance = try await ServiceInstance.raw { _, received in
                guard received.hasSuffix("0\r\nX-Sum: 7\r\n\r\n") else { return [] }
                guard received.contains("5\r\nhello\r\n"), received.lowercased().contains("transfer-encoding: chunked")
                else { return [.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")] }
                return [
                    .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3\r\nabc\r\n"),
                    .send("2\r\nde\r\n0\r\nX-End: yes\r\n\r\n"),
                ]
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
                try await wire.send("0\r\nX-Sum: 7\r\n\r\n")
                let head = try await wire.take(through: "\r\n\r\n")
                #expect(head.hasPrefix("HTTP/1.1 200"))
                let body = try await wire.take(through: "0\r\nX-End: yes\r\n\r\n")
                #expect(body.contains("abc") && body.contains("de"))
            }
        }

        @Test func `an HTTP 1_0 client gets neither chunks nor interim responses`() async throws {
            let instance = try await ServiceInstance.raw { _, received in
                guard received.contains("\r\n\r\n") else { return [] }
                return [
                    .send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
                    .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
                ]
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("GET / HTTP/1.0\r\n\r\n")
                let answer = try await wire.answer()
                #expect(answer.status == 200 && answer.text == "abc")
                #expect(answer.field("transfer-encoding") == nil && answer.field("connection") == "close")
            }
        }

        @Test func `interim responses and 100-continue reach the client`() async throws {
            let instance = try await ServiceInstance.raw { _, received in
                guard received.contains("\r\n\r\n") else { return [] }
                guard received.lowercased().contains("expect: 100-continue") else { return [.close] }
                if received.hasSuffix("body") { return [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")] }
                return [
                    .send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"), .send("HTTP/1.1 100 Continue\r\n\r\n"),
                ]
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
                let hints = try await wire.answer()
                #expect(hints.status == 103 && hints.field("link") == "</a.css>")
                #expect(try await wire.answer().status == 100)
                try await wire.send("body")
                #expect(try await wire.answer().text == "ok")
            }
        }

        @Test func `an answer before the body is whole reaches the client and ends the connection`() async throws {
            let instance = try await ServiceInstance.raw { _, received in
                received.contains("\r\n\r\n") ? [.send("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")] : []
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                try await wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
                let answer = try await wire.answer()
                #expect(answer.status == 401 && answer.field("connection") == "close" && answer.text == "no")
                _ = try await eventually("the end") { wire.isOver ? true : nil }
            }
        }

        @Test func `a body that ends with the connection is passed on in chunks`() async throws {
            let instance = try await ServiceInstance.raw { _, _ in
                [.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"), .close]
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                for _ in 0..<3 {
                    let answer = try await wire.ask("GET /")
                    #expect(answer.text == "until the end" && answer.field("transfer-encoding") == "chunked")
                }
            }
        }

        @Test func `fields of one connection stay there, in both directions`() async throws {
            let instance = try await ServiceInstance.serving { _ in
                Reply(fields: ["Connection": "X-Inner", "X-Inner": "1", "Keep-Alive": "timeout=9", "X-Outer": "2"])
            }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                let answer = try await wire.ask(
                    "GET /", ["Connection: X-Mine", "X-Mine: 1", "traceparent: 00-aa-bb-01"])
                #expect(answer.field("x-inner") == nil && answer.field("keep-alive") == nil)
                #expect(answer.field("x-outer") == "2")
                let seen = try #require(instance.requests.first).headers
                #expect(!seen.contains(name: "x-mine") && seen["traceparent"] == ["00-aa-bb-01"])
                #expect(seen["host"] == ["shop.test"] && seen["x-forwarded-for"] == ["127.0.0.1"])
                #expect(seen["x-forwarded-proto"] == ["http"] && seen["x-forwarded-host"] == ["shop.test"])
            }
        }

        @Test func `an upgrade that is declined leaves the connection usable`() async throws {
            let instance = try await ServiceInstance.serving { request in Reply(body: request.head.uri) }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
                try await wire.send(
                    "GET /1 HTTP/1.1\r\nHost: a\r\n\(upgrade)\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await wire.answer().text == "/1")
                #expect(try await wire.answer().text == "/2")
                #expect(try await wire.ask("GET /3").text == "/3")
            }
        }

        @Test func `without a table and without an instance there is 503 with Retry-After`() async throws {
            try await Bench.with { bench in
                let none = try await bench.get("/")
                #expect(none.status == 503 && none.field("retry-after") == "1")
                try await bench.put(.serving(stable: []))
                let wire = try await bench.wire()
                for _ in 0..<2 { #expect(try await wire.ask("GET /").status == 503) }
                #expect(try await bench.report().refused == 2)
            }
        }

        @Test func `a hundred kilobytes of both bodies arrive whole`() async throws {
            let instance = try await ServiceInstance.serving { request in Reply(body: String(buffer: request.body)) }
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("a")]))
                let wire = try await bench.wire()
                let body = String((0..<100_000).map { Character(UnicodeScalar(UInt8(97 + $0 % 26))) })
                for _ in 0..<3 { #expect(try await wire.ask("POST /", body: body).text == body) }
            }
        }
    }
}
