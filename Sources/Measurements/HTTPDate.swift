// A server's clock, as it says it with each answer (RFC 9110, 5.6.7: IMF-fixdate). Pure: no clock, no I/O.

enum HTTPDate {
    /// The last millisecond that `Sun, 06 Nov 1994 08:49:37 GMT` may mean, since 1970; nil for anything else.
    static func milliseconds(_ text: String) -> Int64? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let day = Int64(words[1]), let year = Int64(words[3]),
            let month = months.firstIndex(of: String(words[2])), (1...31).contains(day), (1970...9999).contains(year)
        else { return nil }
        let time = words[4].split(separator: ":").compactMap { Int64($0) }
        guard time.count == 3, (0...23).contains(time[0]), (0...59).contains(time[1]), (0...60).contains(time[2]) else {
            return nil
        }
        let seconds =
            ((days(year: year, month: Int64(month) + 1, day: day) * 24 + time[0]) * 60 + time[1]) * 60 + time[2]
        return seconds * 1_000 + 999
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is a year's last.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        // 719 468 days from 0000-03-01 to 1970-01-01.
        return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
    }
}
