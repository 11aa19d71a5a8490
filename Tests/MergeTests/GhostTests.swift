// Goal: the canary's value that comes back after heal is noticed (rewind: section 8). Method: late saves of old forms.

import Merge
import Testing

private let accounts = Names.accounts

@Suite struct GhostTests {
    private func healed() throws -> Story {
        var story = try Story(.shop(rules: ["v": .follow]), [(accounts, "1 - 1 1 a s 1 d")])
        try story.canary(.set(.key(account(1)), [4: Value("c")]), .insert(accounts, row("2 - 1 1 c s 1 d")))
        try story.heal(.set(.key(account(1)), [4: Value("a")]), .delete(.key(account(2))))
        #expect(!story.isTainted)
        return story
    }

    @Test func `a late save brings the canary's value back and is listed`() throws {
        var story = try healed()
        try story.reload()
        try story.stable(.set(.key(account(1)), [2: Value(5)]))
        #expect(story.clone.report.isEmpty)
        try story.stable(.set(.key(account(1)), [4: Value("c")]))
        #expect(story.reasons(account(1)) == ["writeback a"])
        #expect(story.saved(account(1), .writeback) == "1 - 5 1 a s 4 d")
    }

    @Test func `a row that heal removed comes back as a whole`() throws {
        var story = try healed()
        try story.stable(.insert(accounts, row("2 - 9 1 c s 1 d")))
        #expect(story.reasons(account(2)).isEmpty)
        story = try healed()
        try story.stable(.insert(accounts, row("2 - 1 1 c s 1 d")))
        #expect(story.reasons(account(2)).contains("writeback a"))
    }

    @Test func `ghosts go along with a new key, and away with the row, with TRUNCATE and with time`() throws {
        var story = try healed()
        try story.stable(.set(.key(account(1)), [0: Value(7)]))
        try story.stable(.set(.key(account(7)), [4: Value("c")]))
        #expect(story.reasons(account(7)) == ["writeback a"])
        try story.stable(.delete(.key(account(7))))
        #expect(story.clone.state.ghosts.keys.sorted() == [account(2)])
        var engine = story.clone.engine
        let delta = engine.forgetGhosts(healedBefore: story.clone.engine.position)
        #expect(delta.ghostsRemoved == [account(2)])
        story = try healed()
        try story.stable(.truncate([accounts]))
        #expect(story.clone.state.ghosts.isEmpty)
    }
}
