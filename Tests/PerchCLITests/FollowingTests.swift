// Goal: `watch` and `wait` follow a release to its end, whatever it is, and outlive a daemon that is away for a moment.
// Method: a live API whose controller is told events while the commands run.

import ControlModel
import ControlSupport
import PerchCLI
import Releases
import Testing

@Suite(.timeLimit(.minutes(2))) struct FollowingTests {
    @Test func watchPrintsEventsUntilTheEnd() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let paper = Paper()
            async let run = api.perch("watch", paper: paper)
            #expect(try await eventually { paper.text.contains("accepted shop-1") })
            await control.tell(shop1, "advance shop-1 to 50%")
            #expect(try await eventually { paper.text.contains("advance shop-1 to 50%") })
            await control.tell(shop1, "promoted shop-1", phase: "promoted", isTerminal: true)
            let end = await run
            #expect(end.outcome == .ok)
            #expect(
                end.out == """
                    2026-08-01T10:00:00Z  accepted shop-1
                    2026-08-01T10:00:02Z  advance shop-1 to 50%
                    2026-08-01T10:00:03Z  promoted shop-1
                    shop-1  ✔ promoted  promoted shop-1

                    """)
        }
    }

    @Test func watchEndsWithOneWhenTheReleaseIsRolledBack() async throws {
        let control = await shopControl()
        await control.tell(shop1, "rolled back shop-1", phase: "rolled-back", isTerminal: true)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let run = await api.perch("watch", "shop-1", "-o", "json")
            #expect(run.outcome == .failed && run.err == "")
            let events = try run.out.split(separator: "\n").map {
                try ControlJSON.decode(EventLine.self, from: $0.utf8)
            }
            #expect(events.map(\.sequence) == [1, 2])
        }
    }

    @Test func onATerminalOneViewIsRedrawn() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let paper = Paper()
            async let run = api.perch("watch", "shop-1", isTerminal: true, paper: paper)
            #expect(try await eventually { paper.text.contains("◌ canary") })
            await control.tell(shop1, "promoted shop-1", phase: "promoted", isTerminal: true)
            let end = await run
            #expect(end.outcome == .ok)
            #expect(end.out.contains("\u{1B}[J") && end.out.contains("✔ promoted"))
            let goesBack = try #require(end.out.firstMatch(of: /\u{1B}\[([0-9]+)F/))
            let first = end.out.prefix(upTo: try #require(end.out.firstRange(of: "\u{1B}[J")).lowerBound)
            #expect(Int(goesBack.1) == first.filter { $0 == "\n" }.count, "back to where the first frame began")
        }
    }

    @Test(arguments: [["--plain"], ["--no-color"]])
    func onATerminalLinesCanBeAskedFor(_ option: [String]) async throws {
        let control = await shopControl()
        await control.tell(shop1, "promoted shop-1", phase: "promoted", isTerminal: true)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let run = await perch(
                ["watch", "shop-1"] + option, environment: ["PERCH_SERVER": "unix://\(api.socketPath)"],
                isTerminal: true)
            #expect(run.outcome == .ok && !run.out.contains("\u{1B}[J") && run.out.contains("promoted shop-1"))
        }
    }

    @Test func watchNeedsToKnowWhichRelease() async throws {
        let control = await shopControl()
        await control.add(samplePolicy("mailer"))
        await control.hold(sampleDetail(ReleaseID("mailer-1")!))
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let several = await api.perch("watch")
            #expect(several.outcome == .usage && several.err.contains("mailer-1, shop-1"))
        }
        try await withLiveAPI { (api: LiveAPI) async throws in
            #expect(await api.perch("watch").outcome == .notFound)
        }
    }

    @Test func waitReturnsWhenThePhaseIsReached() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let paper = Paper()
            async let run = api.perch("wait", "shop-1", "--for", "waiting,promoted", paper: paper)
            #expect(try await eventually { paper.text.contains("◌ canary") })
            await control.tell(shop1, "waits for a person", phase: "waiting")
            let end = await run
            #expect(end.outcome == .ok)
            #expect(end.out == "shop-1  ◌ canary  the canary serves 5%\nshop-1  ॥ waiting  waits for a person\n")
        }
    }

    @Test func waitEndsWithOneInAnotherPhase() async throws {
        let control = await shopControl()
        await control.tell(shop1, "rolled back", phase: "rolled-back", isTerminal: true)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let run = await api.perch("wait", "shop-1")
            #expect(run.outcome == .failed)
            #expect(run.err == "perch: release shop-1 is rolled-back, not promoted\nhint: perch show shop-1\n")
            let good = await api.perch("wait", "shop-1", "--for", "promoted,rolled-back", "-o", "json")
            #expect(good.outcome == .ok)
            #expect(try ControlJSON.decode(ReleaseSummary.self, from: good.out.utf8).phase == "rolled-back")
        }
    }

    @Test func waitEndsWithSevenWhenTheTimeIsUp() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            let run = await api.perch("wait", "shop-1", "--timeout", "300ms")
            #expect(run.outcome == .timedOut)
            #expect(run.err.contains("release shop-1 is canary after 300ms, not promoted"))
        }
    }

    @Test func aDaemonThatIsAwayForAMomentIsWaitedOut() async throws {
        let control = await shopControl()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let paper = Paper()
            async let run = api.perch("wait", "shop-1", "--timeout", "30s", paper: paper)
            #expect(try await eventually { paper.text.contains("◌ canary") })
            await control.lead(false)
            #expect(try await eventually { await control.waiting == 0 })
            await control.lead(true)
            await control.tell(shop1, "promoted", phase: "promoted", isTerminal: true)
            #expect(await run.outcome == .ok)
        }
    }
}
