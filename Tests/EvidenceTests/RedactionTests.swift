// What a policy redacts is in no report, whatever notation it comes in. Method: examples of each notation, and random cuts.

import Testing

@testable import Evidence

@Suite struct RedactionTests {
    private let redaction = Redaction(
        headers: ["Authorization", "cookie"], fields: ["password", "card", "token"])

    @Test(arguments: [
        (#"{"password":"hunter2","id":7}"#, #"{"password":[redacted],"id":7}"#),
        (#"{"Password" : "hun\"ter2" , "id":7}"#, #"{"Password" : [redacted] , "id":7}"#),
        (#"{"card":{"number":"4111","cvc":[1,{"a":2}]},"id":7}"#, #"{"card":[redacted],"id":7}"#),
        (#"{"card":4111}"#, #"{"card":[redacted]}"#), (#"{"card":"4111 11"#, #"{"card":[redacted]"#),
        ("id=7&password=hunter2&x=1", "id=7&password=[redacted]&x=1"),
        ("card[number]=4111&x", "card[number]=[redacted]&x"),
        ("{'password': 'hunter2', 'a': 1}", "{'password': [redacted], 'a': 1}"),
        ("{:password=>\"hunter2\"}", "{:password=>[redacted]}"),
        ("login(password='hunter2')", "login(password=[redacted])"),
        (#"{"log":"{\"password\":\"hunter2\",\"id\":7}"}"#, #"{"log":"{\"password\":[redacted],\"id\":7}"}"#),
        ("token: abc.def", "token: [redacted]"), ("/reset?token=abc", "/reset?token=[redacted]"),
        ("csrf_token=ok tokens=3 mypassword=ok", "csrf_token=ok tokens=3 mypassword=ok"),
        ("password authentication failed", "password authentication failed"),
        ("postgres://shop:hunter2@db/shop", "postgres://shop:[redacted]@db/shop"),
        ("https://ghp_secret@github.com/x", "https://[redacted]@github.com/x"), ("mail a@b.c", "mail a@b.c"),
        (#"line\npassword=x"#, #"line\npassword=[redacted]"#), ("password=", "password="),
    ])
    func valuesBehindNamesAreReplaced(_ text: String, _ shown: String) {
        #expect(redaction.text(text) == shown)
    }

    @Test func headersAreReplacedByNameAndOthersAreText() {
        #expect(redaction.header("authorization", "Bearer x") == "[redacted]")
        #expect(redaction.header("Referer", "http://a/?token=x") == "http://a/?token=[redacted]")
    }

    @Test func columnsAreReplacedByName() {
        #expect(redaction.value("4111", of: "CARD") == "[redacted]")
        #expect(redaction.value("7", of: "id") == "7")
        #expect(redaction.value(nil, of: "card") == nil)
    }

    @Test func aSecretNeverSurvivesWhereverTheTextIsCut() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SplitMix(state: seed)
        let shapes = [
            #"{"a":"b","password":"SECRET"}"#, "x=1&card=SECRET&y=2", "{'token': 'SECRET'}",
            #"{\"card\": {\"n\": \"SECRET\"}}"#,
        ]
        for _ in 0..<500 {
            let text = (0..<4).map { _ in shapes.randomElement(using: &generator)! }.joined(separator: "\n")
            let cut = String(text.prefix(Int.random(in: 0...text.count, using: &generator)))
            #expect(!redaction.text(cut).contains("SECRET"), "seed \(seed): \(cut)")
        }
    }
}
