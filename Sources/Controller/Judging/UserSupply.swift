// How fast users come to a service, as the recorded looks of a past release show it. Pure.

import Analysis
import Releases

/// Different users at the share that met the most of them.
struct UserSupply: Sendable {
    private struct Stay {
        var firstAt: Int64
        var lastAt: Int64
        var users: UInt64
    }

    private var reading: Reading?
    private var stays: [Int: Stay] = [:]

    mutating func take(_ look: RecordedLook) {
        guard let news = look.news else { return }
        var sum = reading ?? Reading(boot: news.boot)
        sum.add(news)
        reading = sum
        for share in news.shares where share.share > 0 {
            let users = (share.stable.users?.seen ?? 0) + (share.canary.users?.seen ?? 0)
            stays[share.share, default: Stay(firstAt: look.at, lastAt: look.at, users: 0)].users = users
            stays[share.share]?.lastAt = look.at
        }
    }

    /// Users a second, and how many there were; nil when none were counted.
    var result: (perSecond: Double, known: UInt64)? {
        guard let most = stays.values.max(by: { $0.users < $1.users }), most.users > 0 else { return nil }
        let seconds = max(1, Double(most.lastAt - most.firstAt) / 1_000)
        return (Double(most.users) / seconds, most.users)
    }
}
