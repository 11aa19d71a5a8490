// Numbers as an operator reads them. Pure.

/// `1,140`.
func grouped(_ number: UInt64) -> String {
    var text = ""
    for (index, digit) in String(number).reversed().enumerated() {
        if index > 0, index % 3 == 0 { text.append(",") }
        text.append(digit)
    }
    return String(text.reversed())
}

/// At most so many digits behind the point, none of them a trailing zero: `0.1`, `5`, `18.9`.
func decimal(_ value: Double, digits: Int = 2) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = (value * scale).rounded()
    guard whole.magnitude < 9e15 else { return "\(value)" }
    let (integer, rest) = UInt64(whole.magnitude).quotientAndRemainder(dividingBy: UInt64(scale))
    let sign = whole < 0 ? "-" : ""
    guard rest > 0 else { return "\(sign)\(integer)" }
    var tail = String(rest)
    tail = String(repeating: "0", count: digits - tail.count) + tail
    while tail.last == "0" { tail.removeLast() }
    return "\(sign)\(integer).\(tail)"
}

/// A share of 1 in percent: `5 %`, `0.25 %`.
func percent(_ share: Double) -> String { "\(decimal(share * 100)) %" }

/// `31 of 300 (10.33 %)`; a rate only where there is something to divide by.
func rate(_ trials: ContingencyTable.Trials) -> String {
    let counts = "\(grouped(trials.bad)) of \(grouped(trials.total))"
    return trials.total > 0 ? "\(counts) (\(percent(Double(trials.bad) / Double(trials.total))))" : counts
}

/// Whole releases, cut to two digits, so that "1 of so many" is never too much: 15 042 is `15,000`.
func roundedDown(_ evidence: Double) -> String {
    var rest = UInt64(min(max(1, evidence), 1e9))
    var scale: UInt64 = 1
    while rest >= 100 {
        rest /= 10
        scale *= 10
    }
    return grouped(rest * scale)
}

/// 950 -> `95`, 999 -> `99.9`.
func quantileName(_ perMille: Int) -> String { decimal(Double(perMille) / 10, digits: 1) }

/// `0.8 ms`, `412 ms`.
func milliseconds(_ microseconds: Double) -> String {
    "\(decimal(microseconds / 1_000, digits: microseconds < 10_000 ? 1 : 0)) ms"
}

/// `8 s`, `10 min`; whole units, rounded up.
func span(milliseconds: Int64) -> String {
    let seconds = (max(0, milliseconds) + 999) / 1_000
    return seconds < 120 ? "\(seconds) s" : "\((seconds + 59) / 60) min"
}

/// `1 request`, `2,000 requests`.
func counted(_ count: UInt64, _ word: String) -> String { "\(grouped(count)) \(word)\(count == 1 ? "" : "s")" }
