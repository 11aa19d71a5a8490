// Which route a request's path belongs to. Pure.

/// The routes of one table that are judged by themselves, ready to be asked for every request.
///
/// A route is one path (`/checkout`), or a path and all below it (`/api/orders/*`: `/api/orders`, `/api/orders/` and
/// `/api/orders/1`, not `/api/ordersheet`). The first one that matches takes the request, so a path that is to be apart
/// from what is below it is written first. Compared are bytes, without the query: `%2F` is no slash, and `/A` is not `/a`.
struct RoutePatterns: Sendable {
    /// Bound of the routes of one table: each has its own users.
    static let bound = 16
    /// Bound of one pattern, in bytes.
    static let bytes = 256

    private struct Pattern: Sendable {
        /// Of a path and all below it, without the slash before the star: empty is every path.
        var path: [UInt8]
        var takesBelow: Bool
    }

    private let patterns: [Pattern]

    /// - Parameter texts: as a table names them, none with a ``mistake(in:)``.
    init(_ texts: [String]) {
        patterns = texts.map { text in
            let takesBelow = text.hasSuffix("/*")
            return Pattern(path: Array(takesBelow ? text.utf8.dropLast(2) : text.utf8[...]), takesBelow: takesBelow)
        }
    }

    /// - Parameter target: in origin form (RFC 9112 section 3.2.1).
    /// - Returns: the place of the first pattern that matches, in the order of the table.
    func first(matching target: String) -> Int? {
        var target = target
        return target.withUTF8 { bytes in
            let end = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
            guard bytes.first == UInt8(ascii: "/") else { return nil }
            return patterns.firstIndex { Self.matches($0, bytes[..<end]) }
        }
    }

    private static func matches(_ pattern: Pattern, _ path: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        let length = pattern.path.count
        guard path.count == length || (pattern.takesBelow && path.count > length && path[length] == UInt8(ascii: "/"))
        else { return false }
        return path.starts(with: pattern.path)
    }

    /// What is wrong with a pattern, for a person; nil when it can be served.
    static func mistake(in text: String) -> String? {
        guard text.utf8.count <= bytes else { return "route '\(text)' is longer than \(bytes) bytes" }
        guard text.hasPrefix("/") else { return "route '\(text)' does not begin with /" }
        for byte in text.utf8
        where byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") {
            return "route '\(text)' is more than a path"
        }
        let path = text.hasSuffix("/*") ? text.dropLast() : text[...]
        return path.contains("*") ? "route '\(text)' has a * that is not its last segment" : nil
    }
}
