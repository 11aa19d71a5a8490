// What is asked of a report. Pure.

/// The query of `GET /report`.
struct ReportQuery: Hashable, Sendable {
    static let overdueAfter = "overdue_after"

    /// A request in flight for longer is overdue, in microseconds.
    var overdueAfterMicroseconds: UInt64 = 250_000

    struct Mistake: Error, Hashable {
        var text: String
    }

    /// - Parameter text: what follows the `?`; nil when there is none.
    /// - Throws: ``Mistake`` for anything but one `overdue_after` with a whole number of microseconds.
    init(_ text: Substring? = nil) throws(Mistake) {
        guard let text else { return }
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts[0] == Self.overdueAfter else {
            throw Mistake(text: "a report is asked with \(Self.overdueAfter)=MICROSECONDS or nothing, not '\(text)'")
        }
        guard parts.count == 2, parts[1].utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let microseconds = UInt64(parts[1])
        else {
            throw Mistake(text: "\(Self.overdueAfter) is a whole number of microseconds, not '\(text)'")
        }
        overdueAfterMicroseconds = microseconds
    }
}
