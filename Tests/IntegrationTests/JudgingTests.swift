// Goal: each kind of fault is judged as it should be, and the judgement can be had again from what was recorded. Method:
// see EndToEnd; the coin is tossed for each request.

import ControlModel
import Foundation
import Releases
import SystemSupport
import Testing

extension EndToEnd {
    @Suite struct JudgingTests {
        /// Long steps, so that only a verdict ends them; limits as in real use.
        private static func policy(_ policy: inout PolicyText) {
            policy.by = "request"
            policy.timeout = "2s"
            policy.steps = ["{share: 30%, for: 40s}"]
            policy.errorsMax = "20%"
            policy.noData = "{wait: 1m, then: hold}"
        }

        /// The release judged again by its own policy decides the same, at the same look.
        private static func expectSameAgain(_ perch: PerchSystem, _ release: ReleaseDetail) async throws {
            let again = try await perch.perch("simulate", "--release", "\(release.summary.id)", "--output", "json")
            let simulation = try ControlJSON.decode(Simulation.self, from: again.output.utf8)
            let last = try #require(simulation.turns.last)
            #expect(last.decision == "roll-back")
            #expect(again.status == 1)
            #expect(last.why == release.comparison?.why.joined(separator: "; "))
            let said = release.events.first { $0.text.contains(last.why) }
            #expect(said != nil, "\(last.why)\n\(release.story)")
        }

        @Test(arguments: [
            ServiceVersion.rarelyFailing, .oftenFailing, .hanging, .failingLater,
        ])
        func `a canary that fails is found by its failures`(version: ServiceVersion) async throws {
            try await PerchSystem.with(Self.policy) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.release(version, ends: "rolled-back")
                #expect(release.comparison?.verdict == "fail")
                #expect(release.summary.message.contains("failed requests were on the canary"))
                #expect(!release.summary.message.contains("took longer than"))
                try await Self.expectSameAgain(perch, release)
                let ledger = try await perch.ledger(
                    customers, releases: [release.summary.id], takenBack: [version])
                #expect(ledger.errors(besides: [version]).prefix(10) == [])
            }
        }

        @Test func `a canary that is slower is found by its latency`() async throws {
            try await PerchSystem.with({
                Self.policy(&$0)
                $0.latency = "{worse_by: 20%}"
            }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers(8)
                try await customers.settle(1_200)  // stable's quantiles are known from 1 000 on
                let release = try await perch.release(.slower, ends: "rolled-back")
                #expect(release.summary.message.contains("slow requests were on the canary"))
                try await Self.expectSameAgain(perch, release)
                expectNobodyNoticed(
                    try await perch.ledger(customers, releases: [release.summary.id], takenBack: [.slower]))
            }
        }

        @Test(arguments: [ServiceVersion.fallible, .slowlyFallible])
        func `an outage of both versions holds the step and is not the canary's fault`(
            stable: ServiceVersion
        ) async throws {
            try await PerchSystem.with({
                Self.policy(&$0)
                $0.timeout = "5s"
            }) { perch in
                try await perch.release(stable, ends: "promoted")
                let customers = perch.startCustomers()
                let release = try await perch.trigger(.fallibleToo)
                try await perch.wait(release, for: ["canary"])
                try await customers.settle(100)
                let outage = "\(perch.folder)/outage"
                try Data().write(to: URL(fileURLWithPath: outage))
                var last: ReleaseDetail?
                try await until("the step is held", within: .seconds(20), elsewise: { last?.story ?? "" }) {
                    last = try await perch.daemon.show(release)
                    return last?.hasEvent("not the canary's fault") ?? false
                }
                try await Task.sleep(for: .seconds(2))
                #expect(try await perch.daemon.show(release).summary.phase == "canary")
                let aborted = try await perch.perch("abort", "\(release)", "--reason", "both are down")
                #expect(aborted.status == 0, "\(aborted.errors)")
                let end = try await perch.waitForEnd(of: release)
                #expect(end.summary.phase == "aborted", "\(end.story)")
                #expect(!end.hasEvent("rolls back"), "\(end.story)")
                try await customers.stop()
            }
        }
    }
}
