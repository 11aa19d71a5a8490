// Goal: decisions about a quarantine reach the data side when they may, and are refused when they would be lost or taken
// for somebody else's. Method: the real engine on a real store, a world that keeps rows and decisions.

import ControlModel
import Controller
import Ports
import Releases
import Testing

@Suite(.serialized) struct QuarantineTests {
    private static func entry(_ id: Int, _ lsn: String = "0/20", isOpen: Bool = false) -> QuarantinedChange {
        QuarantinedChange(
            id: id, reason: .canaryWrite, origin: .canary, table: "public.orders", operation: "UPDATE",
            key: ["id": "\(id)"], row: ["id": "\(id)", "state": "paid"], commitLSN: lsn, xid: 815, committedAt: 0,
            detail: "the canary wrote it", before: ["id": "\(id)", "state": "open"], isOpen: isOpen)
    }

    @Test func `a heal is undone when nothing is on its way`() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let id = try await Self.rolledBack(bench, controller)
            #expect(try await controller.undoHeal(id, UndoHealRequest(), by: "alice").rows == 2)
            let promoted = try await controller.trigger(third)
            _ = try await controller.awaitEnd(promoted)
            let refusal = await #expect(throws: Refusal.self) {
                try await controller.undoHeal(promoted, UndoHealRequest(), by: "alice")
            }
            #expect(refusal?.message.contains("only a rollback that healed the data can be undone") == true)
        }
    }

    /// A release that was rolled back, with three entries.
    private static func rolledBack(_ bench: Bench, _ controller: ReleaseController) async throws -> ReleaseID {
        _ = try await controller.awaitEnd(controller.trigger(first))
        bench.world.set {
            $0.behaviour = .failing
            $0.quarantine = [entry(1), entry(2), entry(3, "0/30", isOpen: true)]
            $0.rowsNow = Dictionary(
                uniqueKeysWithValues: (1...3).map { ($0, .row(["id": "\($0)", "state": "open"])) })
        }
        let id = try await controller.trigger(second)
        #expect(try await controller.awaitEnd(id).phase == "rolled-back")
        bench.world.set { $0.behaviour = .good }
        return id
    }

    @Test func `a transaction is shown with its rows, tried, written, and then it is decided`() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let id = try await Self.rolledBack(bench, controller)
            let shown = try await controller.quarantine(id, .init(items: nil, transaction: "0/20"), withRows: true)
            #expect(shown.changes.map(\.id) == [1, 2])
            #expect(shown.changes[0].differing == ["state"] && shown.changes[0].before?.row?["state"] == "open")
            #expect(shown.changes[0].now == SideLine(isThere: true, row: ["id": "1", "state": "open"]))
            #expect(shown.changes[0].kind == "canary-write" && shown.changes[0].stable == nil)
            let seen = shown.changes.map { ApplyRequest.Seen(id: $0.id, now: $0.now!) }
            var request = ApplyRequest(items: nil, transaction: "0/20", dryRun: true, seen: seen, reason: "asked")
            let tried = try await controller.applyQuarantine(id, request, by: "alice")
            #expect(tried.dryRun && tried.writes.count == 2 && tried.writes[0].to?["state"] == "paid")
            request.dryRun = nil
            let done = try await controller.applyQuarantine(id, request, by: "alice")
            #expect(done.items == [1, 2] && done.writes.count == 2)
            let late = await #expect(throws: Refusal.self) {
                try await controller.applyQuarantine(id, request, by: "alice")
            }
            #expect(late?.kind == .conflict)
            #expect(try await controller.release(id).data?.decisionsOpen == 1)
            _ = try await controller.discardQuarantine(id, .init(items: [3], reason: "no"), by: "bob")
            #expect(try await controller.release(id).data?.decisionsOpen == 0)
            let list = try await controller.quarantine(id, .everything, withRows: false).changes
            #expect(list.map { $0.decision?.how } == ["applied", "applied", "discarded"])
            #expect(list.map { $0.decision?.person } == ["alice", "alice", "bob"] && !list[2].isOpen)
            let missing = await #expect(throws: Refusal.self) {
                try await controller.discardQuarantine(id, .init(items: [3, 9]), by: "bob")
            }
            #expect(missing?.kind == .notFound && missing?.message == "\(id) has no entry 9 in quarantine")
            let nothing = await #expect(throws: Refusal.self) {
                try await controller.discardQuarantine(id, .init(items: nil), by: "bob")
            }
            #expect(nothing?.kind == .refusedByPolicy)
        }
    }

    @Test func `rows that cannot be read leave the entries readable`() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let id = try await Self.rolledBack(bench, controller)
            bench.world.set { $0.failing["quarantined rows"] = "the database does not answer" }
            let list = try await controller.quarantine(id, .everything, withRows: true)
            #expect(list.changes.count == 3 && list.unread == "the database does not answer")
            #expect(list.changes.allSatisfy { $0.now == nil })
        }
    }

    @Test(arguments: Policy.DataRollback.Unattributed.allCases)
    func `while a release is recorded a decision is stable's write, or none`(
        _ unattributed: Policy.DataRollback.Unattributed
    ) async throws {
        let bench = try await Bench {
            $0.database?.rollback.unattributed = unattributed
            $0.cohort.steps = [.share(Share(basisPoints: 1_000)!, for: .seconds(60))]
        }
        try await bench.led { controller in
            let id = try await Self.rolledBack(bench, controller)
            let next = try await controller.trigger(third)
            try await controller.awaitPhase(next, "canary")
            let request = ApplyRequest(items: [1])
            if unattributed == .stable {
                #expect(try await controller.applyQuarantine(id, request, by: "alice").writes.count == 1)
            } else {
                let refusal = await #expect(throws: Refusal.self) {
                    try await controller.applyQuarantine(id, request, by: "alice")
                }
                #expect(refusal?.kind == .conflict && refusal?.release == next)
            }
        }
    }

    @Test func `nothing is decided while a rollback goes on`() async throws {
        let bench = try await Bench()
        try await bench.led { controller in
            let id = try await Self.rolledBack(bench, controller)
            bench.world.set {
                $0.behaviour = .failing
                $0.hanging.insert("rewind")
            }
            let next = try await controller.trigger(third)
            try await controller.awaitPhase(next, "rolling-back")
            let refusal = await #expect(throws: Refusal.self) {
                try await controller.applyQuarantine(id, ApplyRequest(items: [1]), by: "alice")
            }
            #expect(refusal?.message == "\(next) is being rolled back")
            #expect(!bench.world.calls.contains("apply quarantine"))
            let undo = await #expect(throws: Refusal.self) {
                try await controller.undoHeal(id, UndoHealRequest(), by: "alice")
            }
            #expect(undo?.message == "\(next) is being rolled back")
        }
    }
}
