// Goal: a decision is about what was shown and tells what it did. Method: the real command line against the real API.

import ControlModel
import ControlSupport
import Foundation
import PerchCLI
import Releases
import Testing

@Suite struct DecisionTests {
    @Test func decisionsAreAboutRowsAsTheyWereShown() async throws {
        let open = SideLine(isThere: true, row: ["id": "9", "state": "open"])
        let control = await shopControl {
            $0.quarantine = [
                QuarantineLine(
                    id: 7, reason: "canaryWrite", origin: "canary", table: "public.orders", operation: "UPDATE",
                    key: ["id": "9"], row: nil, before: open,
                    canary: SideLine(isThere: true, row: ["id": "9", "state": "paid"]), now: open, commitLSN: "0/1",
                    xid: 815, committedAt: "2026-08-01T10:00:00Z", detail: "d", isOpen: true)
            ]
        }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let shown = await api.perch("quarantine", "show", "shop-1", "--transaction", "815", "-o", "json")
            let file = "\(NSTemporaryDirectory())/seen-\(UInt64.random(in: 0...UInt64.max)).json"
            try shown.out.write(toFile: file, atomically: true, encoding: .utf8)
            defer { try? FileManager.default.removeItem(atPath: file) }
            let dry = await api.perch("quarantine", "apply", "shop-1", "7", "--dry-run")
            #expect(
                dry.out == """
                    ~ public.orders  id=9  state: open -> paid
                    nothing was kept: this was a dry run

                    """, "\(dry.err)")
            await control.change(shop1) {
                $0.quarantine[0].now = SideLine(isThere: true, row: ["id": "9", "state": "sent"])
            }
            let late = await api.perch("quarantine", "apply", "shop-1", "7", "--seen", file)
            #expect(late.outcome == .refused && late.err.contains("has changed"))
            let applied = await api.perch("quarantine", "apply", "shop-1", "--transaction", "0/1", "--reason", "asked")
            #expect(
                applied.outcome == .ok && applied.out.hasSuffix("applied 1 entry of shop-1\n"), "\(applied.err)")
            #expect(await api.perch("quarantine", "list", "shop-1").out.contains("applied canary by alice"))
            #expect(await api.perch("quarantine", "list", "shop-1", "--open").out == "nothing in quarantine\n")
            #expect(await api.perch("quarantine", "discard", "shop-1", "7").out == "discarded 1 entry of shop-1\n")
            #expect(
                await control.calls == [
                    "apply shop-1 canary alice -", "apply shop-1 canary alice -", "apply shop-1 canary alice asked",
                    "discard shop-1 alice -",
                ])
        }
    }
}
