// How metrics are written in a policy: `0.4`, `/api/orders/*`, `http://127.0.0.1:9090`, `requests_total{service="shop"}`.

import Releases

/// Reads `0`, `0.4`, `-12.5` or `1e-06`.
func number(_ text: String) throws(Misread) -> Double {
    func digits(_ rest: inout Substring.UTF8View) -> Bool {
        let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
        rest = rest.dropFirst(count)
        return count > 0
    }
    func take(_ bytes: String, _ rest: inout Substring.UTF8View) -> Bool {
        guard let first = rest.first, bytes.utf8.contains(first) else { return false }
        rest = rest.dropFirst()
        return true
    }
    var rest = text[...].utf8
    _ = take("-", &rest)
    var isNumber = digits(&rest)
    if take(".", &rest) { isNumber = digits(&rest) && isNumber }
    if take("eE", &rest) {
        _ = take("+-", &rest)
        isNumber = digits(&rest) && isNumber
    }
    guard isNumber, rest.isEmpty, let number = Double(text), number.isFinite else {
        throw Misread("must be a number, not \(quoted(text))", hint: "write 0, 0.4 or -12.5")
    }
    return number
}

/// Reads a number between two bounds.
func number(_ bounds: ClosedRange<Double>) -> Reading<Double> {
    { text throws(Misread) in
        let number = try number(text)
        guard bounds.contains(number) else {
            throw Misread(
                "must be \(numberText(bounds.lowerBound)) to \(numberText(bounds.upperBound)), not \(quoted(text))")
        }
        return number
    }
}

/// The shortest text that reads as this number again.
func numberText(_ number: Double) -> String {
    let text = "\(number)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

/// What evidence counts beside other evidence.
func weight(_ text: String) throws(Misread) -> Double {
    do {
        return try number(0.01...100)(text)
    } catch {
        throw Misread(error.complaint, hint: error.hint ?? "dry_run: true judges without acting")
    }
}

/// `[a-z0-9-]`, at most 40; not what the router's own metrics are called.
func metricName(_ text: String) throws(Misread) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
        isAlphanumeric(byte) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "-")
    }
    guard isPlain, (1...40).contains(text.utf8.count) else {
        throw Misread("must be lower-case letters, digits and dashes, at most 40, not \(quoted(text))")
    }
    guard text != "errors", text != "latency" else {
        throw Misread("must not be \(quoted(text)), which the router measures", hint: "for example mesh-\(text)")
    }
    return text
}

/// A path: `/checkout`; or all that is below one: `/api/orders/*`.
func routePattern(_ written: String) throws(Misread) -> String {
    let hint = "write /checkout, or /api/orders/* for all that is below"
    let path = written.hasSuffix("/*") ? String(written.dropLast(1)) : written
    guard !path.contains("*"), !path.contains("?") else {
        throw Misread("must be a path with a * at most at its end, not \(quoted(written))", hint: hint)
    }
    do {
        _ = try httpPath(path)
    } catch {
        throw Misread("must be a path that begins with /, not \(quoted(written))", hint: hint)
    }
    return written
}

/// `http://host:port`, with a path where Prometheus is served below one. A user or a password is not repeated.
func prometheusAddress(_ text: String) throws(Misread) -> String {
    let example = "write http://127.0.0.1:9090"
    guard text.hasPrefix("http://") else {
        guard !text.contains("@") else { throw Misread("must be a plain http address", hint: example) }
        throw Misread("must be a plain http address, not \(quoted(text))", hint: example)
    }
    let rest = text.dropFirst(7)
    let authority = rest.prefix { $0 != "/" }
    guard !rest.contains("@") else {
        throw Misread(
            "must not hold a user or a password",
            hint: "policies are kept and shown; let a proxy on this machine log in for Perch")
    }
    let path = rest.dropFirst(authority.count)
    guard path.utf8.allSatisfy({ isAlphanumeric($0) || "/-._~".utf8.contains($0) }), !authority.isEmpty else {
        throw Misread("must be a host and a path without a query, not \(quoted(text))", hint: example)
    }
    let hasPort = !authority.hasSuffix("]") && authority.contains(":")
    do {
        _ = try ListenAddress(hasPort ? String(authority) : "\(authority):80")
    } catch {
        throw Misread(error.complaint, hint: example)
    }
    return text
}

/// A Prometheus label's name: `[a-zA-Z_][a-zA-Z0-9_]*`.
func labelName(_ text: String) throws(Misread) -> String {
    guard isVariableName(text) else { throw Misread("must be the name of a label, not \(quoted(text))") }
    return text
}

/// An instant vector selector: `name{label="value"}`, no function, no range, no offset.
func counterSelector(_ written: String) throws(Misread) -> String {
    let selector = try text(written)
    var quote: Unicode.Scalar?
    var isEscaped = false
    // 0: the name; 1: within the braces; 2: behind them.
    var part = 0
    var isSelector = selector.unicodeScalars.first.map { !("0"..."9").contains($0) } == true
    for scalar in selector.unicodeScalars {
        if let open = quote {
            if isEscaped {
                isEscaped = false
            } else if scalar == "\\", open != "`" {
                isEscaped = true
            } else if scalar == open {
                quote = nil
            }
            continue
        }
        switch (part, scalar) {
        case (0, "{"): part = 1
        case (1, "}"): part = 2
        case (1, "\""), (1, "'"), (1, "`"): quote = scalar
        case (1, "{"), (1, "("), (1, "["): isSelector = false
        case (1, _): break
        case (0, _): isSelector = isSelector && isNameScalar(scalar)
        default: isSelector = false
        }
    }
    guard isSelector, part != 1, quote == nil else {
        throw Misread(
            "must be a selector of counters, not \(quoted(written))",
            hint: "as the process shows them, without functions and ranges: requests_total{service=\"shop\"}")
    }
    return selector
}

private func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII && (isAlphanumeric(UInt8(scalar.value)) || scalar == "_" || scalar == ":")
}
