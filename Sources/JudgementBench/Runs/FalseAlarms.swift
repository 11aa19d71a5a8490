// A day of a canary that is no worse than stable: which rules stop the release?

package import Analysis

/// A day in which nothing is the canary's fault.
package struct HarmlessDay: Sendable {
    /// What the traffic comes from.
    package enum Traffic: Sendable {
        case requests(@Sendable (_ at: Int64) -> Conditions)
        /// Users who stay with a version, judged by this unit.
        case users(UserWorld.Habits, by: JudgingSettings.Unit)
    }

    package static let dayMilliseconds: Int64 = 86_400_000
    /// None of so many leaves an exact interval that ends below 1 %.
    package static let defaultReleases = 375
    /// How often Perch looks while nothing happens, and while something does.
    package static let calmTickMilliseconds: Int64 = 30_000
    package static let busyTickMilliseconds: Int64 = 5_000
    package static let fineTickMilliseconds: Int64 = 250

    package let name: String
    package let title: String
    /// The day whose traffic this one has, to the last request; nil: its own.
    package var twin: String?
    package var traffic: Traffic
    /// Spans in which both versions are in trouble; Perch looks every 5 s in them and for a minute after.
    package var troubles: [Range<Int64>] = []
    /// For so long after the beginning of a trouble Perch looks every 250 ms.
    package var fineMilliseconds: Int64 = 0
    /// Of the releases, how many Perch may stop; nil: the line shows what another setting would do.
    package var goal: Double? = 0.01
    /// In milliseconds.
    package var lasts = HarmlessDay.dayMilliseconds

    /// Runs one release.
    package func judge(seed: UInt64) -> JudgedRelease {
        switch traffic {
        case .requests(let conditions): judgeRequests(conditions, seed: seed)
        case .users(let habits, let unit): judgeUsers(habits, unit, seed: seed)
        }
    }

    /// The next look after `now`, on the grid of the present tick's length.
    func nextLook(after now: Int64) -> Int64 {
        var next = min((now / Self.calmTickMilliseconds + 1) * Self.calmTickMilliseconds, lasts)
        for trouble in troubles where trouble.lowerBound < next && now < trouble.upperBound + 60_000 {
            // The tick in which it begins is a short one already: in the field ticks are short all the time.
            let isFine = now < trouble.lowerBound + fineMilliseconds
            let tick = isFine && fineMilliseconds > 0 ? Self.fineTickMilliseconds : Self.busyTickMilliseconds
            let first = now < trouble.lowerBound ? trouble.lowerBound / tick * tick : now
            next = min(next, first > now ? first : (now / tick + 1) * tick)
        }
        return next
    }

    private func judgeRequests(_ conditions: (Int64) -> Conditions, seed: UInt64) -> JudgedRelease {
        var world = RequestWorld(seed: seed)
        var release = JudgedRelease(past: world.past())
        let changes = troubles.flatMap { [$0.lowerBound, $0.upperBound] }.sorted()
        var now: Int64 = 0
        while now < lasts, !release.haveAllStopped {
            let next = nextLook(after: now)
            var news = Settled(share: conditions(now).share)
            // A trouble begins and ends between two looks, as it likes.
            for end in changes.filter({ $0 > now && $0 < next }) + [next] {
                news.add(world.pass(now..<end, conditions(now)))
                now = end
            }
            release.note(news, at: now)
            guard release.perch == nil else { continue }
            release.look(
                world.counts(at: now, overdueAfterMilliseconds: release.overdueAfterMilliseconds), at: now)
            world.recordsLatency = release.perch == nil
        }
        return release
    }

    private func judgeUsers(_ habits: UserWorld.Habits, _ unit: JudgingSettings.Unit, seed: UInt64) -> JudgedRelease {
        var settings = JudgingSettings()
        settings.unit = unit
        var world = UserWorld(habits, seed: seed)
        var release = JudgedRelease(settings: settings, past: VersionCounts())
        var now: Int64 = 0
        while now < lasts, !release.haveAllStopped {
            let next = now + Self.calmTickMilliseconds
            release.note(world.pass(now..<next), at: next)
            if release.perch == nil { release.look(world.trafficCounts, at: next) }
            now = next
        }
        return release
    }
}
