// Goal: what the API writes is what the CLI reads, with the names docs/api.md promises. Method: every document there and back.

import Analysis
import ControlModel
import ControlSupport
import Releases
import Testing

@Suite struct DocumentTests {
    private func roundTrip<Document: Codable & Equatable>(_ document: Document) throws -> Bool {
        try ControlJSON.decode(Document.self, from: try ControlJSON.encode(document).utf8) == document
    }

    private var fullDetail: ReleaseDetail {
        var detail = sampleDetail(ReleaseID("shop-1")!)
        var counts = VersionCounts()
        counts.requests = 10
        counts.statusClasses[4] = 2
        counts.latency.record(microseconds: 12_000, count: 10)
        detail.comparison = Comparison(
            stable: VersionLine(counts), canary: VersionLine(VersionCounts()), verdict: "hold", why: ["no data"])
        detail.data = DataLine(
            snapshotLSN: "0/16B3748", recording: "recording", durableLSN: "0/16B3750", stableTransactions: 3,
            canaryTransactions: 1, canaryRows: 2, heldWALBytes: 1 << 20, reason: nil)
        detail.build = BuildReference(id: "4711", url: "https://ci.test/4711", artifact: nil)
        detail.links = ["Pull_Request": "https://git.test/1", "runBook": "https://wiki.test"]
        detail.instances = [
            InstanceLine(name: "shop-canary-1", arm: .canary, commit: detail.summary.commit, address: "127.0.0.1:9001")
        ]
        return detail
    }

    @Test func everyDocumentIsReadAsItWasWritten() throws {
        #expect(try roundTrip(fullDetail))
        #expect(try roundTrip(RollbackRequest(data: nil, reason: nil)))
        #expect(try roundTrip(EventList(events: fullDetail.events, last: 1)))
        #expect(try roundTrip(Accepted(release: ReleaseID("shop-1")!, url: "u", duplicate: true, notice: "n")))
        var problem = Problem(.conflict, "no", hint: "h", place: "/x", release: ReleaseID("shop-1")!, retryAfter: 5)
        problem.instance = "urn:perch:request:1"
        #expect(try roundTrip(problem))
        #expect(problem.kind == .conflict)
    }

    @Test func namesAreWordsJoinedByUnderscores() throws {
        let json = try ControlJSON.encode(fullDetail)
        for name in [
            "snapshot_lsn", "held_wal_bytes", "durable_lsn", "accepted_at", "is_terminal", "current_step", "status5xx",
            "p99", "canary_transactions", "has_report", "requested_by",
        ] {
            #expect(json.contains("\"\(name)\":"), "\(name)")
        }
        #expect(json.contains("\"Pull_Request\":") && json.contains("\"runBook\":"), "keys of maps stay as they are")
        #expect(!json.contains("null"))
    }

    @Test(arguments: Problem.Kind.allCases) func everyProblemSaysWhatItIs(_ kind: Problem.Kind) {
        let problem = Problem(kind, "detail")
        #expect((400..<600).contains(problem.status))
        #expect(problem.type == "urn:perch:problem:\(kind.rawValue)" && !problem.title.isEmpty)
    }
}
