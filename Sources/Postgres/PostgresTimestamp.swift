// A moment as the server's wire formats carry it. Pure: no clock, no I/O.

/// A moment in microseconds since 2000-01-01 00:00 UTC, PostgreSQL's own epoch.
package struct PostgresTimestamp: Hashable, Comparable, Sendable, Codable {
    package var microsecondsSince2000: Int64

    package init(microsecondsSince2000: Int64) { self.microsecondsSince2000 = microsecondsSince2000 }

    /// 2000-01-01 lies 10 957 days after 1970-01-01.
    private static let epochInMicrosecondsSince1970: Int64 = 10_957 * 86_400 * 1_000_000

    /// - Returns: nil before the year -290 000 or so, where the difference of the epochs does not fit.
    package init?(microsecondsSince1970: Int64) {
        let (difference, overflow) = microsecondsSince1970.subtractingReportingOverflow(
            Self.epochInMicrosecondsSince1970)
        if overflow { return nil }
        microsecondsSince2000 = difference
    }

    /// Rounded towards the past; never overflows.
    package var millisecondsSince1970: Int64 {
        let milliseconds = microsecondsSince2000 / 1_000
        let roundsUp = microsecondsSince2000 % 1_000 < 0
        return milliseconds - (roundsUp ? 1 : 0) + Self.epochInMicrosecondsSince1970 / 1_000
    }

    package static func < (left: PostgresTimestamp, right: PostgresTimestamp) -> Bool {
        left.microsecondsSince2000 < right.microsecondsSince2000
    }
}
