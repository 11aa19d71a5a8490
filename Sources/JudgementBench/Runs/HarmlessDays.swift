// The days of the table of false rollbacks.

import Analysis

extension HarmlessDay {
    private static let hour: Int64 = 3_600_000

    /// 30 % of both versions' requests fail for a minute, every two hours.
    static let incidents = stride(from: hour, to: dayMilliseconds, by: Int(2 * hour)).map { $0..<$0 + 60_000 }

    /// Three outages of what both versions need, of ten minutes each, at any phase of the looks.
    static func outages(seed: UInt64) -> [Range<Int64>] {
        let phase = Int64(seed % 250)
        return [3, 11, 19].map { $0 * hour + phase..<$0 * hour + phase + 600_000 }
    }

    /// - Parameter seed: of the release; it moves what happens at a fixed time against the looks.
    package static func all(seed: UInt64 = 0) -> [HarmlessDay] {
        let outages = outages(seed: seed)
        let phase = Int64(seed % 250)
        let early = [300_000 + phase..<420_000 + phase]
        let broken = UserWorld.Habits(brokenShare: 0.005), stubborn = UserWorld.Habits(retries: Retries())
        return [
            HarmlessDay(name: "quiet", title: "quiet", traffic: .requests { _ in Conditions() }),
            HarmlessDay(
                name: "incidents", title: "30 % of both fail for 60 s, every 2 h",
                traffic: .requests { now in
                    let fails = incidents.contains { $0.contains(now) }
                    return both(failing: fails ? 0.3 : 0.001)
                }, troubles: incidents),
            HarmlessDay(
                name: "ramp", title: "base rises 0.1 -> 2.1 % while the share goes 1 -> 50 %",
                traffic: .requests { now in
                    let share = [100, 500, 1_000, 2_500, 5_000][Int(now * 5 / dayMilliseconds)]
                    var conditions = both(failing: 0.001 + 0.02 * Double(now) / Double(dayMilliseconds))
                    conditions.share = share
                    conditions.canaryPerSecond = 20 * Double(share) / 10_000
                    return conditions
                }),
            HarmlessDay(
                name: "retries", title: "what failed is tried again, twice at most, the coin tossed anew",
                traffic: .requests { _ in
                    var conditions = Conditions()
                    conditions.retries = Retries()
                    return conditions
                }),
            HarmlessDay(
                name: "outage", title: "all of both fail for 10 min, 3 times; stable's time out after 30 s",
                traffic: .requests { now in
                    outages.contains { $0.contains(now) } ? failingWithTimeouts(canaryPerSecond: 5) : Conditions()
                }, troubles: outages, fineMilliseconds: 30_000),
            HarmlessDay(
                name: "outage-busy",
                title: "the same once, 5 min after the start, 50 canary requests a second (15 min in all)",
                traffic: .requests { now in
                    guard early.contains(where: { $0.contains(now) }) else { return Conditions(canaryPerSecond: 50) }
                    return failingWithTimeouts(canaryPerSecond: 50)
                }, troubles: early, fineMilliseconds: 30_000, lasts: hour / 4),
            HarmlessDay(
                name: "users", title: "0.5 % of the users fail always, sticky, judged by user",
                traffic: .users(broken, by: .user)),
            HarmlessDay(
                name: "users-by-request", title: "the same, judged by request (not what sticky cohorts allow)",
                twin: "users", traffic: .users(broken, by: .request), goal: nil),
            HarmlessDay(
                name: "retries-sticky", title: "tried again in the same version, sticky, judged by user",
                traffic: .users(stubborn, by: .user)),
            HarmlessDay(
                name: "retries-by-request", title: "the same, judged by request (not what sticky cohorts allow)",
                twin: "retries-sticky", traffic: .users(stubborn, by: .request), goal: nil),
            HarmlessDay(
                name: "low", title: "1 canary request a second",
                traffic: .requests { _ in Conditions(canaryPerSecond: 1) }),
            HarmlessDay(
                name: "trickle", title: "0.05 canary requests a second",
                traffic: .requests { _ in Conditions(canaryPerSecond: 0.05) }),
        ]
    }

    private static func both(failing rate: Double) -> Conditions {
        Conditions(canary: Conduct(failureRate: rate), stable: Conduct(failureRate: rate))
    }

    private static func failingWithTimeouts(canaryPerSecond: Double) -> Conditions {
        var conditions = both(failing: 1)
        conditions.canaryPerSecond = canaryPerSecond
        conditions.stable.failsAfterMilliseconds = 30_000
        return conditions
    }
}
