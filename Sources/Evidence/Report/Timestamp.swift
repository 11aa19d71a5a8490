// Moments as a report shows them: ISO 8601 in UTC. Pure.

import Releases

extension Instant {
    /// `2026-03-01T12:00:00.250Z`
    var iso8601: String {
        let (days, milliseconds) = Self.floored(millisecondsSince1970, by: 86_400_000)
        let (year, month, day) = Self.date(daysSince1970: days)
        let seconds = milliseconds / 1_000
        return "\(year)-\(Self.padded(month, 2))-\(Self.padded(day, 2))T\(Self.padded(seconds / 3_600, 2)):"
            + "\(Self.padded(seconds / 60 % 60, 2)):\(Self.padded(seconds % 60, 2)).\(Self.padded(milliseconds % 1_000, 3))Z"
    }

    /// `12:00:00.250`
    var timeOfDay: String { String(iso8601.split(separator: "T")[1].dropLast()) }

    /// Civil date from a day count, by eras of 400 years that begin on 1 March (Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms").
    private static func date(daysSince1970 days: Int64) -> (Int64, Int64, Int64) {
        let (era, dayOfEra) = floored(days + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func floored(_ value: Int64, by divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
