// A release that Perch and every peer watch side by side; none of them changes the traffic.

package import Analysis

/// Where each rule stopped a release.
package struct JudgedRelease {
    /// A moment in the release, and what the canary had done by then.
    package struct Stop: Hashable, Sendable {
        package var milliseconds: Int64
        package var canary: Tally
    }

    /// The rules that Perch is compared with, in the order of the tables.
    package static var peers: [any ReleaseRule] {
        [ArgoRule(), FlaggerRule(), KayentaRule(), PooledZRule(), LindonMalekRule()]
    }
    package static let peerNames = peers.map { type(of: $0).name }

    /// When the release began, as Perch is told: milliseconds since 1970.
    static let start: Int64 = 1_700_000_000_000

    package private(set) var test: ReleaseTest
    package private(set) var perch: Stop?
    /// In the order of ``peers``.
    package private(set) var stops: [Stop?]
    package private(set) var canary = Tally()
    private var rules: [any ReleaseRule]
    /// Of Perch's looks, those that ended in a hold.
    package private(set) var holds = 0

    package init(
        settings: JudgingSettings = JudgingSettings(), past: VersionCounts, peers: [any ReleaseRule] = Self.peers
    ) {
        test = ReleaseTest(settings: settings, at: Self.start, past: past)
        rules = peers
        stops = peers.map { _ in nil }
    }

    package var haveAllStopped: Bool { perch != nil && !stops.contains(nil) }

    /// What settled by now, as the peers see it.
    package mutating func note(_ news: Settled, at now: Int64) {
        canary.add(news.canary)
        for index in rules.indices where stops[index] == nil {
            guard rules[index].rollsBack(after: news, at: now) else { continue }
            stops[index] = Stop(milliseconds: now, canary: canary)
        }
    }

    /// What the router reports now, as Perch sees it.
    @discardableResult
    package mutating func look(_ counts: TrafficCounts, at now: Int64) -> Judgement {
        let judgement = test.judge(Tick(at: Self.start + now, counts: [counts]))
        switch judgement {
        case .rollBack: perch = perch ?? Stop(milliseconds: now, canary: canary)
        case .hold: holds += 1
        case .advance, .resume, .goOn: break
        }
        return judgement
    }

    /// For the router: from when on a request in flight is overdue.
    var overdueAfterMilliseconds: Int64 { Int64(test.overdueAfterMicroseconds / 1_000) }

    package mutating func beginStep() { test.beginStep(shortestMilliseconds: 0, at: Self.start) }
}
