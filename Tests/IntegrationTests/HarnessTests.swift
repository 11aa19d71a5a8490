// Goal: the equation finds what it is there to find. Method: a small ledger, spoilt in one way at a time.

@testable import SystemSupport
import Testing

@Suite struct HarnessTests {
    private static let id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

    /// One session: an acknowledged write of v1, then one of v2.
    private static func ledger(_ spoil: (inout Ledger) -> Void = { _ in }) -> Ledger {
        let entries = [("a", "v1"), ("b", "v2")].map { id, version in
            Entry(
                kind: .write, id: id, session: "s", value: 7, sentAt: .now, settledAt: .now, status: 201,
                version: version, problem: "")
        }
        var ledger = Ledger(
            entries: entries,
            live: LiveData(
                entries: [.init(id: "a", value: 7, version: "v1")], lines: ["a"],
                accounts: [.init(session: "s", last: "a", version: "v1")]),
            quarantine: [], takenBack: ["v2"])
        spoil(&ledger)
        return ledger
    }

    @Test func `a ledger that adds up has no violations`() {
        #expect(Self.ledger().violations == [])
    }

    @Test func `a lost write, a doubled one, a wrong value and a write taken back but live are each found`() {
        let lost = Self.ledger { $0.live.entries = [] }
        let halfLost = Self.ledger { $0.live.lines = [] }
        let doubled = Self.ledger { $0.live.lines = ["a", "a"] }
        let wrong = Self.ledger { $0.live.entries[0].value = 8 }
        let stale = Self.ledger { $0.live.accounts = [] }
        let left = Self.ledger {
            $0.live.entries.append(.init(id: "b", value: 7, version: "v2"))
            $0.live.lines.append("b")
        }
        let carried = Self.ledger { $0.live.accounts[0].version = "v2" }
        let invented = Self.ledger { $0.live.lines.append("c") }
        for spoilt in [lost, halfLost, doubled, wrong, stale, left, carried, invented] {
            #expect(spoilt.violations.count >= 1)
        }
    }
}
