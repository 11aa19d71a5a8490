// Goal: users are counted once whichever event loop they meet, in the version and at the share of the moment, and only
// where users are given to the versions. Method: users on many connections of a live router.

import Analysis
import NIOHTTP1
import Testing
import Traffic

@testable import Router

private func service() async throws -> ServiceInstance {
    try await ServiceInstance.serving { request in
        Reply(status: request.head.uri == "/fail" ? .badGateway : .ok)
    }
}

extension RouterReport {
    fileprivate func users(_ arm: Arm, at share: Int) -> UserCounts? {
        let counts = counts.shares.first { $0.share == share }
        return arm == .stable ? counts?.stable.users : counts?.canary.users
    }
}

private let salted = SipHash(salt: "s")

private func arm(_ user: Int, at share: Int) -> Arm {
    salted.hash("\(user)") % 10_000 < UInt64(share) ? .canary : .stable
}

extension Live {
    @Suite struct UserCountTests {
        @Test func `users are counted by the version and the share at which they were met and first failed`()
            async throws
        {
            let instance = try await service()
            try await Bench.with(threads: 3) { bench in
                let shares = [0, 1_000, 4_000, 1_000]
                var failed: Set<Int> = []
                var seen: [String: Set<Int>] = [:]
                var failures: [String: UInt64] = [:]
                for (step, share) in shares.enumerated() {
                    try await bench.put(
                        .serving(
                            stable: [instance.backend("s")], canary: [instance.backend("c")], share: share,
                            generation: UInt64(step + 1), keys: [.cookie("session")]))
                    // Three connections at least, so that users meet several event loops.
                    let wires = [try await bench.wire(), try await bench.wire(), try await bench.wire()]
                    for turn in 0..<240 {
                        let user = (turn * 7 + step * 11) % 80
                        let fails = turn % 15 == step
                        _ = try await wires[turn % 3].ask(
                            fails ? "GET /fail" : "GET /", ["Cookie: session=\(user)"])
                        let key = "\(arm(user, at: share)) \(share)"
                        guard !failed.contains(user) else { continue }
                        seen[key, default: []].insert(user)
                        guard fails else { continue }
                        failed.insert(user)
                        failures[key, default: 0] += 1
                    }
                    for wire in wires { await wire.close() }
                }
                let report = try await bench.report()
                for share in Set(shares) {
                    for arm in [Arm.stable, .canary] {
                        let key = "\(arm) \(share)"
                        #expect(
                            report.users(arm, at: share)
                                == UserCounts(seen: UInt64(seen[key]?.count ?? 0), failed: failures[key] ?? 0), "\(key)"
                        )
                    }
                }
                #expect(report.users(.canary, at: 4_000)?.seen ?? 0 > 10 && failed.count > 20)
            }
        }

        @Test func `where the coin is tossed for each request, and between releases, there are no users`() async throws
        {
            let instance = try await service()
            try await Bench.with { bench in
                try await bench.put(.serving(stable: [instance.backend("s")], keys: [.request, .cookie("session")]))
                #expect(try await bench.get("/fail", ["Cookie: session=1"]).status == 502)
                let each = try await bench.report()
                #expect(each.users(.stable, at: 0) == nil && each.counts.shares[0].stable.settled.failures == 1)
                try await bench.put(
                    .serving(stable: [instance.backend("s")], generation: 2, release: "", keys: [.cookie("session")]))
                #expect(try await bench.get("/fail", ["Cookie: session=1"]).status == 502)
                let idle = try await bench.report()
                #expect(idle.users(.stable, at: 0) == nil && idle.counts.shares[0].stable.settled.failures == 1)
                // Nobody is remembered from one release to the next.
                try await bench.put(
                    .serving(stable: [instance.backend("s")], generation: 3, release: "r3", keys: [.cookie("session")]))
                #expect(try await bench.report().users(.stable, at: 0) == UserCounts())
                #expect(try await bench.get("/fail", ["Cookie: session=1"]).status == 502)
                #expect(try await bench.report().users(.stable, at: 0) == UserCounts(seen: 1, failed: 1))
            }
        }

        @Test func `a request without a cookie is a user of its own when requests are the last key`() async throws {
            let instance = try await service()
            try await Bench.with { bench in
                try await bench.put(
                    .serving(stable: [], canary: [instance.backend("c")], share: 10_000))
                for path in ["/", "/fail", "/fail"] { _ = try await bench.get(path) }
                for path in ["/", "/fail", "/fail"] { _ = try await bench.get(path, ["Cookie: session=1"]) }
                let report = try await bench.report()
                #expect(report.users(.canary, at: 10_000) == UserCounts(seen: 4, failed: 3))
                #expect(report.keyless.requests == 0 && report.canary.requests == 6)
            }
        }

        @Test func `a request that finds no instance is refused, and its user was not met`() async throws {
            try await Bench.with { bench in
                try await bench.put(.serving(stable: []))
                #expect(try await bench.get("/", ["Cookie: session=1"]).status == 503)
                #expect(try await bench.get("/").status == 503)
                let report = try await bench.report()
                #expect(report.refused == 2 && report.users(.stable, at: 0) == UserCounts())
                #expect(report.stable.requests == 0)
            }
        }
    }
}
