// Goal: a router does what the newest controller said, and keeps to it without one. Method: a live router, its control
// socket, its files, and starts over them.

import Analysis
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Testing
import Traffic

@testable import Router

extension Live {
    @Suite struct ControlTests {
        @Test func `tables are taken in order of epoch and generation`() async throws {
            let instance = try await ServiceInstance.named("a")
            try await Bench.with { bench in
                #expect(try await bench.control("GET /table").status == 404)
                func table(_ epoch: UInt64, _ generation: UInt64) -> RoutingTable {
                    .serving(stable: [instance.backend("a")], epoch: epoch, generation: generation)
                }
                #expect(try await bench.put(table(2, 1)).text == #"{"epoch":2,"generation":1,"kept":true}"#)
                #expect(try await bench.put(table(2, 1)).status == 200)
                var other = table(2, 1)
                other.service = "other"
                #expect(try await bench.put(other).status == 409)
                #expect(try await bench.put(table(1, 9)).status == 409)
                #expect(try await bench.put(table(2, 2)).status == 200)
                let served = try await bench.control("GET /table")
                #expect(try JSONDecoder().decode(RoutingTable.self, from: Data(served.body)) == table(2, 2))
                let report = try await bench.report()
                #expect(report.epoch == 2 && report.generation == 2 && report.release == "r1")
            }
        }

