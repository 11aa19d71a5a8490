// One line of text as a stack frame, in each of the formats. Pure.

/// Reads frames from single lines; `previous` is the line before, where Go names the function.
enum FrameLine {
    static func read(_ line: Substring, after previous: Substring) -> StackFrame? {
        // Longer lines are data, not traces.
        guard line.utf8.count <= 2_000 else { return nil }
        let text = trimmed(line)
        return python(text) ?? java(text) ?? node(text) ?? go(line, after: previous) ?? swift(text) ?? ruby(text)
    }

    /// `File "/srv/shop/orders.py", line 12, in place_order`
    private static func python(_ text: Substring) -> StackFrame? {
        guard text.hasPrefix("File \"") else { return nil }
        let rest = text.dropFirst(6)
        guard let separator = rest.firstRange(of: "\", line ") else { return nil }
        let (number, after) = leadingNumber(rest[separator.upperBound...])
        guard let number else { return nil }
        let function = after.hasPrefix(", in ") ? String(after.dropFirst(5)) : nil
        return frame(.python, rest[..<separator.lowerBound], number, function)
    }

    /// `at com.shop.Orders.place(Orders.java:42)`, also with a module or class loader before a slash.
    private static func java(_ text: Substring) -> StackFrame? {
        guard text.hasPrefix("at "), text.hasSuffix(")"), let open = text.lastIndex(of: "(") else { return nil }
        let place = text[text.index(after: open)...].dropLast()
        guard let colon = place.lastIndex(of: ":"), let number = Int(place[place.index(after: colon)...]) else {
            return nil
        }
        let file = place[..<colon]
        // A path in the parentheses, or a space before them, is Node's.
        guard !file.contains(where: { $0 == "/" || $0 == ":" || $0 == "\\" || $0 == " " }),
            [".java", ".kt", ".scala", ".groovy", ".clj"].contains(where: file.hasSuffix)
        else { return nil }
        let call = text[..<open].dropFirst(3)
        let name = call.lastIndex(of: "/").map { call[call.index(after: $0)...] } ?? call
        let parts = name.split(separator: ".")
        guard parts.count >= 2 else { return nil }
        let folders = parts.dropLast(2).joined(separator: "/")
        return frame(.java, Substring(folders.isEmpty ? String(file) : "\(folders)/\(file)"), number, String(name))
    }

    /// `at placeOrder (/srv/shop/orders.js:12:7)`, `at async file:///srv/shop/orders.mjs:12:7`
    private static func node(_ text: Substring) -> StackFrame? {
        guard text.hasPrefix("at ") else { return nil }
        var place = text.dropFirst(3)
        var function: String?
        if place.hasSuffix(")"), let open = place.firstRange(of: " (") {
            function = String(place[..<open.lowerBound])
            place = place[open.upperBound...].dropLast()
        } else if place.hasPrefix("async ") {
            place = place.dropFirst(6)
        }
        guard let (path, line) = position(place, columnIsRequired: true) else { return nil }
        let plain = path.hasPrefix("file://") ? path.dropFirst(7) : path
        guard !plain.hasPrefix("node:") else { return nil }
        for prefix in ["async ", "new ", "Object.", "Function.", "Module."] {
            if let name = function, name.hasPrefix(prefix) { function = String(name.dropFirst(prefix.count)) }
        }
        return frame(.node, plain, line, function)
    }

    /// `main.(*Shop).place(0xc000010000, {0x1, 0x2})` and below it, after a tab, `/srv/shop/orders.go:42 +0x1d`
    private static func go(_ line: Substring, after previous: Substring) -> StackFrame? {
        guard line.hasPrefix("\t") else { return nil }
        let place = line.dropFirst().prefix { $0 != " " }
        guard let (path, number) = position(place, columnIsRequired: false), path.hasSuffix(".go") else { return nil }
        var function = trimmed(previous)
        if function.hasPrefix("created by ") {
            function = function.dropFirst(11)
            if let goroutine = function.firstRange(of: " in goroutine ") {
                function = function[..<goroutine.lowerBound]
            }
        } else if function.hasSuffix(")"), let arguments = function.lastIndex(of: "(") {
            function = function[..<arguments]
        }
        return frame(.go, path, number, function.isEmpty ? nil : String(function))
    }

