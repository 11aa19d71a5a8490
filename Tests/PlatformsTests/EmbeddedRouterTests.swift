// The router is started, told, asked, found again and started anew when it died. Method: a small program in the place of
// perchd that keeps the protocol's rules: newer tables only, the last one kept on disk.

import Analysis
import Foundation
import Ports
import Releases
import Testing
import Traffic

@testable import Platforms

private let fakePerchd = #"""
    #!/usr/bin/env python3
    import http.server, json, os, socketserver, sys, threading

    assert sys.argv[1] == "router"
    options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    table_file, socket_file = options["--table"], options["--control"]
    if options["--listen"] == "127.0.0.1:1":
        sys.exit("cannot bind 127.0.0.1:1")

    one_at_a_time = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def answer(self, status, value):
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def table(self):
            return open(table_file, "rb").read() if os.path.exists(table_file) else None
        def do_GET(self):
            self.path, _, query = self.path.partition("?")
            if query:
                print(self.path, query, flush=True)
            if self.path == "/healthz":
                self.answer(200, {})
            elif self.path == "/table" and self.table() is None:
                self.answer(404, {})
            elif self.path == "/table":
                self.answer(200, self.table())
            else:
                self.answer(200, open(os.path.dirname(table_file) + self.path + ".json", "rb").read())
        def do_PUT(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            order = lambda text: (json.loads(text)["epoch"], json.loads(text)["generation"])
            with one_at_a_time:
                if self.table() is not None and order(body) < order(self.table()):
                    return self.answer(409, b"it has 2.1")
                with open(table_file, "wb") as file:
                    file.write(body)
            self.answer(200, {})
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            print(self.path, json.dumps(body, sort_keys=True), flush=True)
            self.answer(200, {"name": body["name"], "queued": 0, "inFlight": 3, "since": 5})
        def address_string(self):
            return "unix"
        def log_message(self, *arguments):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    if os.path.exists(socket_file):
        os.unlink(socket_file)
    Server(socket_file, Handler).serve_forever()
    """#

@Suite struct EmbeddedRouterTests {
    private func router(_ scratch: Scratch) throws -> EmbeddedRouter {
        try scratch.write(fakePerchd, to: "perchd")
        chmod("\(scratch.path)/perchd", 0o755)
        return EmbeddedRouter(dataFolder: scratch.data, perchdPath: "\(scratch.path)/perchd", logger: scratch.quiet)
    }

    private func table(_ epoch: UInt64, _ generation: UInt64) -> RoutingTable {
        RoutingTable(
            epoch: epoch, generation: generation, service: "shop", release: "shop-1",
            stable: [Backend(name: "shop-0-stable-1", host: "127.0.0.1", port: 20_001)], canary: [], canaryShare: 0,
            cohort: CohortRule(keys: [.request], salt: "shop-1", includeHeaders: [:]), timeoutMilliseconds: 1_000,
            redactHeaders: [], redactFields: [])
    }

    private func pid(_ scratch: Scratch) -> Int32? {
        ProcessHome(in: "\(scratch.data)/routers", name: "shop").record(of: AnySubject.self)?.identity.pid
    }

    @Test func theFirstTableStartsTheRouterAndLaterOnesGoToTheSame() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            #expect(try await router.table(service: scratch.shop) == nil)
            try await router.apply(table(1, 1), listen: "127.0.0.1:8080")
            let first = try #require(pid(scratch))
            // Another daemon on the same folder.
            let later = EmbeddedRouter(
                dataFolder: scratch.data, perchdPath: "\(scratch.path)/perchd", logger: scratch.quiet)
            try await later.apply(table(2, 1), listen: "127.0.0.1:8080")
            #expect(try await later.table(service: scratch.shop) == table(2, 1))
            #expect(pid(scratch) == first)
        }
    }

    @Test func manyWhoNeedTheRouterStartOne() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<5 {
                    group.addTask { try await router.apply(table(1, 1), listen: "127.0.0.1:8080") }
                }
                try await group.waitForAll()
            }
            let alive = FileSystem.names(in: "/proc").compactMap { Int32($0) }.filter { pid in
                FileSystem.read("/proc/\(pid)/cmdline").map { String(decoding: $0, as: UTF8.self) }?
                    .contains("\(scratch.path)/perchd") == true && isRunning(pid)
            }
            #expect(alive.count == 1)
        }
    }

    @Test func anOlderTableIsRefusedForGood() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            try await router.apply(table(2, 1), listen: "127.0.0.1:8080")
            let failure = try await failure { () throws(Failure) in
                try await router.apply(table(1, 9), listen: "127.0.0.1:8080")
            }
            #expect(failure.message == "the router of shop refused to take table 1.9: it has 2.1")
            #expect(!failure.isTransient)
        }
    }

    @Test func aRouterThatDiedIsStartedByTheNextQuestionWithItsLastTable() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            try await router.apply(table(1, 1), listen: "127.0.0.1:8080")
            let first = try #require(pid(scratch))
            kill(first, SIGKILL)
            #expect(try await router.table(service: scratch.shop) == table(1, 1))
            #expect(pid(scratch) != first)
        }
    }

    @Test func reportsSamplesAndHoldsComeThroughTheSocket() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            try await router.apply(table(1, 1), listen: "127.0.0.1:8080")
            let report = RouterReport(
                boot: "b", epoch: 1, generation: 1, release: "shop-1", at: 5, stable: VersionCounts(),
                canary: VersionCounts(), counts: TrafficCounts(boot: "b", shares: []), forced: 1, refused: 0,
                inFlightStable: 2, inFlightCanary: 3, hold: nil,
                recent: [])
            let samples = SampleReport(release: "shop-1", samples: [], dropped: 4, firstFailureAt: 9)
            let folder = "\(scratch.data)/routers/shop"
            try JSONEncoder().encode(report).write(to: URL(fileURLWithPath: "\(folder)/report.json"))
            try JSONEncoder().encode(samples).write(to: URL(fileURLWithPath: "\(folder)/samples.json"))
            #expect(try await router.report(service: scratch.shop) == report)
            #expect(try await router.report(service: scratch.shop, overdueAfter: .seconds(30)) == report)
            #expect(try await router.report(service: scratch.shop, overdueAfter: .nanoseconds(1_500)) == report)
            #expect(try await router.report(service: scratch.shop, overdueAfter: .seconds(-1)) == report)
            #expect(try await router.samples(service: scratch.shop) == samples)
            let request = HoldRequest(name: "rewind", deadlineMilliseconds: 10_000, maximumQueued: 7)
            let state = try await router.hold(service: scratch.shop, request)
            #expect(state == HoldState(name: "rewind", queued: 0, inFlight: 3, since: 5))
            try await router.letGo(service: scratch.shop, name: "rewind")
            #expect(
                ProcessHome(in: "\(scratch.data)/routers", name: "shop").output.lastLines(9) == [
                    "/report overdue_after=250000", "/report overdue_after=30000000", "/report overdue_after=1",
                    "/report overdue_after=0",
                    #"/hold {"deadlineMilliseconds": 10000, "maximumQueued": 7, "name": "rewind"}"#,
                    #"/let-go {"name": "rewind"}"#,
                ])
        }
    }

    @Test func aRouterThatWasNeverStartedCannotReport() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            let failure = try await failure { () throws(Failure) in
                try await router.report(service: scratch.shop)
            }
            #expect(failure.message == "the router of shop cannot report: it was never started")
        }
    }

    @Test func aRouterThatEndsAtItsStartSaysWhy() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            let failure = try await failure { () throws(Failure) in
                try await router.apply(table(1, 1), listen: "127.0.0.1:1")
            }
            #expect(failure.isTransient)
            #expect(
                failure.description.hasPrefix(
                    """
                    the router of shop cannot take table 1.1: it exited with status 1 at its start; its last lines:
                        cannot bind 127.0.0.1:1
                    """))
        }
    }

    @Test func anotherListeningAddressIsRefusedWhileTheRouterRuns() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            try await router.apply(table(1, 1), listen: "127.0.0.1:8080")
            let failure = try await failure { () throws(Failure) in
                try await router.apply(table(1, 2), listen: "127.0.0.1:9090")
            }
            #expect(failure.message == "the router of shop listens on 127.0.0.1:8080, the policy says 127.0.0.1:9090")
            try await router.stop(service: scratch.shop, drain: .seconds(5))
            try await router.apply(table(1, 2), listen: "127.0.0.1:9090")
        }
    }

    @Test func aRouterServesMetricsWhereThePolicySaidAtItsStart() async throws {
        func arguments(_ pid: Int32) throws -> [Substring] {
            let line = try #require(FileSystem.read("/proc/\(pid)/cmdline"))
            return String(decoding: line, as: UTF8.self).split(separator: "\0")
        }
        try await withScratch { scratch in
            let router = try router(scratch)
            try await router.apply(table(1, 1), listen: "127.0.0.1:8080", metrics: "127.0.0.1:9102")
            let first = try #require(pid(scratch))
            #expect(try arguments(first).suffix(2) == ["--metrics", "127.0.0.1:9102"])
            // A running router is left where it is, and the table is applied all the same.
            try await router.apply(table(1, 2), listen: "127.0.0.1:8080")
            #expect(try await router.table(service: scratch.shop) == table(1, 2))
            #expect(pid(scratch) == first)
            kill(first, SIGKILL)
            #expect(try await router.table(service: scratch.shop) == table(1, 2))
            #expect(try arguments(try #require(pid(scratch))).suffix(2) == ["--metrics", "127.0.0.1:9102"])
            try await router.stop(service: scratch.shop, drain: .zero)
            try await router.apply(table(1, 3), listen: "127.0.0.1:8080")
            #expect(try !arguments(try #require(pid(scratch))).contains("--metrics"))
        }
    }

    @Test func aRouterThatHangsIsATransientFailureAfterSeconds() async throws {
        try await withScratch { scratch in
            let router = try router(scratch)
            try await router.apply(table(1, 1), listen: "127.0.0.1:8080")
            let stopped = try #require(pid(scratch))
            kill(stopped, SIGSTOP)
            let begin = ContinuousClock.now
            let failure = try await failure { () throws(Failure) in
                try await router.table(service: scratch.shop)
            }
            #expect(failure.isTransient)
            #expect(ContinuousClock.now - begin < .seconds(9))
            #expect(pid(scratch) == stopped)
        }
    }

    @Test func aDataFolderTooDeepForASocketIsNamed() async throws {
        try await withScratch { scratch in
            let deep = EmbeddedRouter(
                dataFolder: "\(scratch.path)/" + String(repeating: "d", count: 120), perchdPath: "/bin/false",
                logger: scratch.quiet)
            let failure = try await failure { () throws(Failure) in
                try await deep.apply(table(1, 1), listen: "127.0.0.1:8080")
            }
            #expect(failure.description.contains("is too long for a socket"))
        }
    }
}
