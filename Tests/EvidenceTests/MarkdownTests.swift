// Text from outside stays text. Method: what attackers write into bodies, subjects and paths.

import Releases
import Testing

@testable import Evidence

@Suite struct MarkdownTests {
    @Test(arguments: [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("[click](javascript:alert(1))", "\\[click\\](javascript:alert(1))"), ("# title", "\\# title"),
        ("> quote", "&gt; quote"),
        ("1. item", "1\\. item"), ("5% > 1% for 12.5 s", "5% > 1% for 12.5 s"), ("a_b _c_", "a_b \\_c\\_"),
        ("@everyone", "&#64;everyone"), ("see https://evil.example", "see https&#58;//evil.example"),
        ("a\n\n# b\u{2028}c", "a # b c"), ("a\u{202E}b\u{0}c\u{1B}[31m", "abc\\[31m"), ("&lt;", "&amp;lt;"),
        ("x | y `z` *w* ~~v~~ \\", "x \\| y \\`z\\` \\*w\\* \\~\\~v\\~\\~ \\\\"),
    ])
    func proseHasNoMarkup(_ text: String, _ escaped: String) {
        #expect(Markdown.prose(text) == escaped)
    }

    @Test(arguments: [
        ("plain", "`plain`"), ("a`b", "``a`b``"), ("``", "``` `` ```"), ("a\nb", "`a b`"), ("", "(empty)"),
        (" x ", "`x`"),
    ])
    func codeSpansCannotBeLeft(_ text: String, _ span: String) {
        #expect(Markdown.code(text) == span)
    }

    @Test func aPipeDoesNotEndACell() {
        #expect(Markdown.cell("a|b") == "`a\\|b`")
    }

    @Test func aBlockCannotBeLeft() {
        #expect(Markdown.block("a\n````\n<script>") == "`````\na\n````\n<script>\n`````")
        #expect(Markdown.block("1\n2\n3\n4", lines: 2) == "```\n1\n2\n... 2 lines more\n```")
    }

    @Test(arguments: [
        ("https://ci/1?a=(b)", "[t](<https://ci/1?a=(b)>)"), ("javascript:alert(1)", "t: `javascript:alert(1)`"),
        ("https://x/>evil", "t: `https://x/>evil`"), ("https://x/ y", "t: `https://x/ y`"),
    ])
    func onlyWebAddressesAreLinks(_ address: String, _ link: String) {
        #expect(Markdown.link("t", address) == link)
    }
}

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_772_366_400_250, "2026-03-01T12:00:00.250Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
        ] as [(Int64, String)])
    func momentsAreISO8601(_ milliseconds: Int64, _ text: String) {
        #expect(Instant(millisecondsSince1970: milliseconds).iso8601 == text)
    }
}
