// Judging a release again from its recorded looks: what another policy would have said, and when. Pure.

package import Analysis
package import ControlModel
package import Releases

package struct Rejudging: Sendable {
    private var watched: WatchedPhase
    private var reading: Reading?
    package private(set) var progress: WatchProgress?
    /// What changed from look to look, the first of each kind in a row.
    package private(set) var story: [Simulation.Turn] = []
    package private(set) var looks = 0
    /// A verdict against a version is the end: what came later came with its traffic.
    package private(set) var verdict: RollbackVerdict?
    private var lastKind = ""

    /// - Parameter policy: whose `watch` judges. Steps and their times are those that the release went through.
    package init(_ release: ReleaseID, policy: Policy) {
        watched = WatchedPhase(
            release: release, policy: policy, phase: .accepted, since: Instant(millisecondsSince1970: 0))
    }

    package mutating func take(_ recorded: RecordedLook) {
        guard verdict == nil else { return }
        looks += 1
        let now = Instant(millisecondsSince1970: recorded.at)
        if let news = recorded.news {
            var sum = reading ?? Reading(boot: news.boot)
            sum.add(news)
            reading = sum
        }
        guard let reading else { return }
        if let beginning = recorded.begins {
            watched.phase = beginning.phase
            watched.since = beginning.since
            progress = WatchProgress(
                watched, after: progress, past: beginning.past, reading: reading, at: now)
            note(beginning.phase.description(in: watched.policy), kind: "begins", now)
            return
        }
        guard var judge = progress else { return }
        let (look, _) = judge.judge(
            recorded.news.map { _ in reading }, watched, isCanaryReady: recorded.isCanaryReady, at: now)
        progress = judge
        if case .rollBack(let verdict) = look { self.verdict = verdict }
        note(judge.standing.why.joined(separator: "; "), kind: look.kind, now)
    }

    private mutating func note(_ text: String, kind: String, _ now: Instant) {
        guard kind != lastKind else { return }
        lastKind = kind
        let canary = reading?.canary ?? VersionCounts()
        story.append(
            Simulation.Turn(
                at: now.iso8601, phase: watched.phase.name, decision: kind, why: text, canaryRequests: canary.judged,
                canaryFailures: canary.failures))
    }
}

extension Look {
    /// One word for people and programs.
    var kind: String {
        switch self {
        case .rollBack: "roll-back"
        case .advance: "advance"
        case .hold: "hold"
        case .resume: "resume"
        case .goOn: "go-on"
        }
    }
}

extension Phase {
    /// `canary, step 2: 5% for 2m`.
    fileprivate func description(in policy: Policy) -> String {
        switch self {
        case .canary(let step), .waiting(let step, _):
            policy.cohort.steps.indices.contains(step)
                ? "\(name), step \(step + 1): \(policy.cohort.steps[step].sentence)" : "\(name), step \(step + 1)"
        default: name
        }
    }
}
