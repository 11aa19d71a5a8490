// How strict judging is: every number it is held to, with the defaults. Pure values.

/// What a release is judged by. A value with every default filled in; the policy of a service changes some.
package struct JudgingSettings: Hashable, Sendable, Codable {
    /// What the coin is tossed for.
    package enum Unit: String, Hashable, Sendable, Codable, CaseIterable {
        /// Each request by itself.
        case request
        /// A user stays with a version: his first failure of a release counts, the others say nothing new.
        case user
    }

    /// What is done while both versions break a limit: nobody knows then what the canary is like.
    package enum SharedIncident: String, Hashable, Sendable, Codable, CaseIterable {
        /// The canary keeps its share, no step ends.
        case hold
        /// The canary's share is 0 until it is over.
        case drain
        case rollBack = "roll-back"
    }

    package var unit = Unit.request
    /// alpha: the chance that a canary that is no worse is rolled back, in (0, 1).
    package var falseAlarmRate = 0.01
    /// What the canary's failure rate may be and still count as no worse.
    package var errors = ErrorNull()
    /// delta_ok: a step passes when the canary is shown to fail less than this more often than stable; in (0, 1).
    package var provenExcess = 0.005
    /// nil: latency is not judged.
    package var latency: Latency? = Latency()
    /// Weights of the two metrics in the wealth; only their ratio counts.
    package var errorsWeight = 0.6
    package var latencyWeight = 0.4
    /// Failures, of routes as well, are judged and shown, and neither roll back nor gate a step.
    package var errorsDryRun = false
    /// Routes that are judged by themselves besides, as ``RouteCounts`` names them; their wealth is half of the errors'.
    package var routes: [String] = []
    /// Failures that somebody else counts.
    package var external: [External] = []
    /// Bad canary units without which nothing is rolled back, however strong the evidence.
    package var minimumFailures: UInt64 = 3
    /// E-value at which a step passes: a canary worse by `provenExcess` passes it in at most 1 of so many releases.
    package var advanceEvidence = 20.0
    /// No step passes while there is this much wealth against the canary.
    package var advanceWealthMax = 10.0
    /// E-value at which the split of the traffic is not the one that was asked for.
    package var routingEvidence = 10_000.0
    /// Limits of the new version alone.
    package var limits = AbsoluteLimits()
    /// Wealth at which a version that has all traffic breaks a limit.
    package var limitEvidence = 1_000.0
    package var sharedIncident = SharedIncident.hold
    /// The longest release in minutes: cash is at stake in equal parts until then.
    package var longestReleaseMinutes = 1_440
    /// After how long the router gives a request up.
    package var requestTimeoutMilliseconds: Int64 = 30_000
    /// A step lasts at least this, so that the slow requests of its beginning have settled.
    package var settleMilliseconds: Int64 = 40_000
    /// How much longer than its minimum a step may lack evidence before it is held.
    package var patienceMilliseconds: Int64 = 600_000

    package init() {}

    /// A quantile in thousandths, and what its advance test proves.
    package struct Quantile: Hashable, Sendable, Codable {
        package var perMille: Int
        /// A step passes when the canary is shown to be slow less than this more often than stable; in (0, 1).
        package var provenExcess: Double

        package init(perMille: Int, provenExcess: Double) {
            self.perMille = perMille
            self.provenExcess = provenExcess
        }
    }

    package struct Latency: Hashable, Sendable, Codable {
        package var quantiles = [
            Quantile(perMille: 500, provenExcess: 0.05),
            Quantile(perMille: 950, provenExcess: 0.02),
            Quantile(perMille: 990, provenExcess: 0.01),
        ]
        /// How much slower still counts as no slower: 0.1 is 10 %. Rounded to whole buckets of 9.05 %, at least one of them
        /// unless it is 0.
        package var margin = 0.1
        /// Added to it, in microseconds.
        package var marginMicroseconds: Int64 = 0
        /// Stable requests without which a quantile of stable is not known.
        package var minimumSamples: UInt64 = 1_000
        /// Share of failed requests in either version above which latency says nothing.
        package var pauseAbove = 0.1
        /// Latency is judged and shown, and neither rolls back nor gates a step.
        package var dryRun = false

        package init() {}
    }

    /// A metric of ``ExternalCounts``. It rolls back, and gates no step but by its part in W.
    package struct External: Hashable, Sendable, Codable {
        package var name: String
        /// In the wealth, beside ``errorsWeight`` and ``latencyWeight``.
        package var weight: Double
        /// It is judged and shown, and does not roll back. So is each where users are given to the versions: the counts are
        /// of requests, and the requests of one user are not independent.
        package var dryRun: Bool

        package init(name: String, weight: Double, dryRun: Bool = false) {
            self.name = name
            self.weight = weight
            self.dryRun = dryRun
        }
    }

    /// The null of the failures: a user who stays counts once, so no excess is granted to each of his requests.
    var errorNull: ErrorNull { unit == .user ? ErrorNull(ratio: errors.ratio, excess: 0) : errors }

    /// Latency of requests is not judged when users were given to the versions, not requests.
    var judgedLatency: Latency? {
        guard unit == .request, let latency, !latency.quantiles.isEmpty else { return nil }
        return latency
    }

    /// 1/alpha: W that rolls back.
    package var rollbackEvidence: Double { 1 / max(falseAlarmRate, 1e-300) }

    /// A step passes only when the canary is shown to be good by this metric.
    func gatesAdvance(_ metric: Metric) -> Bool {
        switch metric {
        case .errors: !errorsDryRun
        case .latency: judgedLatency?.dryRun == false
        case .route, .external: false
        }
    }
}
