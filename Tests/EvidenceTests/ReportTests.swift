// The report says what happened, in this order and in both forms, and nothing it must not. Method: a full incident.

import Foundation
import Ports
import Releases
import Testing
import Traffic

@testable import Evidence

@Suite struct ReportTests {
    private func full() -> (Incident, Attribution) {
        var incident = incident(samples: [
            sample("ValueError: broken", target: "/orders/4711?token=t0psecret"),
            sample("ValueError: broken", target: "/orders/4712?token=t0psecret"),
            sample("busy", method: "GET", target: "/products", status: 503),
        ])
        incident.build = BuildReference(id: "run 991", url: "https://ci.example/991", artifact: "shop:1.5")
        incident.links = ["pull request": "https://git.example/pull/7"]
        incident.timeline = [.init(at: Instant(millisecondsSince1970: 1_772_366_399_000), text: "canary step 1")]
        incident.output = ["shop-42-canary-1": ["starting", "password=hunter2"]]
        incident.rewind = RewindSummary(
            mode: "swap", stableTransactionsReplayed: 120, changesReplayed: 240, canaryTransactionsKeptOut: 9,
            canaryRowsQuarantined: 18, conflictsQuarantined: 1, tablesVerified: 4, rowsVerified: 3_000,
            heldMilliseconds: 180, previousDatabase: "shop_before_shop_42",
            notUndone: ["a large object was not replayed"])
        incident.recording = RecordingStatus(
            state: .stopped, reason: nil, durableLSN: "0/1", stableTransactions: 120, canaryTransactions: 9,
            canaryRows: 2, journalBytes: 1, heldWALBytes: 0)
        let row: [String: String?] = ["id": "7", "card": "4111", "note": nil]
        incident.quarantine = [
            QuarantinedChange(
                id: 1, reason: .canaryWrite, origin: .canary, table: "public.orders", operation: "insert",
                key: ["id": "7"], row: row, commitLSN: "0/2", xid: 5, committedAt: 1_772_366_400_500, detail: ""),
            QuarantinedChange(
                id: 2, reason: .canaryWrite, origin: .canary, table: "public.orders", operation: "delete",
                key: ["id": "8"], row: nil, commitLSN: "0/3", xid: 6, committedAt: 1_772_366_400_600, detail: ""),
            QuarantinedChange(
                id: 3, reason: .bothWrote, origin: .stable, table: "public.orders", operation: "update",
                key: ["id": "7"], row: row, commitLSN: "0/4", xid: 7, committedAt: 1_772_366_400_700, detail: ""),
        ]
        let frame = FoundFrame(
            format: .python, file: "shop/pricing.py", line: 12, function: "price", depth: 0, requests: 2, traces: 1,
            alternatives: [])
        let clue = Clue(
            commit: id("b"), nearness: .line, frame: frame, file: "shop/pricing.py", text: "    broken()",
            hunk: "@@ -12 +12 @@\n-fine()\n+broken()", note: nil)
        return (
            incident,
            Attribution(
                certainty: .suspected,
                reason: "it last changed shop/pricing.py:12, where 2 of 3 kept failing requests broke",
                suspects: [Suspect(commit: summary(id("b"), "Spring sale"), clues: [clue])],
                commits: [summary(id("b"), "Spring sale"), summary(id("c"), "docs")], missing: [], frames: [frame])
        )
    }

