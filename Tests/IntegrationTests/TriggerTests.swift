// Goal: one delivery is one release, and a newer release never gets stuck behind an older one. Method: see EndToEnd.

import ControlModel
import Releases
import SystemSupport
import Testing

extension EndToEnd {
    @Suite struct TriggerTests {
        @Test func `a delivery that arrives twice, also after a restart, is one release`() async throws {
            try await PerchSystem.with { perch in
                let commit = try await perch.repository.commit(.first)
                let first = try await perch.daemon.trigger(commit, delivery: "msg_1")
                let again = try await perch.daemon.trigger(commit, delivery: "msg_1")
                try await perch.daemon.kill()
                try await perch.daemon.start()
                let afterRestart = try await perch.daemon.trigger(commit, delivery: "msg_1")
                for answer in [first, again, afterRestart] { #expect(answer.status == 202, "\(answer.text)") }
                let accepted = try [first, again, afterRestart].map {
                    try ControlJSON.decode(Accepted.self, from: $0.body)
                }
                #expect(accepted.map(\.release.description) == ["shop-1", "shop-1", "shop-1"])
                #expect(accepted.map(\.duplicate) == [false, true, true])
                try await perch.wait(accepted[0].release, for: ["promoted"])
                #expect(try await perch.postgres.sql("select count(*) from release", database: "perch") == "1")
            }
        }

        @Test func `a delivery that was refused is taken when it comes again`() async throws {
            try await PerchSystem.with { perch in
                let commit = try await perch.repository.commit(.first)
                let refused = try await perch.daemon.trigger("no-such-branch", delivery: "msg_1")
                #expect(refused.status == 422, "\(refused.text)")
                let taken = try await perch.daemon.trigger(commit, delivery: "msg_1")
                #expect(taken.status == 202, "\(taken.text)")
                #expect(try ControlJSON.decode(Accepted.self, from: taken.body).duplicate == false)
            }
        }

        /// Where the older release is when the newer one arrives.
        enum Stage: String, CaseIterable, CustomTestStringConvertible {
            case snapshotting, starting, canary, waiting
            var testDescription: String { rawValue }
        }

        @Test(arguments: Stage.allCases)
        func `a newer release supersedes an older one and is compared with what was stable before`(
            stage: Stage
        ) async throws {
            try await PerchSystem.with(
                {
                    $0.onNewer = "supersede"
                    $0.steps =
                        stage == .canary ? ["{share: 30%, for: 3s}"] : ["{share: 30%, for: 500ms}", "{approve: true}"]
                }, ballast: stage == .snapshotting ? 200_000 : 0
            ) { perch in
                let first = try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let older = try await perch.trigger(stage == .starting ? .slow : .subtle)
                try await perch.wait(older, for: [stage.rawValue])
                if stage == .canary || stage == .waiting { try await customers.settle(30) }
                let newer = try await perch.trigger(.better)
                try await perch.wait(older, for: ["superseded"])
                try await perch.wait(newer, for: ["canary", "waiting"])
                let detail = try await perch.daemon.show(newer)
                #expect(detail.summary.stable == first.summary.commit)
                if stage == .canary {
                    try await perch.wait(newer, for: ["promoted"])
                } else {
                    try await perch.wait(newer, for: ["waiting"])
                    _ = try await perch.perch("promote", "\(newer)")
                    try await perch.wait(newer, for: ["promoted"])
                }
                try await customers.settle(40)
                let ledger = try await perch.ledger(customers, releases: [older, newer], takenBack: [.subtle])
                expectNobodyNoticed(ledger)
                try await perch.expectNothingLeft()
            }
        }

        @Test func `a newer release queues, and its turn comes`() async throws {
            try await PerchSystem.with { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let older = try await perch.trigger(.good)
                let newer = try await perch.trigger(.better)
                #expect(try await perch.daemon.service().queued.map(\.id) == [newer])
                try await perch.wait(newer, for: ["canary"])
                let before = try await perch.daemon.show(older)
                #expect(before.summary.phase == "promoted")
                #expect(try await perch.daemon.show(newer).summary.stable == before.summary.commit)
                try await perch.wait(newer, for: ["promoted"])
                expectNobodyNoticed(try await perch.ledger(customers, releases: [older, newer]))
            }
        }

        @Test func `a newer release is rejected where the policy says so, with the one in the way`() async throws {
            try await PerchSystem.with({
                $0.onNewer = "reject"
                $0.steps = ["{share: 30%, for: 500ms}", "{approve: true}"]
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                _ = perch.startCustomers()
                let older = try await perch.trigger(.good)
                try await perch.wait(older, for: ["waiting"])
                let answer = try await perch.daemon.trigger(try await perch.repository.commit(.better))
                #expect(answer.status == 409)
                #expect(answer.text.contains("\(older)"))
            }
        }
    }
}
