// Goal: what the clone gets, column by column (rewind: section 3). Method: one modified row under each rule; sums against
// machine arithmetic.

import Merge
import Testing

@testable import struct Merge.Schema

private let accounts = Names.accounts

@Suite struct ColumnMergeTests {
    /// Account 1 with n = 1, m = 1 in the clone; the canary made it n = 4, a = c in live.
    private func story(_ rules: [String: ColumnRule], hasChecks: Bool = false) throws -> Story {
        var story = try Story(
            .shop(rules: rules, hasChecks: hasChecks), [(accounts, "1 - 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [2: Value(4), 4: Value("c")]))
        return story
    }

    @Test func `a column stable leaves alone keeps the clone's value and is noted when it differs`() throws {
        var story = try story([:])
        try story.stable(.set(.key(account(1)), [3: Value(5)]))
        #expect(story.own(account(1)) == "1 - 1 5 a s 1 d")
        #expect(story.reasons(account(1)) == ["kept n", "kept a"] && !story.isOpen(account(1)))
    }

    @Test func `overwrite takes stable's value`() throws {
        var story = try story([:])
        try story.stable(.set(.key(account(1)), [2: Value(9)]))
        #expect(story.own(account(1)) == "1 - 9 1 a s 1 d")
        #expect(story.reasons(account(1)) == ["overwritten n", "kept a"])
        #expect(story.saved(account(1), .overwritten) == "1 - 1 1 a s 1 d")
    }

    @Test func `add moves the clone's value by stable's difference`() throws {
        var story = try story(["n": .add])
        try story.stable(.increment(.key(account(1)), 2, by: 5))
        #expect(story.lives(account(1)) == "1 - 9 1 c s 1 d")
        #expect(story.own(account(1)) == "1 - 6 1 a s 1 d")
        #expect(story.reasons(account(1)) == ["added n", "kept a"])
    }

    @Test func `add of a NULL takes stable's value and is open`() throws {
        var story = try story(["n": .add])
        try story.stable(.set(.key(account(1)), [2: .null]))
        #expect(story.own(account(1)) == "1 - - 1 a s 1 d")
        #expect(story.reasons(account(1)) == ["add_impossible n", "kept a"] && story.isOpen(account(1)))
    }

    @Test func `hold takes stable's value of the column only and is open`() throws {
        var story = try story(["n": .hold])
        try story.stable(.set(.key(account(1)), [2: Value(9)]))
        #expect(story.own(account(1)) == "1 - 9 1 a s 1 d" && story.isOpen(account(1)))
        #expect(story.reasons(account(1)) == ["held n", "kept a"])
    }

    @Test func `stamp takes stable's value without a word`() throws {
        var story = try story(["n": .stamp, "a": .stamp])
        try story.stable(.set(.key(account(1)), [2: Value(9), 4: Value("z")]))
        #expect(story.own(account(1)) == "1 - 9 1 z s 1 d" && story.clone.report.isEmpty && !story.isTainted)
    }

    @Test func `follow is live's value whoever wrote it, and never taints`() throws {
        var story = try Story(.shop(rules: ["v": .follow]), [(accounts, "1 - 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [6: Value(8)]))
        #expect(story.own(account(1)) == "1 - 1 1 a s 8 d" && !story.isTainted)
        try story.canary(.set(.key(account(1)), [2: Value(5)]))
        #expect(story.own(account(1)) == "1 - 1 1 a s 9 d" && story.isTainted)
        try story.stable(.set(.key(account(1)), [4: Value("b")]))
        #expect(story.own(account(1)) == "1 - 1 1 b s 10 d")
        try story.heal(.set(.key(account(1)), [2: Value(1), 6: Value(11)]))
        #expect(story.own(account(1)) == "1 - 1 1 b s 11 d" && !story.isTainted)
    }

    @Test func `stable's write of the value that is there is invisible and noted`() throws {
        var story = try story([:])
        try story.stable(.set(.key(account(1)), [4: Value("c")]))
        #expect(story.own(account(1)) == "1 - 1 1 a s 1 d")
        #expect(story.reasons(account(1)) == ["kept n", "kept a"])
    }

    @Test func `a row that breaks a CHECK after the merge takes live's`() throws {
        // n + m <= 9: live has 0 + 9, the clone would have 5 + 9.
        var story = try Story(.shop(hasChecks: true), [(accounts, "1 - 5 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [2: Value(0)]))
        try story.stable(.set(.key(account(1)), [3: Value(9)]))
        #expect(story.own(account(1)) == "1 - 0 9 a s 1 d")
        #expect(story.reasons(account(1)) == ["kept n", "check"] && story.isOpen(account(1)))
        #expect(story.saved(account(1), .check) == "1 - 5 9 a s 1 d")
    }

    @Test func `a value that was not sent is live's own, through key changes too`() throws {
        let long = String(repeating: "long", count: 10)
        var story = try Story(
            .shop(), [(accounts, "1 - 1 1 a s 1 \(long)"), (accounts, "2 - 1 1 a s 1 \(long)2")])
        try story.canary(.set(.key(account(1)), [2: Value(4)]))
        try story.stable(.set(.key(account(1)), [3: Value(2)]))
        #expect(story.own(account(1)) == "1 - 1 2 a s 1 \(long)")
        try story.canary(.set(.key(account(1)), [7: Value("other")]))
        try story.stable(.set(.key(account(1)), [0: Value(5)]), .set(.key(account(2)), [0: Value(6)]))
        #expect(story.lives(account(5)) == "5 - 4 2 a s 1 other")
        #expect(story.own(account(5)) == "5 - 1 2 a s 1 \(long)")
        #expect(story.own(account(6)) == "6 - 1 1 a s 1 \(long)2")
    }

    @Test func `a value that was not sent is not asked for where nothing needs it`() throws {
        var story = try Story(.shop(), [(Names.log, "- a d"), (Names.orders, "1 - 1 1 a long")])
        try story.stable(.set(.key(logLine("- a d")), [1: Value("b")]))
        #expect(story.copies("- b d") == 1)
        // Orders have a second unique index, so the row before is looked at once.
        try story.stable(.set(.key(order(1)), [4: Value("b")]))
        #expect(story.own(order(1)) == "1 - 1 1 b long" && story.clone.rounds == 1)
    }

    // MARK: Sums

    private func sum(_ addition: Addition, _ clone: String, _ new: String, _ base: String) throws -> String? {
        let id = TableID(rawValue: 1)
        let table = TableSchema(
            id: id, name: "t", columns: [.init(name: "id"), .init(name: "x", addition: addition)], key: [0])
        let schema = try Schema([table], rules: [id: ["x": .add]])
        var engine = MergeEngine(schema: schema)
        var answers = Answers()
        answers.add([Value("1"), Value(clone)], for: RowID(table: id, key: [Value("1")]))
        var last: NetBatch?
        for (lsn, origin, value) in [(1 as UInt64, Origin.canary, base), (2, .stable, new)] {
            let source = SourceTransaction(
                xid: 1, commitLSN: lsn, endLSN: lsn, origin: origin,
                changes: [.update(id, old: nil, new: [Value("1"), Value(value)])])
            guard case .done(let net) = try engine.merge([source], answers) else { return "asked" }
            engine.commit(net)
            last = net
        }
        let net = try #require(last)
        if net.state.findings.contains(where: { $0.reason == .addImpossible }) { return nil }
        return net.tables.first?.updates.first?.values[1].string ?? clone
    }

    @Test func `whole numbers are added within their type`() throws {
        #expect(try sum(.integer(bits: 32), "10", "7", "4") == "13")
        #expect(try sum(.integer(bits: 32), "-10", "-7", "4") == "-21")
        #expect(try sum(.integer(bits: 16), "32767", "1", "0") == nil)
        #expect(try sum(.integer(bits: 16), "-32768", "-1", "0") == nil)
        #expect(try sum(.integer(bits: 64), "9223372036854775807", "0", "1") == "9223372036854775806")
        #expect(try sum(.integer(bits: 64), "9223372036854775807", "1", "0") == nil)
        #expect(try sum(.integer(bits: 64), "1", "9223372036854775807", "-9223372036854775808") == nil)
        #expect(try sum(.integer(bits: 32), "1", "x", "0") == nil)
    }

    @Test func `decimal numbers are added exactly`() throws {
        #expect(try sum(.decimal(integerDigits: nil), "0.1", "0.3", "0.2") == "0.2")
        #expect(
            try sum(.decimal(integerDigits: nil), "99999999999999999999.99", "0.01", "0") == "100000000000000000000.00")
        #expect(try sum(.decimal(integerDigits: nil), "1", "0", "2.50") == "-1.50")
        #expect(try sum(.decimal(integerDigits: nil), "-1.5", "3", "1.5") == "0.0")
        #expect(try sum(.decimal(integerDigits: 2), "99.5", "0.6", "0.1") == nil)
        #expect(try sum(.decimal(integerDigits: 2), "99.5", "0.5", "0.1") == "99.9")
        #expect(try sum(.decimal(integerDigits: 0), "0.5", "0.6", "0.2") == "0.9")
        #expect(try sum(.decimal(integerDigits: nil), "1", "NaN", "2") == nil)
        #expect(try sum(.decimal(integerDigits: nil), "1", "Infinity", "2") == nil)
    }

    @Test func `sums of random decimals are those of whole numbers`() throws {
        var random = SeededGenerator(seed: 7)
        func text(_ number: Int) -> String {
            let digits = String(abs(number))
            let padded = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            return (number < 0 ? "-" : "") + padded.dropLast(3) + "." + padded.suffix(3)
        }
        for _ in 0..<300 {
            let (clone, new) = (random.below(2_000_000) - 1_000_000, random.below(2_000_000) - 1_000_000)
            var base = random.below(2_000_000) - 1_000_000
            if base == clone { base += 1 }
            if base == new { continue }
            let expected = text(clone + new - base)
            #expect(try sum(.decimal(integerDigits: nil), text(clone), text(new), text(base)) == expected)
        }
    }
}
