// What is known of the versions that are watched, kept so that a restart of daemon or router loses none of it.

package import Analysis
package import Releases
package import Traffic

/// The judge of a release with everything it has taken in, and the counts of the phase. A lost, doubled or late reading
/// changes nothing; it is written to the store whole, so the judge goes on with the same wealth after a crash.
package struct WatchProgress: Hashable, Sendable, Codable {
    package private(set) var phase: Phase
    /// Counts since the phase began.
    package private(set) var stable = VersionCounts()
    package private(set) var canary = VersionCounts()
    /// What the last look said.
    package private(set) var standing = Standing(verdict: .hold, why: ["nothing is known yet"])
    private var boot: String
    private var lastStable: VersionCounts
    private var lastCanary: VersionCounts
    /// Compares the canary with stable, from the first step to the last.
    private var release: ReleaseTest
    /// Holds a version that has all traffic to its limits; nil while both have some.
    private var bake: BakeTest?
    /// Holds a canary beside stable to its latency limits: where users are given to the versions nothing else judges them.
    private var latencyLimits: BakeTest?

    /// - Parameters:
    ///   - earlier: of the release's phase before, whose judge goes on.
    ///   - reading: the phase's counts start with it.
    package init(_ state: ReleaseState, after earlier: WatchProgress?, reading: RouterReport, at now: Instant) {
        phase = state.phase
        boot = reading.boot
        lastStable = reading.stable
        lastCanary = reading.canary
        let settings = JudgingSettings(state.policy)
        let time = now.millisecondsSince1970
        release = earlier?.release ?? ReleaseTest(settings: settings, at: time)
        if !settings.limits.latency.isEmpty {
            latencyLimits =
                earlier?.latencyLimits
                ?? BakeTest(settings: settings.latencyLimitsOnly, arm: .canary, at: time, baseline: [reading.counts])
        }
        switch state.phase {
        case .canary(let step):
            if case .share(let share, let span) = state.policy.cohort.steps[step] {
                release.beginStep(shortestMilliseconds: span.milliseconds, at: time)
                if share == .all {
                    bake = BakeTest(settings: settings, arm: .canary, at: time, baseline: [reading.counts])
                }
            }
        case .baking: bake = BakeTest(settings: settings, arm: .stable, at: time, baseline: [reading.counts])
        default: break
        }
    }

    /// Takes in a reading and says what follows.
    package mutating func judge(
        _ reading: RouterReport, _ state: ReleaseState, isCanaryReady: Bool, at now: Instant
    ) -> Look {
        add(reading)
        let tick = Tick(at: now.millisecondsSince1970, counts: [reading.counts], isCanaryReady: isCanaryReady)
        let look: Look
        if let verdict = bake?.judge(tick) {
            look = .rollBack(verdict)
        } else if bake != nil {
            look = missingRequests(state).map { .goOn($0) } ?? .advance
        } else {
            let slow = latencyLimits?.judge(tick)
            look = comparison(release.judge(tick), slow: slow, state)
        }
        standing = Standing(look, self, state)
        return look
    }

    /// - Parameter slow: the canary's verdict over its latency limits; in an incident of both versions it waits.
    private func comparison(_ judgement: Judgement, slow: RollbackVerdict?, _ state: ReleaseState) -> Look {
        if let slow {
            if case .hold(let reason) = judgement, case .incident = reason { return .hold(reason) }
            return .rollBack(slow)
        }
        return switch judgement {
        case .rollBack(let verdict): .rollBack(verdict)
        case .advance: missingRequests(state).map { .goOn($0) } ?? .advance
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

    private func missingRequests(_ state: ReleaseState) -> String? {
        let needed = UInt64(state.policy.watch.minimumRequests)
        guard watched.judged < needed else { return nil }
        return "\(watchedName) answered \(watched.judged) requests, \(needed) are needed before it can pass"
    }

    private mutating func add(_ reading: RouterReport) {
        if reading.boot != boot {  // a fresh router counts from zero
            boot = reading.boot
            lastStable = VersionCounts()
            lastCanary = VersionCounts()
        }
        guard reading.stable.requests >= lastStable.requests, reading.canary.requests >= lastCanary.requests else {
            return  // an older reading of the same boot
        }
        stable.add(reading.stable.since(lastStable))
        canary.add(reading.canary.since(lastCanary))
        lastStable = reading.stable
        lastCanary = reading.canary
    }
}
