// What a release, a service, a commit and a moment are called. Pure: no clock, no I/O.

/// A service under Perch's care: `[a-z][a-z0-9-]{0,39}`, so that it can be part of slot, role and database names.
package struct ServiceName: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: String

    /// - Returns: nil when the text is not `[a-z][a-z0-9-]{0,39}`.
    package init?(rawValue: String) {
        guard let first = rawValue.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
            rawValue.utf8.count <= 40,
            rawValue.utf8.allSatisfy({ byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
            })
        else { return nil }
        self.rawValue = rawValue
    }

    package var description: String { rawValue }
}

/// One release of one service, `<service>-<number>`, as people type it: `shop-42`.
package struct ReleaseID: Hashable, Sendable, CustomStringConvertible {
    package let service: ServiceName
    /// Counts up from 1 within a service; never reused.
    package let number: Int

    package init(service: ServiceName, number: Int) {
        precondition(number > 0, "release numbers start at 1")
        self.service = service
        self.number = number
    }

    /// - Returns: nil when the text is not `<service>-<positive number>`.
    package init?(_ text: String) {
        guard let dash = text.lastIndex(of: "-"), let number = Int(text[text.index(after: dash)...]), number > 0,
            text[text.index(after: dash)...].allSatisfy(\.isNumber),
            let service = ServiceName(rawValue: String(text[..<dash]))
        else { return nil }
        self.init(service: service, number: number)
    }

    package var description: String { "\(service)-\(number)" }

    /// The id as part of an unquoted PostgreSQL name (slots allow only `[a-z0-9_]`): `shop_42`.
    package var sqlName: String { String(description.map { $0 == "-" ? "_" : $0 }) }
}

extension ReleaseID: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = ReleaseID(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not a release id like shop-42"))
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A full git commit id: 40 or 64 lower-case hex digits.
package struct CommitID: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: String

    /// - Returns: nil unless the text is 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
    package init?(rawValue: String) {
        let digits = rawValue.utf8
        guard digits.count == 40 || digits.count == 64,
            digits.allSatisfy({ byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            })
        else { return nil }
        self.rawValue = rawValue
    }

    package var description: String { rawValue }
    /// The first ten digits, for people.
    package var short: String { String(rawValue.prefix(10)) }
}

/// A moment of wall-clock time in milliseconds since 1970-01-01 UTC; deadlines are kept as this, so they survive restarts.
package struct Instant: Hashable, Sendable, Codable, Comparable {
    package let millisecondsSince1970: Int64

    package init(millisecondsSince1970: Int64) {
        self.millisecondsSince1970 = millisecondsSince1970
    }

    package init(from decoder: any Decoder) throws {
        millisecondsSince1970 = try decoder.singleValueContainer().decode(Int64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(millisecondsSince1970)
    }

    package static func < (left: Instant, right: Instant) -> Bool {
        left.millisecondsSince1970 < right.millisecondsSince1970
    }

    package func advanced(by span: Span) -> Instant {
        Instant(millisecondsSince1970: millisecondsSince1970 + span.milliseconds)
    }

    /// How long after `earlier` this is; negative when it is before.
    package func since(_ earlier: Instant) -> Span {
        Span(milliseconds: millisecondsSince1970 - earlier.millisecondsSince1970)
    }
}

/// A length of time in whole milliseconds, as policies write it (`30s`, `5m`, `1h`).
package struct Span: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    package let milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package init(from decoder: any Decoder) throws {
        milliseconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }

    package static func milliseconds(_ count: Int64) -> Span { Span(milliseconds: count) }
    package static func seconds(_ count: Int64) -> Span { Span(milliseconds: count * 1_000) }
    package static func minutes(_ count: Int64) -> Span { .seconds(count * 60) }
    package static func hours(_ count: Int64) -> Span { .minutes(count * 60) }
    package static let zero = Span(milliseconds: 0)

    package static func < (left: Span, right: Span) -> Bool { left.milliseconds < right.milliseconds }

    package var duration: Duration { .milliseconds(milliseconds) }

    /// The shortest exact policy text: `90s`, `5m`, `1h`, `250ms`.
    package var description: String {
        if milliseconds % 1_000 != 0 { return "\(milliseconds)ms" }
        let seconds = milliseconds / 1_000
        if seconds != 0, seconds % 86_400 == 0 { return "\(seconds / 86_400)d" }
        if seconds != 0, seconds % 3_600 == 0 { return "\(seconds / 3_600)h" }
        if seconds != 0, seconds % 60 == 0 { return "\(seconds / 60)m" }
        return "\(seconds)s"
    }
}

/// A share of live traffic in basis points: 0 is none, 10 000 is all of it.
package struct Share: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    package let basisPoints: Int

    /// - Returns: nil outside `0...10_000`.
    package init?(basisPoints: Int) {
        guard (0...10_000).contains(basisPoints) else { return nil }
        self.basisPoints = basisPoints
    }

    private init(unchecked basisPoints: Int) { self.basisPoints = basisPoints }

    package init(from decoder: any Decoder) throws {
        let basisPoints = try decoder.singleValueContainer().decode(Int.self)
        guard let share = Share(basisPoints: basisPoints) else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "a share is 0...10000 basis points, not \(basisPoints)"))
        }
        self = share
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(basisPoints)
    }

    package static let none = Share(unchecked: 0)
    package static let all = Share(unchecked: 10_000)
    package static func < (left: Share, right: Share) -> Bool { left.basisPoints < right.basisPoints }

    /// As a policy writes it: `5%`, `0.5%`, `12.25%`.
    package var description: String {
        let (whole, rest) = basisPoints.quotientAndRemainder(dividingBy: 100)
        if rest == 0 { return "\(whole)%" }
        return rest % 10 == 0 ? "\(whole).\(rest / 10)%" : "\(whole).\(rest < 10 ? "0" : "")\(rest)%"
    }
}

/// Which of the two versions a request, an instance or a transaction belongs to.
package enum Arm: String, Hashable, Sendable, Codable, CaseIterable {
    case stable, canary
}