    /// `1 0x00007f shop.place(_:) + 27 in shop at /srv/shop/Orders.swift:42:9`, `shop/Orders.swift:42: Fatal error: ...`
    private static func swift(_ text: Substring) -> StackFrame? {
        if let marker = text.firstRange(of: ".swift:"), let after = leadingNumber(text[marker.upperBound...]).number,
            text[marker.upperBound...].drop(while: \.isNumber).hasPrefix(": Fatal error")
        {
            return frame(.swift, text[..<marker.lowerBound] + ".swift", after, nil)
        }
        guard let at = text.ranges(of: " at ").last else { return nil }
        guard let (path, line) = position(text[at.upperBound...], columnIsRequired: false), path.hasSuffix(".swift")
        else {
            return nil
        }
        var call = text[..<at.lowerBound]
        if let module = call.ranges(of: " in ").last { call = call[..<module.lowerBound] }
        if let offset = call.ranges(of: " + ").last { call = call[..<offset.lowerBound] }
        let words = call.split(separator: " ").drop { word in
            word.hasPrefix("0x") || word.hasPrefix("[") || word.allSatisfy(\.isNumber)
        }
        return frame(.swift, path, line, words.isEmpty ? nil : words.joined(separator: " "))
    }

    /// ``from /srv/shop/orders.rb:12:in `place'``, `orders.rb:12:in 'Shop::Orders#place': undefined method (NoMethodError)`
    private static func ruby(_ text: Substring) -> StackFrame? {
        guard let marker = text.firstRange(of: ".rb:") else { return nil }
        let (number, after) = leadingNumber(text[marker.upperBound...])
        guard let number else { return nil }
        var path = text[..<marker.lowerBound]
        if path.hasPrefix("from ") { path = path.dropFirst(5) }
        // A log's time or level before the first frame.
        if let space = path.lastIndex(of: " ") { path = path[path.index(after: space)...] }
        var function: String?
        if after.hasPrefix(":in `") || after.hasPrefix(":in '") {
            function = String(after.dropFirst(5).prefix { $0 != "'" })
        } else if !after.isEmpty, !after.hasPrefix(": ") {
            return nil
        }
        return frame(.ruby, path + ".rb", number, function)
    }

    /// `path:12` or `path:12:7`
    private static func position(_ place: Substring, columnIsRequired: Bool) -> (path: Substring, line: Int)? {
        guard let last = place.lastIndex(of: ":"), let number = Int(place[place.index(after: last)...]) else {
            return nil
        }
        let before = place[..<last]
        if let colon = before.lastIndex(of: ":"), let line = Int(before[before.index(after: colon)...]) {
            return (before[..<colon], line)
        }
        return columnIsRequired ? nil : (before, number)
    }

    private static func frame(
        _ format: TraceFormat, _ path: some StringProtocol, _ line: Int, _ function: String?
    ) -> StackFrame? {
        // `<string>`, `<frozen importlib>`, `<anonymous>`: no file.
        guard !path.isEmpty, line > 0, !path.hasPrefix("<"), !path.contains("\0") else { return nil }
        // An extension alone is no name.
        guard let name = path.split(separator: "/").last, !name.hasPrefix(".") else { return nil }
        return StackFrame(format: format, path: String(path), line: line, function: function)
    }

    private static func leadingNumber(_ text: Substring) -> (number: Int?, rest: Substring) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        return (digits.count <= 9 ? Int(digits) : nil, text[digits.endIndex...])
    }

    private static func trimmed(_ line: Substring) -> Substring {
        var text = line.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
