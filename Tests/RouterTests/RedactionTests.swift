// Goal: no secret value stays in a sample. Method: texts in, texts out; cut at every byte.

import Testing

@testable import Router

private let redaction = Redaction(headers: ["X-Secret"], fields: ["password", "Card"])

private func body(_ text: String, _ type: String?) -> String {
    redaction.body(Array(text.utf8), contentType: type, contentEncoding: nil)
}

@Suite struct RedactionTests {
    @Test func `named headers and credentials lose their value`() {
        #expect(redaction.header("x-secret", "v") == "[redacted]")
        #expect(redaction.header("Cookie", "v") == "[redacted]")
        #expect(redaction.header("Authorization", "v") == "[redacted]")
        #expect(redaction.header("Accept", "v") == "v")
        #expect(redaction.header("Referer", "http://a/?password=x&b=1") == "http://a/?password=[redacted]&b=1")
    }

    @Test func `query parameters and form fields`() {
        #expect(redaction.target("/a?b=1&PassWord=x&c") == "/a?b=1&PassWord=[redacted]&c")
        #expect(redaction.target("/a?p%61ssword=x#f") == "/a?p%61ssword=[redacted]#f")
        #expect(redaction.target("/password=x") == "/password=x")
        #expect(
            body("user=a&card%5Bnumber%5D=4111&n=2", "application/x-www-form-urlencoded; charset=utf-8")
                == "user=a&card%5Bnumber%5D=[redacted]&n=2")
    }

    @Test(arguments: [
        (#"{"user":"a","password":"x\"y","n":1}"#, #"{"user":"a","password":"[redacted]","n":1}"#),
        (#"{"card": {"number":"4111","x":["}"]}, "n": 2}"#, #"{"card": "[redacted]", "n": 2}"#),
        (#"[{"PASSWORD" : 12345}, "password"]"#, #"[{"PASSWORD" : "[redacted]"}, "password"]"#),
        (#"{"pass\u0077ord":null,"a":"password"}"#, #"{"pass\u0077ord":"[redacted]","a":"password"}"#),
        ("Traceback: KeyError 'password'", "Traceback: KeyError 'password'"),
    ])
    func `JSON fields`(text: String, expected: String) {
        #expect(body(text, "application/json") == expected)
    }

    @Test func `a secret that the cut goes through does not show`() {
        let text = #"{"user":"u","password":"SECRET-VALUE","card":{"no":["SECRET-VALUE"]},"z":"SECRET"#
        for end in 0...text.utf8.count {
            let kept = body(String(decoding: Array(text.utf8).prefix(end), as: UTF8.self), "application/json")
            let clear = kept.components("\"z\"")[0]
            #expect(!clear.contains("S"), "cut at \(end): \(kept)")
        }
    }

    @Test func `parts of a multipart body`() {
        let text = [
            "--b", #"Content-Disposition: form-data; name="password""#, "", "x", "y", "--b",
            #"Content-Disposition: form-data; name="note""#, "", "kept", "--b--", "",
        ].joined(separator: "\r\n")
        let kept = body(text, "multipart/form-data; boundary=b")
        #expect(
            !kept.contains("x\n") && !kept.contains("\ny\n") && kept.contains("kept") && kept.contains("[redacted]"))
    }

    @Test func `a compressed body is only counted`() {
        #expect(redaction.body([1, 2], contentType: nil, contentEncoding: "gzip") == "[2 bytes of gzip]")
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [Substring] {
        guard let found = firstRange(of: separator) else { return [self[...]] }
        return [self[..<found.lowerBound], self[found.upperBound...]]
    }
}
