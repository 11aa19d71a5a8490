// Goal: what people see, character by character. Method: golden texts of documents made by hand.

import Analysis
import ControlModel
import ControlSupport
import Releases
import Testing

@testable import PerchCLI

private let colorless = Style(isColored: false)

private func counts(_ requests: UInt64, _ failed: UInt64, microseconds: UInt64) -> VersionLine {
    var counts = VersionCounts()
    counts.requests = requests
    counts.statusClasses[4] = failed
    counts.latency.record(microseconds: microseconds, count: requests)
    return VersionLine(counts)
}

func fullDetail() -> ReleaseDetail {
    var detail = sampleDetail(ReleaseID("shop-42")!)
    detail.summary.message = "watching the canary at 5%"
    detail.currentStep = 1
    detail.steps = ["1% for 2m", "5% for 5m", "approve"]
    detail.build = BuildReference(id: "4711", url: "https://ci.test/4711", artifact: "shop.tar")
    detail.links = ["pull request": "https://git.test/7", "chat": "https://chat.test"]
    detail.requestedBy = "github:deployment"
    detail.comparison = Comparison(
        stable: counts(12_034, 3, microseconds: 12_000), canary: counts(633, 41, microseconds: 1_500_000),
        verdict: "fail", why: ["6.48% of 633 requests failed, more than 1%", "p99 1.5s is above 400ms"])
    detail.data = DataLine(
        snapshotLSN: "0/16B3748", recording: "recording", durableLSN: "0/17AA000", stableTransactions: 812,
        canaryTransactions: 1, canaryRows: 57, heldWALBytes: 12 << 20, reason: nil)
    detail.instances = [
        InstanceLine(
            name: "shop-stable-1", arm: .stable, commit: detail.summary.stable!, address: "127.0.0.1:9000"),
        InstanceLine(name: "shop-canary", arm: .canary, commit: detail.summary.commit, address: "127.0.0.1:9001"),
    ]
    detail.events = (1...12).map { EventLine(sequence: $0, at: "2026-08-01T10:00:\($0 + 10)Z", text: "event \($0)") }
    detail.allowed = ["promote", "abort", "rollback"]
    return detail
}

