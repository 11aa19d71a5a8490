// How quantities and choices are written in a policy: `30s`, `0.5%`, `64MiB`, `p99.9`.

import Releases

/// Why a value cannot be read; the reader adds the key and the place.
struct Misread: Error {
    /// Follows the key's name: `must be a duration, not '30'`.
    var complaint: String
    var hint: String?

    init(_ complaint: String, hint: String? = nil) {
        self.complaint = complaint
        self.hint = hint
    }
}

typealias Reading<Value> = (String) throws(Misread) -> Value

/// What was written, short enough and clean enough for a message.
func quoted(_ text: String) -> String {
    let clean = text.unicodeScalars.prefix(60).map { $0.properties.generalCategory == .control ? "?" : String($0) }
    return "'\(clean.joined())\(text.unicodeScalars.count > 60 ? "..." : "")'"
}

/// The digits in front and what follows them; nil when there are none, or more than fit.
private func leadingNumber(_ text: String) -> (count: Int64, unit: Substring)? {
    let digits = text.utf8.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let count = Int64(Substring(digits)) else { return nil }
    return (count, text[digits.endIndex...])
}

/// Reads `250ms`, `30s`, `5m`, `1h` or `2d` between two lengths.
func span(from lowest: Span, to highest: Span = .hours(24 * 365)) -> Reading<Span> {
    { text throws(Misread) in
        let units: [Substring: Int64] = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let (count, unit) = leadingNumber(text), let factor = units[unit] else {
            let bare = Int64(text) != nil
            throw Misread(
                "must be a duration, not \(quoted(text))",
                hint: bare
                    ? "write \(text)s, \(text)m or \(text)h" : "a whole number and one of ms, s, m, h, d: 90s, 5m")
        }
        let (milliseconds, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow, milliseconds <= highest.milliseconds else {
            throw Misread("must be at most \(highest), not \(quoted(text))")
        }
        guard milliseconds >= lowest.milliseconds else {
            throw Misread("must be at least \(lowest), not \(quoted(text))")
        }
        return Span(milliseconds: milliseconds)
    }
}

/// Any length of time but none.
func someSpan(_ text: String) throws(Misread) -> Span {
    try span(from: .milliseconds(1))(text)
}

/// Reads `1%`, `0.5%` or `12.25%` as basis points.
func basisPoints(_ text: String) throws(Misread) -> Int {
    let parts = text.dropLast(text.hasSuffix("%") ? 1 : 0).split(separator: ".", omittingEmptySubsequences: false)
    let isNumber = parts.allSatisfy {
        !$0.isEmpty && $0.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains)
    }
    guard isNumber, parts.count == 1 || parts.count == 2 else {
        throw Misread("must be a percentage, not \(quoted(text))", hint: "write 1%, 0.5% or 100%")
    }
    guard text.hasSuffix("%") else {
        throw Misread("must be a percentage, not \(quoted(text))", hint: "write \(text)%")
    }
    let fraction = parts.count == 2 ? parts[1] : "0"
    guard fraction.utf8.count <= 2 else {
        throw Misread("has steps of 0.01%, \(quoted(text)) is finer")
    }
    guard let whole = Int(parts[0]), whole <= 100, let rest = Int(fraction.utf8.count == 1 ? "\(fraction)0" : fraction),
        whole * 100 + rest <= 10_000
    else { throw Misread("must be at most 100%, not \(quoted(text))") }
    return whole * 100 + rest
}

/// Reads a percentage between two bounds as basis points.
func basisPoints(_ bounds: ClosedRange<Int>) -> Reading<Int> {
    { text throws(Misread) in
        let points = try basisPoints(text)
        guard bounds.contains(points) else {
            throw Misread(
                "must be \(percentText(bounds.lowerBound)) to \(percentText(bounds.upperBound)), not \(quoted(text))")
        }
        return points
    }
}

/// How much slower is no slower: a percentage, or `off`: nil.
func slowdown(_ text: String) throws(Misread) -> Int? {
    text == "off" ? nil : try basisPoints(text)
}

/// The shortest exact text of basis points.
func percentText(_ basisPoints: Int) -> String {
    Share(basisPoints: basisPoints)?.description ?? "100%"
}

func share(_ text: String) throws(Misread) -> Share {
    let points = try basisPoints(text)
    guard points > 0, let share = Share(basisPoints: points) else {
        throw Misread("must be more than 0%", hint: "a release that must not serve yet begins with {approve: true}")
    }
    return share
}

private let sizeUnits: [(name: String, bytes: Int64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
]

/// Reads `64MiB` or `10GiB` as bytes, at least one.
func byteCount(_ text: String) throws(Misread) -> Int64 {
    guard let (count, unit) = leadingNumber(text), let factor = sizeUnits.first(where: { $0.name == unit })?.bytes
    else {
        throw Misread(
            "must be a size, not \(quoted(text))", hint: "a whole number and one of B, KiB, MiB, GiB, TiB: 64MiB")
    }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: factor)
    guard !overflow else { throw Misread("is too large, \(quoted(text))") }
    guard bytes > 0 else { throw Misread("must be more than 0", hint: "10GiB lets a slot hold ten gibibytes of WAL") }
    return bytes
}

/// The shortest exact text of a size.
func byteText(_ bytes: Int64) -> String {
    let unit = sizeUnits.first { bytes % $0.bytes == 0 && bytes >= $0.bytes } ?? ("B", 1)
    return "\(bytes / unit.bytes)\(unit.name)"
}

func integer(_ range: ClosedRange<Int>) -> Reading<Int> {
    { text throws(Misread) in
        guard let number = Int(text), "\(number)" == text else {
            throw Misread("must be a whole number, not \(quoted(text))")
        }
        guard number >= range.lowerBound else { throw Misread("must be at least \(range.lowerBound), not \(number)") }
        guard number <= range.upperBound else { throw Misread("must be at most \(range.upperBound), not \(number)") }
        return number
    }
}

func boolean(_ text: String) throws(Misread) -> Bool {
    switch text {
    case "true": return true
    case "false": return false
    default: throw Misread("must be true or false, not \(quoted(text))")
    }
}

/// One of an enum's words.
func word<Word: RawRepresentable & CaseIterable>(_: Word.Type) -> Reading<Word> where Word.RawValue == String {
    { text throws(Misread) in
        if let word = Word(rawValue: text) { return word }
        let known = Word.allCases.map(\.rawValue)
        let choice = known.dropLast().joined(separator: ", ") + " or " + (known.last ?? "")
        let meant = likelyMeant(text, among: known)
        throw Misread("must be \(choice), not \(quoted(text))", hint: meant.map { "did you mean '\($0)'?" })
    }
}

/// Reads `p50`, `p99` or `p99.9` as thousandths.
func quantile(_ text: String) throws(Misread) -> Int {
    let parts = text.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
    let tenths = parts.count == 2 ? parts[1] : "0"
    if text.hasPrefix("p"), (1...2).contains(parts.count), let whole = Int(parts[0]), let tenth = Int(tenths),
        (1...99).contains(whole) || whole == 0 && tenth > 0, (0...9).contains(tenth)
    {
        let perMille = whole * 10 + tenth
        if quantileText(perMille) == text { return perMille }
    }
    throw Misread("\(quoted(text)) must be a quantile such as p50, p99 or p99.9")
}

func quantileText(_ perMille: Int) -> String {
    perMille % 10 == 0 ? "p\(perMille / 10)" : "p\(perMille / 10).\(perMille % 10)"
}