        @Test func `what is wrong is answered with a problem`() async throws {
            try await Bench.with { bench in
                for (line, body, status) in [
                    ("PUT /table", "{", 400), ("PUT /table", "{}", 400), ("POST /hold", "{}", 400),
                    ("POST /hold", #"{"name":"","deadlineMilliseconds":1,"maximumQueued":1}"#, 400),
                    ("POST /hold", #"{"name":"a","deadlineMilliseconds":0,"maximumQueued":1}"#, 400),
                    ("DELETE /table", nil, 405), ("POST /metrics", nil, 405), ("GET /hold", nil, 405),
                    ("GET /nowhere", nil, 404),
                    ("GET /report?overdue_after=", nil, 400), ("GET /report?overdue_after", nil, 400),
                    ("GET /report?", nil, 400), ("GET /report?overdue_after=1.5", nil, 400),
                    ("GET /report?overdue_after=-1", nil, 400), ("GET /report?overdue_after=+1", nil, 400),
                    ("GET /report?overdue_after=18446744073709551616", nil, 400),
                    ("GET /report?overdue_after=1&overdue_after=2", nil, 400), ("GET /report?after=1", nil, 400),
                    ("POST /report?overdue_after=1", nil, 405), ("GET /table?overdue_after=1", nil, 404),
                ] as [(String, String?, Int)] {
                    let answer = try await bench.control(line, body)
                    #expect(answer.status == status, "\(line)")
                    #expect(answer.field("content-type") == "application/problem+json", "\(line)")
                    #expect(answer.text.contains(#""detail":"#), "\(line)")
                }
                #expect(try await bench.control("GET /healthz").status == 200)
                #expect(try await bench.control("GET /report?overdue_after=18446744073709551615").status == 200)
                var wrong = RoutingTable.serving(stable: [])
                wrong.canaryShare = 5
                let answer = try await bench.put(wrong)
                #expect(answer.status == 400 && answer.text.contains("canaryShare"))
            }
        }

        @Test func `after a restart the kept table is served without a controller, and an older one is still refused`()
            async throws
        {
            let instance = try await ServiceInstance.named("a")
            let first = try await Bench.start()
            try await first.put(.serving(stable: [instance.backend("a")], epoch: 3, generation: 7))
            let boot = try await first.report().boot
            await first.router.shutdown(deadline: .milliseconds(100))
            let second = try await Bench.start(folder: first.folder)
            #expect(try await second.get("/").text == "a")
            #expect(try await second.put(.serving(stable: [], epoch: 3, generation: 6)).status == 409)
            let report = try await second.report()
            #expect(report.boot != boot && report.epoch == 3 && report.generation == 7 && report.stable.requests == 1)
            await second.stop()
        }

        @Test func `a torn table file is put aside and the one before is served`() async throws {
            let old = try await ServiceInstance.named("old")
            let new = try await ServiceInstance.named("new")
            let first = try await Bench.start()
            try await first.put(.serving(stable: [old.backend("old")], generation: 1))
            try await first.put(.serving(stable: [new.backend("new")], generation: 2))
            await first.router.shutdown(deadline: .milliseconds(100))
            let file = URL(fileURLWithPath: first.settings.tableFile)
            let whole = try Data(contentsOf: file)
            try whole.prefix(whole.count / 2).write(to: file)
            let second = try await Bench.start(folder: first.folder)
            #expect(try await second.get("/").text == "old")
            #expect(FileManager.default.fileExists(atPath: file.path + ".corrupt"))
            await second.stop()
        }

        @Test func `a table that cannot be kept is served all the same, and says so`() async throws {
            let instance = try await ServiceInstance.named("a")
            try await Bench.with { bench in
                // A folder in the place of the new file makes every save fail, for root too.
                try FileManager.default.createDirectory(
                    atPath: bench.settings.tableFile + ".new", withIntermediateDirectories: true)
                let answer = try await bench.put(.serving(stable: [instance.backend("a")]))
                #expect(answer.status == 200 && answer.text.contains(#""kept":false"#))
                #expect(try await bench.get("/").text == "a")
            }
        }

        @Test func `the control socket is its owner's, replaces a dead one and never a live one`() async throws {
            let bench = try await Bench.start()
            let attributes = try FileManager.default.attributesOfItem(atPath: bench.settings.controlSocket)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
            await #expect(throws: RouterError.controlSocketInUse(path: bench.settings.controlSocket)) {
                _ = try await Bench.start(folder: bench.folder)
            }
            #expect(try await bench.control("GET /healthz").status == 200)
            await bench.router.shutdown(deadline: .zero)
            #expect(!FileManager.default.fileExists(atPath: bench.settings.controlSocket))
            #expect(abandonSocket(at: bench.settings.controlSocket))
            let second = try await Bench.start(folder: bench.folder)
            #expect(try await second.control("GET /healthz").status == 200)
            await second.router.shutdown(deadline: .zero)
            // A file that is no socket is not ours to remove.
            try Data("notes".utf8).write(to: URL(fileURLWithPath: bench.settings.controlSocket))
            await #expect(throws: RouterError.self) { _ = try await Bench.start(folder: bench.folder) }
            await second.stop()
        }

        @Test func `an address in use is an error that names it`() async throws {
            let instance = try await ServiceInstance.named("a")
            var settings = try RouterSettings(
                listen: "127.0.0.1:0", controlSocket: "/tmp/never", tableFile: "/tmp/never-table")
            settings.port = instance.port
            let router = Router(settings: settings, logger: .init(label: "test"))
            await #expect(throws: RouterError.self) { try await router.start() }
            #expect(router.port == nil)
        }

        @Test func `a run that is cancelled stops the router`() async throws {
            let folder = NSTemporaryDirectory() + "router-\(UInt64.random(in: .min ... .max))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let settings = try RouterSettings(
                listen: "127.0.0.1:0", controlSocket: folder + "/control", tableFile: folder + "/table")
            let router = Router(settings: settings, logger: .init(label: "test"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await router.run() }
                let port = try await eventually("listening") { router.port }
                group.cancelAll()
                try await group.waitForAll()
                await #expect(throws: (any Error).self) { try await Wire.connect(port: port) }
            }
            try FileManager.default.removeItem(atPath: folder)
        }

        @Test func `settings are read from text`() throws {
            let read = { (listen: String) throws -> [String] in
                let settings = try RouterSettings(listen: listen, controlSocket: "c", tableFile: "t")
                return [settings.host, "\(settings.port)"]
            }
            #expect(try read("127.0.0.1:80") == ["127.0.0.1", "80"])
            #expect(try read("[::1]:8080") == ["::1", "8080"])
            #expect(try read(":9") == ["0.0.0.0", "9"])
            for wrong in ["80", "a:b", "a:70000", ""] {
                #expect(throws: RouterError.listen(wrong)) { try read(wrong) }
                #expect(throws: RouterError.listen(wrong)) {
                    try RouterSettings(listen: ":9", controlSocket: "c", tableFile: "t", metrics: wrong)
                }
            }
            let settings = try RouterSettings(listen: ":9", controlSocket: "c", tableFile: "t", metrics: "[::1]:9102")
            #expect(settings.metrics?.host == "::1" && settings.metrics?.port == 9_102)
        }
    }
}
