// The commit behind a failure is named when it can be, and not when it cannot. Method: real repositories.

import Ports
import Releases
import Testing
import Traffic

@testable import Evidence

private let pricing = """
    def price(product):
        base = product["price"]
        return base


    def tax(amount):
        rate = 0.2
        return amount * rate

    """

private let server = """
    import pricing

    def handle(product):
        return pricing.price(product)

    """

@Suite struct AttributionTests {
    @Test func ofThreeCommitsTheOneThatLastChangedTheLineIsSuspected() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["shop/pricing.py": pricing, "shop/server.py": server])
            try await repository.commit("docs", ["README": "docs"])
            let bad = try await repository.commit(
                "Spring sale",
                ["shop/pricing.py": pricing.replacing("base = product[\"price\"]", with: "base = product[\"sale\"]")])
            let canary = try await repository.commit(
                "more tax",
                [
                    "shop/pricing.py": pricing.replacing("base = product[\"price\"]", with: "base = product[\"sale\"]")
                        .replacing("0.2", with: "0.25")
                ])
            let body = traceback("shop/pricing.py", 2, in: "price")
            let report = try await repository.report(
                stable, canary, [sample(body), sample(body), sample("busy", status: 503)])

            #expect(report.attribution.certainty == "suspected")
            #expect(
                report.attribution.reason
                    == "it last changed shop/pricing.py:2, where 2 of 3 kept failing requests broke")
            let first = try #require(report.suspects.first)
            #expect(first.commit.id == bad.rawValue && first.commit.subject == "Spring sale")
            let evidence = try #require(first.evidence.first)
            #expect(evidence.touched == "line" && evidence.place == "shop/pricing.py:2" && evidence.function == "price")
            #expect(evidence.text == "    base = product[\"sale\"]")
            #expect(evidence.diff?.contains("-    base = product[\"price\"]\n+    base = product[\"sale\"]") == true)
            // Who changed only the other function of the file comes after.
            #expect(report.suspects.map(\.commit.id) == [bad.rawValue, canary.rawValue])
            #expect(report.suspects[1].evidence.map(\.touched) == ["file"])
            #expect(report.attribution.commits.map(\.subject) == ["more tax", "Spring sale", "docs"])
        }
    }

    @Test func theOnlyCommitOfARangeIsCertainWithoutAnyFrame() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["a.py": "a"])
            let canary = try await repository.commit("only", ["a.py": "b"])
            let report = try await repository.report(stable, canary, [sample("no")])
            #expect(report.attribution.certainty == "certain")
            #expect(report.attribution.reason == "it is the only commit in \(stable.short)..\(canary.short)")
            #expect(report.suspects.map(\.commit.id) == [canary.rawValue])
            #expect(report.suspects[0].evidence.isEmpty)
        }
    }

    @Test func aMergeOfOneCommitIsThatCommit() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["a.py": "a"])
            try await repository.git("checkout", "--quiet", "-b", "side")
            let only = try await repository.commit("only", ["a.py": "b"])
            try await repository.git("checkout", "--quiet", "main")
            try await repository.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
            let report = try await repository.report(stable, try await repository.head(), [sample("no")])
            #expect(report.attribution.certainty == "certain")
            #expect(report.suspects.map(\.commit.id) == [only.rawValue])
            #expect(report.attribution.commits.count == 2)
        }
    }

    @Test func withoutFramesNobodyOfManyIsNamed() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["a.py": "a"])
            try await repository.commit("one", ["a.py": "b"])
            let canary = try await repository.commit("two", ["a.py": "c"])
            let report = try await repository.report(stable, canary, [sample("internal error")])
            #expect(report.attribution.certainty == "unknown")
            #expect(report.suspects.isEmpty)
            #expect(
                report.attribution.reason
                    == "no stack frame of the repository is in the failing responses or the output, so which of the "
                    + "2 commits in \(stable.short)..\(canary.short) it was is not known")
        }
    }

    @Test func framesThatNobodyTouchedNameNobody() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["shop/pricing.py": pricing])
            try await repository.commit("one", ["a.py": "b"])
            let canary = try await repository.commit("two", ["b.py": "c"])
            let report = try await repository.report(
                stable, canary, [sample(traceback("shop/pricing.py", 2, in: "price"))])
            #expect(report.attribution.certainty == "unknown" && report.suspects.isEmpty)
            #expect(report.attribution.reason.hasPrefix("none of the 2 commits in"))
            #expect(report.frames.map(\.file) == ["shop/pricing.py"])
        }
    }

    @Test func aDeletionInTheFunctionIsFoundThoughNoLineIsLeftToBlame() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["shop/pricing.py": pricing])
            let bad = try await repository.commit(
                "tidy", ["shop/pricing.py": pricing.replacing("    base = product[\"price\"]\n", with: "")])
            let canary = try await repository.commit("docs", ["README": "x"])
            let report = try await repository.report(
                stable, canary, [sample(traceback("shop/pricing.py", 2, in: "price"))])
            #expect(report.suspects.map(\.commit.id) == [bad.rawValue])
            #expect(report.suspects[0].evidence[0].touched == "function")
            #expect(
                report.attribution.reason.hasPrefix("it changed lines in price around shop/pricing.py:2, where 1 of 1"))
        }
    }

    @Test func whoOnlyFormattedComesAfterWhoWroteTheLine() async throws {
        try await Repository.with { repository in
            let js = "function price(p) {\n  return p.price;\n}\n"
            let stable = try await repository.commit("base", ["price.js": js])
            let bad = try await repository.commit("bad", ["price.js": js.replacing("p.price", with: "p.sale.price")])
            let canary = try await repository.commit(
                "format", ["price.js": "function price(p) {\n        return p.sale.price;\n}\n"])
            let trace = "TypeError: x\n    at price (/app/price.js:2:19)\n"
            let report = try await repository.report(stable, canary, [sample(trace)])
            #expect(report.suspects.map(\.commit.id) == [bad.rawValue, canary.rawValue])
            #expect(
                report.suspects[1].evidence[0].note == "it changed only the line's white space, or formatted it")
        }
    }

    @Test func aCrashInTheOutputIsEnough() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["shop/server.py": server])
            let bad = try await repository.commit("bad", ["shop/server.py": "import pricing2\n" + server.dropFirst(15)])
            let canary = try await repository.commit("docs", ["README": "x"])
            let output = [
                "Traceback (most recent call last):",
                "  File \"/data/checkouts/shop/\(canary)/shop/server.py\", line 1, in <module>", "    import pricing2",
                "ModuleNotFoundError: No module named 'pricing2'",
            ]
            let report = try await repository.report(stable, canary, [], output: ["shop-42-canary-1": output])
            #expect(report.suspects.map(\.commit.id) == [bad.rawValue])
            #expect(report.attribution.reason == "it last changed shop/server.py:1, where a trace in the output broke")
        }
    }

    @Test func aDeletedFileThatTheFailureNamesLeadsToItsCommit() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["templates/order.html": "x", "a.py": "a"])
            let bad = try await repository.commit("tidy", ["templates/order.html": nil])
            let canary = try await repository.commit("other", ["a.py": "b"])
            let report = try await repository.report(
                stable, canary, [sample("TemplateNotFound: templates/order.html")])
            #expect(report.suspects.map(\.commit.id) == [bad.rawValue])
            #expect(report.suspects[0].evidence[0].note == "it deleted templates/order.html")
            #expect(report.attribution.reason == "it changed templates/order.html, which the failures name")
        }
    }

    @Test func twoFilesOfTheSameNameAreBothToldWithDoubt() async throws {
        try await Repository.with { repository in
            let stable = try await repository.commit("base", ["api/views.py": "a = 1\n", "web/views.py": "a = 1\n"])
            try await repository.commit("api", ["api/views.py": "a = 2\n"])
            let canary = try await repository.commit("web", ["web/views.py": "a = 3\n"])
            let trace = "Traceback (most recent call last):\n  File \"views.py\", line 1, in <module>\n    a\n"
            let report = try await repository.report(stable, canary, [sample(trace)])
            #expect(report.attribution.certainty == "suspected")
            #expect(report.suspects.count == 2)
            #expect(report.attribution.reason.contains("the path fits both"))
            #expect(report.attribution.reason.hasSuffix("is as near"))
        }
    }

    @Test func aVersionThatLacksCommitsOfStableIsNotBlamedOnWhatItBrings() async throws {
        try await Repository.with { repository in
            try await repository.commit("base", ["a.py": "a"])
            try await repository.git("checkout", "--quiet", "-b", "stale")
            let canary = try await repository.commit("from a stale branch", ["b.py": "b"])
            try await repository.git("checkout", "--quiet", "main")
            let stable = try await repository.commit("fix", ["a.py": "fixed"])
            let report = try await repository.report(stable, canary, [sample("no")])
            #expect(report.attribution.certainty == "unknown")
            #expect(report.attribution.missing.map(\.subject) == ["fix"])
        }
    }

    @Test func theSameCommitAgainPointsElsewhere() async throws {
        try await Repository.with { repository in
            let commit = try await repository.commit("base", ["a.py": "a"])
            let report = try await repository.report(commit, commit, [sample("no")])
            #expect(report.attribution.certainty == "unknown")
            #expect(report.attribution.reason.contains("look at configuration, data and surroundings"))
        }
    }

    @Test func withoutAVersionBeforeOrARepositoryItSaysSo() async throws {
        try await Repository.with { repository in
            let commit = try await repository.commit("base", ["a.py": "a"])
            let first = try await repository.report(nil, commit, [sample("no")])
            #expect(first.attribution.reason == "there was no version before this one to compare it with")
            let gone = await repository.evidence.report(
                on: incident(stable: commit, canary: commit, repository: "/nowhere/shop.git"))
            #expect(
                try decoded(gone.json).attribution.reason.hasPrefix("the repository could not be asked: cannot fetch"))
            #expect(gone.markdown.contains("**Commit:** not known: the repository could not be asked"))
        }
    }
}