    @Test func theFirstLinesSayWhatWhyWhoAndWhatToDo() {
        let (incident, attribution) = full()
        let text = ReportMarkdown.text(of: ReportDocument(incident, attribution))
        let head = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(15).joined(separator: "\n")
        #expect(
            head == """
                # shop-42: rolled back: failed requests: 12% of 100, the limit is 1%

                - **Why:** failed requests: 12% of 100, the limit is 1%
                - **Judged:** canary 5 of 60, stable 1 of 1140; evidence 15042 against the canary, 100 rolls back (look 17; `perch simulate --release shop-42` judges it again)
                - **Suspected commit:** `bbbbbbbbbb` `Spring sale` by `Ada <ada@example.com>`: it last changed shop/pricing.py:12, where 2 of 3 kept failing requests broke
                - **Exposure:** 1.43 s from the first bad response (2026-03-01T12:00:00.000Z) to share 0 (2026-03-01T12:00:01.430Z)
                - **Data:** 9 transactions of the new version taken out, 120 of stable replayed, 1 conflict in quarantine, 4 tables (3000 rows) verified

                **What to do**

                1. nothing is needed to keep serving: aaaaaaaaaa has all of the traffic
                2. fix or revert bbbbbbbbbb, then release the new commit
                3. decide on 1 change of stable in quarantine, which real users made: `perch quarantine list shop-42`
                4. see whether users miss any of 2 changes of the new version: `perch quarantine list shop-42`

                """)
    }

    @Test func everySectionIsThere() {
        let (incident, attribution) = full()
        let text = ReportMarkdown.text(of: ReportDocument(incident, attribution))
        for part in [
            "3 kept, 3 more failed.", "| 2 | `POST /orders/:id` | `500: 2` |", "| 1 | `GET /products` | `503: 1` |",
            "### `POST /orders/4711?token=[redacted]` → 500", "| `shop/pricing.py:12` | `price` | 2 | 1 |",
            "It last changed the line `shop/pricing.py:12` in `price`, seen in 2 failing requests.",
            "```diff\n@@ -12 +12 @@\n-fine()\n+broken()\n```", "2 new with this release, newest first:",
            "- in quarantine: canaryWrite 2, bothWrote 1", "| `public.orders` | 2 | delete 1, insert 1 |",
            "- 2026-03-01T12:00:00.500Z insert `public.orders` `card=[redacted] id=7 note=null`",
            "- the data as it was: database `shop_before_shop_42`", "## What cannot be undone",
            "- mail, messages and notifications", "- payments and other calls", "- messages it put on queues",
            "- what users read", "- a large object was not replayed", "- 2026-03-01T11:59:59.000Z canary step 1",
            "- build: [run 991](<https://ci.example/991>)", "- artifact: `shop:1.5`",
            "- [pull request](<https://git.example/pull/7>)",
        ] {
            #expect(text.contains(part), "\(part) is missing in:\n\(text)")
        }
    }

    @Test func theJSONHasTheDocumentedKeysAndReadsBack() throws {
        let (incident, attribution) = full()
        let document = ReportDocument(incident, attribution)
        #expect(try decoded(document.json) == document)
        let object = try JSONSerialization.jsonObject(with: Data(document.json.utf8)) as? [String: Any]
        #expect(
            object?.keys.sorted() == [
                "attribution", "build", "canary", "data", "exposure", "failing_requests", "format", "frames",
                "judgement", "links", "not_undone", "outcome", "output", "release", "service", "stable", "suspects",
                "timeline", "what_to_do",
                "why",
            ])
        let exposure = object?["exposure"] as? [String: Any]
        #expect(exposure?["seconds"] as? Double == 1.43)
        let requests = object?["failing_requests"] as? [String: Any]
        #expect(requests?.keys.sorted() == ["by_route", "kept", "not_kept", "requests"])
        // Names from outside are keys as they are.
        #expect(document.json.contains("\"pull request\" : \"https://git.example/pull/7\""))
        let suspects = object?["suspects"] as? [[String: Any]]
        #expect((suspects?.first?["commit"] as? [String: Any])?["id"] as? String == id("b").rawValue)
    }

    @Test func redactedValuesAreInNeitherForm() {
        let (incident, attribution) = full()
        let document = ReportDocument(incident, attribution)
        for secret in ["hunter2", "4111", "s3cret", "t0psecret"] {
            #expect(!document.json.contains(secret))
            #expect(!ReportMarkdown.text(of: document).contains(secret))
        }
    }

    @Test func whatABodyASubjectOrAPathHoldsIsNotMarkup() {
        let evil =
            "</code>\n```\n<script>alert(1)</script> [x](javascript:alert(1)) | `` @everyone\n# shop-42: promoted"
        var incident = incident(
            samples: [sample(evil, method: "GET", target: "/<script>|`x`")], output: ["shop-42-canary-1": [evil]])
        incident.outcome = evil
        incident.why = [evil]
        incident.advice = [evil]
        incident.links = [evil: "javascript:alert(1)"]
        incident.timeline = [.init(at: Instant(millisecondsSince1970: 0), text: evil)]
        let attribution = Attribution(
            certainty: .certain, reason: evil, suspects: [Suspect(commit: summary(id("b"), evil), clues: [])],
            commits: [summary(id("b"), evil)], missing: [], frames: [])
        let text = ReportMarkdown.text(of: ReportDocument(incident, attribution))

        // Outside of code blocks and spans no tag, link or mention is left, and no heading that is not ours.
        var fence: Substring?
        var headings: [Substring] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let open = fence {
                if line == open { fence = nil }
                continue
            }
            if line.hasPrefix("```") {
                fence = line.prefix { $0 == "`" }
                continue
            }
            if line.hasPrefix("#") { headings.append(line) }
            let plain = withoutSpans(line)
            #expect(!plain.contains("<script"), "\(line)")
            #expect(!plain.contains("](javascript"), "\(line)")
            #expect(!plain.contains("@everyone"), "\(line)")
        }
        #expect(fence == nil)
        #expect(headings.filter { $0.hasPrefix("# ") }.count == 1)
        #expect(
            headings.filter { $0.hasPrefix("## ") } == [
                "## Failing requests", "## Commits", "## What cannot be undone", "## Timeline", "## Output",
                "## Where it came from",
            ])
    }

    /// The line without its code spans, by CommonMark's rule: as many backticks end a span as began it, and a backslash
    /// before one outside of a span escapes it.
    private func withoutSpans(_ line: Substring) -> String {
        var plain = ""
        var rest = line
        while let character = rest.first {
            if character == "\\" {
                rest = rest.dropFirst(2)
            } else if character == "`" {
                let ticks = rest.prefix { $0 == "`" }
                rest = rest.dropFirst(ticks.count)
                var candidate = rest
                var isClosed = false
                while let next = candidate.firstIndex(of: "`") {
                    let run = candidate[next...].prefix { $0 == "`" }
                    candidate = candidate[run.endIndex...]
                    if run.count == ticks.count {
                        rest = candidate
                        isClosed = true
                        break
                    }
                }
                if !isClosed { plain += ticks }
            } else {
                plain.append(character)
                rest = rest.dropFirst()
            }
        }
        return plain
    }

    @Test func aHaltedReleaseBeginsWithTheControllersAdvice() {
        var incident = incident()
        incident.outcome = "halted: the replay found a gap"
        incident.why = [""]
        incident.advice = ["live data is untouched", "run `perch rollback shop --keep-data` to bring back the code"]
        let text = ReportMarkdown.text(of: ReportDocument(incident, .unknown("nothing to compare")))
        #expect(text.hasPrefix("# shop-42: halted: the replay found a gap\n\n- **Why:** no verdict was reached\n"))
        #expect(
            text.contains(
                """
                1. live data is untouched
                2. run `perch rollback shop --keep-data` to bring back the code
                3. look at
                """))
    }

    @Test(arguments: [
        ("/orders/4711/lines?x=1", "/orders/:id/lines"), ("/", "/"),
        ("/users/6f1c2a9e-77aa-4f00-9b1e-0123456789ab", "/users/:id"),
        ("/v2/decade", "/v2/decade"), ("/a//1#x", "/a//:id"),
    ])
    func routesHaveNoIDs(_ target: String, _ route: String) {
        #expect(ReportDocument.FailingRequests.route(of: target) == route)
    }
}
