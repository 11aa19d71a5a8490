// Numbers as people read them. Pure.

/// `12 345`.
func grouped(_ number: UInt64) -> String {
    var text = ""
    for (index, digit) in String(number).reversed().enumerated() {
        if index > 0, index % 3 == 0 { text.append(" ") }
        text.append(digit)
    }
    return String(text.reversed())
}

/// `850us`, `12.3ms`, `2.41s`; `-` for nothing.
func latency(milliseconds: Double?) -> String {
    guard let value = milliseconds, value.isFinite, value >= 0 else { return "-" }
    if value < 1 { return "\(Int((value * 1_000).rounded()))us" }
    if value < 1_000 { return fixed(value, digits: 1) + "ms" }
    return fixed(value / 1_000, digits: 2) + "s"
}

/// `3 (0.25%)`; only the count when there is nothing to compare it with.
func failures(_ failed: UInt64, of requests: UInt64) -> String {
    guard requests > 0 else { return grouped(failed) }
    return "\(grouped(failed)) (\(fixed(Double(failed) / Double(requests) * 100, digits: 2))%)"
}

/// `12.5 MiB`.
func bytes(_ count: Int64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    var value = Double(max(0, count))
    var unit = 0
    while value >= 1_024, unit < units.count - 1 {
        value /= 1_024
        unit += 1
    }
    return unit == 0 ? "\(max(0, count)) B" : "\(fixed(value, digits: 1)) \(units[unit])"
}

/// `1 row`, `2 rows`.
func counted(_ count: Int, _ word: String) -> String { "\(count) \(word)\(count == 1 ? "" : "s")" }

/// Evidence as it is compared: `0.42`, `17.3`, `12 345`, `> 1e15`.
func evidence(_ value: Double) -> String {
    switch value {
    case ..<10: fixed(max(0, value), digits: 2)
    case ..<100: fixed(value, digits: 1)
    case ..<1e15: grouped(UInt64(value))
    default: "> 1e15"
    }
}

/// A number below 2^53 / 10^digits with so many digits behind the point.
func fixed(_ value: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = (value * scale).rounded()
    guard whole.magnitude < 9e15 else { return "\(value)" }
    let number = Int64(whole)
    let (integer, rest) = number.quotientAndRemainder(dividingBy: Int64(scale))
    guard digits > 0 else { return "\(integer)" }
    let tail = String(rest.magnitude)
    let sign = number < 0 && integer == 0 ? "-" : ""
    return "\(sign)\(integer)." + String(repeating: "0", count: digits - tail.count) + tail
}
