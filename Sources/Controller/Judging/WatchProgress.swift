// What is known of the versions that are watched, kept so that a restart of daemon or router loses none of it.

package import Analysis
package import Releases

/// What is watched: a phase of a release, under a policy.
package struct WatchedPhase: Hashable, Sendable {
    package var release: ReleaseID
    package var policy: Policy
    package var phase: Phase
    package var since: Instant
}

extension ReleaseState {
    package var watched: WatchedPhase {
        WatchedPhase(release: id, policy: policy, phase: phase, since: phaseSince)
    }
}

/// The judge of a release with everything it has taken in, and the counts of the phase. A lost, doubled or late reading
/// changes nothing; it is written to the store whole, so the judge goes on with the same wealth after a crash.
package struct WatchProgress: Hashable, Sendable, Codable {
    package let phase: Phase
    package let since: Instant
    /// Counts since the phase began.
    package private(set) var stable = VersionCounts()
    package private(set) var canary = VersionCounts()
    /// What the last look said.
    package private(set) var standing = Standing(verdict: .hold, why: ["nothing is known yet"])
    /// Looks so far in this release.
    package private(set) var looks: Int
    private var last: Reading
    /// Compares the canary with stable, from the first step to the last.
    package private(set) var release: ReleaseTest
    /// Holds a version that has all traffic to its limits; nil while both have some.
    private var bake: BakeTest?
    /// Holds a canary beside stable to its latency limits: where users are given to the versions nothing else judges them.
    private var latencyLimits: BakeTest?

    /// - Parameters:
    ///   - earlier: of the release's phase before, whose judge goes on.
    ///   - past: what stable answered before the canary got traffic; for a release's first phase.
    ///   - reading: the phase's counts start with it.
    package init(
        _ watched: WatchedPhase, after earlier: WatchProgress?, past: VersionCounts? = nil, reading: Reading,
        at now: Instant
    ) {
        phase = watched.phase
        since = watched.since
        looks = (earlier?.looks ?? 0) + 1
        last = reading
        let settings = JudgingSettings(watched.policy)
        let time = now.millisecondsSince1970
        release = earlier?.release ?? ReleaseTest(settings: settings, at: time, past: past ?? VersionCounts())
        if !settings.limits.latency.isEmpty {
            latencyLimits =
                earlier?.latencyLimits
                ?? BakeTest(settings: settings.latencyLimitsOnly, arm: .canary, at: time, baseline: [reading.counts])
        }
        switch watched.phase {
        case .canary(let step):
            if case .share(let share, let span) = watched.policy.cohort.steps[step] {
                release.beginStep(shortestMilliseconds: span.milliseconds, at: time)
                if share == .all {
                    bake = BakeTest(settings: settings, arm: .canary, at: time, baseline: [reading.counts])
                }
            }
        case .baking: bake = BakeTest(settings: settings, arm: .stable, at: time, baseline: [reading.counts])
        default: break
        }
    }

    /// The phase's beginning, as it is kept.
    ///
    /// The parameters are what ``init(_:after:past:reading:at:)`` was given.
    package func recordedBeginning(
        after earlier: WatchProgress?, past: VersionCounts?, at now: Instant
    ) -> RecordedLook {
        RecordedLook(
            number: looks, at: now.millisecondsSince1970, begins: .init(phase: phase, since: since, past: past),
            isCanaryReady: true,
            news: ReadingNews(of: last, since: earlier.flatMap { last.follows($0.last) ? $0.last : nil }))
    }

    /// Takes in a reading and says what follows.
    ///
    /// - Parameter reading: nil when there is none that is newer than the last.
    /// - Returns: what follows, and the look as it is kept.
    package mutating func judge(
        _ reading: Reading?, _ watched: WatchedPhase, isCanaryReady: Bool, at now: Instant
    ) -> (look: Look, recorded: RecordedLook) {
        looks += 1
        let news = reading.flatMap { take($0) }
        let tick = Tick(
            at: now.millisecondsSince1970, counts: news == nil ? [] : [last.counts], isCanaryReady: isCanaryReady)
        let look: Look
        if let verdict = bake?.judge(tick) {
            look = .rollBack(verdict)
        } else if bake != nil {
            look = missingRequests(watched.policy).map { .goOn($0) } ?? .advance
        } else {
            let slow = latencyLimits?.judge(tick)
            look = comparison(release.judge(tick), slow: slow, watched.policy)
        }
        standing = Standing(look, self, watched)
        let recorded = RecordedLook(
            number: looks, at: now.millisecondsSince1970, begins: nil, isCanaryReady: isCanaryReady, news: news)
        return (look, recorded)
    }

    /// - Parameter slow: the canary's verdict over its latency limits; in an incident of both versions it waits.
    private func comparison(_ judgement: Judgement, slow: RollbackVerdict?, _ policy: Policy) -> Look {
        if let slow {
            if case .hold(let reason) = judgement, case .incident = reason { return .hold(reason) }
            return .rollBack(slow)
        }
        return switch judgement {
        case .rollBack(let verdict): .rollBack(verdict)
        case .advance: missingRequests(policy).map { .goOn($0) } ?? .advance
        case .hold(let reason): .hold(reason)
        case .resume: .resume
        case .goOn(let missing): .goOn(missing.sentence)
        }
    }

    /// The version that is judged in this phase.
    var watched: VersionCounts { phase == .baking ? stable : canary }
    /// It has all traffic: there is nothing to compare it with.
    var isAlone: Bool { bake != nil }
    var watchedName: String { phase == .baking ? "new version" : "canary" }

    private func missingRequests(_ policy: Policy) -> String? {
        let needed = UInt64(policy.watch.minimumRequests)
        guard watched.judged < needed else { return nil }
        return "\(watchedName) answered \(watched.judged) requests, \(needed) are needed before it can pass"
    }

    /// - Returns: what is new; nil when the reading is older than the last one.
    private mutating func take(_ reading: Reading) -> ReadingNews? {
        if reading.counts.boot != last.counts.boot { last = Reading(boot: reading.counts.boot) }
        guard reading.follows(last) else { return nil }
        stable.add(reading.stable.since(last.stable))
        canary.add(reading.canary.since(last.canary))
        let news = ReadingNews(of: reading, since: last)
        last = reading
        return news
    }
}