@Suite struct RenderingTests {
    @Test func aReleaseInItsCanary() {
        #expect(
            ReleaseView(detail: fullDetail(), style: colorless, mostEvents: 2).lines.joined(separator: "\n") == """
                Release:   shop-42
                Status:    ◌ canary
                Message:   watching the canary at 5%
                Share:     5%
                Commits:   bbbbbbbbbb (canary)
                           aaaaaaaaaa (stable)
                Build:     4711  https://ci.test/4711
                Artifact:  shop.tar
                Links:     chat  https://chat.test
                           pull request  https://git.test/7
                Accepted:  2026-08-01T10:00:00Z from github:deployment
                Updated:   2026-08-01T10:01:00Z
                Deadline:  2026-08-01T10:10:00Z for this phase
                Possible:  perch promote shop-42, perch abort shop-42, perch rollback shop

                STEPS
                  ✔ 1  1% for 2m
                  ▶ 2  5% for 5m
                  · 3  approve

                THIS STEP       N      FAILED  5XX     P50     P95     P99
                stable     12 034   3 (0.02%)    3  12.6ms  12.6ms  12.6ms
                canary        633  41 (6.48%)   41   1.62s   1.62s   1.62s
                Verdict:  ✖ fail
                Why:      6.48% of 633 requests failed, more than 1%
                          p99 1.5s is above 400ms

                Snapshot:   at 0/16B3748
                Recording:  recording, on disk to 0/17AA000
                Writes:     812 transactions of stable, 1 transaction of canary (57 rows)
                WAL held:   12.0 MiB

                INSTANCE       ARM     COMMIT      ADDRESS
                shop-stable-1  stable  aaaaaaaaaa  127.0.0.1:9000
                shop-canary    canary  bbbbbbbbbb  127.0.0.1:9001

                EVENTS
                  2026-08-01T10:00:21Z  event 11
                  2026-08-01T10:00:22Z  event 12
                """)
    }

    @Test func aReleaseThatHasJustBegunShowsNoEmptyParts() {
        var detail = sampleDetail(ReleaseID("shop-1")!, phase: "accepted")
        detail.summary.share = .none
        detail.summary.deadline = nil
        detail.summary.stable = nil
        detail.steps = []
        detail.events = []
        detail.allowed = []
        #expect(
            ReleaseView(detail: detail, style: colorless).lines.joined(separator: "\n") == """
                Release:   shop-1
                Status:    ◌ accepted
                Message:   the canary serves 5%
                Share:     0%
                Commits:   bbbbbbbbbb (canary)
                Accepted:  2026-08-01T10:00:00Z from webhook
                Updated:   2026-08-01T10:01:00Z
                """)
    }

    @Test func stepsOfAPromotedReleaseAreAllDoneAndThoseOfOneRolledBackAreNot() {
        var detail = sampleDetail(ReleaseID("shop-1")!, phase: "promoted")
        detail.currentStep = nil
        #expect(ReleaseView(detail: detail, style: colorless).lines.contains("  ✔ 3  50% for 5m"))
        detail.summary.phase = "rolled-back"
        #expect(ReleaseView(detail: detail, style: colorless).lines.contains("  · 1  5% for 2m"))
    }

    @Test func colorsChangeNothingButColors() {
        let colored = ReleaseView(detail: fullDetail(), style: Style(isColored: true)).lines
        let bare = colored.map { line in line.replacing(/\u{1B}\[[0-9]*m/, with: "") }
        #expect(bare == ReleaseView(detail: fullDetail(), style: colorless).lines)
        #expect(colored != bare)
    }

    @Test func servicesAreATable() {
        let service = ServiceName(rawValue: "shop")!
        let commit = CommitID(rawValue: String(repeating: "a", count: 40))
        let active = sampleDetail(ReleaseID("shop-1")!).summary
        let busy = ServiceStatus(
            service: service, stable: commit, listen: "127.0.0.1:8080", active: active, queued: [active], last: nil)
        let idle = ServiceStatus(
            service: ServiceName(rawValue: "mailer")!, stable: nil, listen: "127.0.0.1:8081", active: nil, queued: [],
            last: nil)
        #expect(
            servicesText([busy, idle], colorless).joined(separator: "\n") == """
                SERVICE  STABLE      RELEASE  STATUS    SHARE  QUEUED  MESSAGE
                shop     aaaaaaaaaa  shop-1   ◌ canary  5%     1       the canary serves 5%
                mailer   -           -        -         -      -
                """)
        #expect(
            serviceText(busy, colorless).joined(separator: "\n") == """
                Service:  shop
                Stable:   aaaaaaaaaa
                Listens:  127.0.0.1:8080
                Active:   shop-1  ◌ canary  bbbbbbbbbb  the canary serves 5%
                Queued:   shop-1  ◌ canary  bbbbbbbbbb  the canary serves 5%
                """)
    }

    @Test func quarantinedChangesAreATableAndShownSideBySide() {
        let change = QuarantineLine(
            id: 7, reason: "held", origin: "stable", table: "public.orders", operation: "UPDATE", key: ["id": "9"],
            column: "state", row: ["id": "9", "state": "sent"],
            before: SideLine(isThere: true, row: ["id": "9", "state": "open", "note": nil]),
            canary: SideLine(isThere: true, row: ["id": "9", "state": "paid", "note": nil]),
            stable: SideLine(isThere: true, row: ["id": "9", "state": "sent"]), now: SideLine(isThere: false, row: nil),
            differing: ["state"], commitLSN: "0/16B3748", xid: 815, committedAt: "2026-08-01T10:00:00Z",
            detail: "both changed it", isOpen: true, count: 2)
        var decided = change
        decided.isOpen = false
        decided.decision = DecisionLine(
            how: "applied", side: "canary", person: "alice", reason: nil, at: "2026-08-02T10:00:00Z")
        #expect(
            quarantineText([change, decided], colorless).joined(separator: "\n") == """
                ID  KIND      REASON  CHANGE  TABLE          KEY   COLUMN  COMMITTED AT  DECISION
                 7  conflict  held    UPDATE  public.orders  id=9  state   0/16B3748     open
                 7  conflict  held    UPDATE  public.orders  id=9  state   0/16B3748     applied canary by alice
                """)
        #expect(
            quarantineDetail(change, colorless).joined(separator: "\n") == """
                Change:     7  UPDATE of public.orders
                Kind:       conflict
                Reason:     held: both changed it
                Committed:  2026-08-01T10:00:00Z at 0/16B3748, transaction 815
                Key:        id=9
                Decision:   open
                Writes:     2; this is the last
                   COLUMN  BEFORE  CANARY'S  STABLE'S  NOW
                   id      9       9         9         (no row)
                   note    null    null      -         (no row)
                *  state   open    paid      sent      (no row)
                """)
    }

    @Test func openDecisionsAreShownWithTheRelease() {
        var detail = fullDetail()
        detail.data?.decisionsOpen = 2
        let line = "Open:       2 decisions: `perch quarantine list shop-42 --open`"
        #expect(ReleaseView(detail: detail, style: colorless).lines.contains(line))
    }

    @Test func aDecisionSaysWhatItWrote() {
        let result = DecisionResult(
            release: shop1, items: [7, 8, 9], dryRun: false,
            writes: [
                .init(
                    operation: "update", table: "public.orders", key: ["id": "9"],
                    from: ["id": "9", "state": "open", "note": nil], to: ["id": "9", "state": nil, "note": "x"]),
                .init(operation: "insert", table: "public.lines", key: ["id": "1"], from: nil, to: ["id": "1"]),
                .init(operation: "delete", table: "public.lines", key: ["id": "2"], from: ["id": "2"], to: nil),
            ])
        #expect(
            decisionText(result, "applied", colorless) == [
                "~ public.orders  id=9  note: null -> x, state: open -> null", "+ public.lines  id=1  id: 1",
                "- public.lines  id=2  deleted", "applied 3 entries of shop-1",
            ])
        let none = DecisionResult(release: shop1, items: [7], dryRun: false, writes: [])
        #expect(decisionText(none, "applied", colorless) == ["applied 1 entry of shop-1: the rows were so already"])
        #expect(decisionText(none, "discarded", colorless) == ["discarded 1 entry of shop-1"])
    }

    @Test func nothingFromElsewhereReachesTheTerminalAsACommand() {
        var detail = fullDetail()
        let evil = "x\u{1B}]0;owned\u{07}\u{9B}2J\u{202E}y\r\nz"
        detail.summary.message = evil
        detail.links = [evil: evil]
        detail.events = [EventLine(sequence: 1, at: evil, text: evil)]
        detail.comparison?.why = [evil]
        let text = ReleaseView(detail: detail, style: colorless).lines.joined(separator: "|")
        for scalar in text.unicodeScalars {
            #expect(scalar.properties.generalCategory != .control && scalar != "\u{202E}")
        }
    }

    @Test(arguments: [
        (nil, "-"), (0.0, "0us"), (0.8504, "850us"), (12.34, "12.3ms"), (999.96, "1000.0ms"), (2_414, "2.41s"),
        (Double.nan, "-"),
    ]) func latenciesHaveAUnitThatFits(_ milliseconds: Double?, _ text: String) {
        #expect(latency(milliseconds: milliseconds) == text)
    }

    @Test func countsSharesAndSizes() {
        #expect(grouped(0) == "0" && grouped(999) == "999" && grouped(1_234_567) == "1 234 567")
        #expect(failures(0, of: 0) == "0" && failures(1, of: 3) == "1 (33.33%)")
        #expect(
            bytes(0) == "0 B" && bytes(-5) == "0 B" && bytes(1_536) == "1.5 KiB" && bytes(Int64.max) == "8388608.0 TiB")
        #expect(
            fixed(-0.004, digits: 2) == "0.00" && fixed(-0.5, digits: 1) == "-0.5" && fixed(2.005, digits: 0) == "2")
    }

    @Test func linesAreClippedToTheScreenWithoutCuttingColors() {
        #expect(clipped("hello", to: 5) == "hello")
        #expect(clipped("hello!", to: 5) == "hell…")
        #expect(clipped("\u{1B}[31mhello!\u{1B}[0m", to: 5) == "\u{1B}[31mhell…\u{1B}[0m")
        #expect(width("\u{1B}[31mhello!\u{1B}[0m") == 6)
    }

    @Test func aFrameIsDrawnOverTheOneBefore() {
        var redraw = Redraw()
        #expect(redraw.frame(["a", "b"], columns: 80, rows: 24) == "a\u{1B}[K\nb\u{1B}[K\n\u{1B}[J")
        #expect(redraw.frame(["a", "b"], columns: 80, rows: 24) == "", "nothing changed")
        #expect(redraw.frame(["c"], columns: 80, rows: 24) == "\u{1B}[2Fc\u{1B}[K\n\u{1B}[J")
        let tall = redraw.frame(Array(repeating: "x", count: 100), columns: 80, rows: 24)
        #expect(tall.split(separator: "\n").count == 24, "one line is left for the cursor")
    }
}
