// When a version counts as bad: what is compared, against which limits, and what happens while nothing is known.

extension Policy {
    /// When a version counts as bad.
    package struct Watch: Hashable, Sendable, Codable {
        /// Requests without which nothing passes, however clear the evidence.
        package var minimumRequests = 50
        /// Failures of the new version without which nothing is rolled back.
        package var minimumFailures = 3
        /// The share of releases that are no worse than stable and may be rolled back all the same, in basis points.
        package var falseAlarmsBasisPoints = 100
        /// How long a step may lack evidence, and what then.
        package var noDataWait: Span = .minutes(10)
        package var noDataThen: NoData = .hold
        /// While both versions break a limit.
        package var sharedIncident = SharedIncident.hold
        /// A step lasts at least this, so that slow requests have settled; nil: the request timeout and 10 s more.
        package var settle: Span?
        package var errors = Errors()
        package var latency = Latency()
        /// Paths that are judged by themselves beside the whole: `/checkout` exactly, `/api/orders/*` all below it.
        package var routes: [String] = []
        /// What else is watched beside the router's counts; at most 16, each with a name of its own.
        package var metrics: [Metric] = []
        package init() {}
    }

    /// Failed requests: 5xx, connect failures, resets, timeouts. Shares in basis points.
    package struct Errors: Hashable, Sendable, Codable {
        /// The highest share of failed requests.
        package var maxBasisPoints = 100
        /// The canary is no worse while its share of failures is at most `times` stable's plus `worseBy`; 1...10.
        package var times = 1.0
        /// What the canary may fail more often than stable and still be no worse.
        package var worseByBasisPoints = 10
        /// A step passes when the canary is shown to fail less than this more often than stable.
        package var provenBasisPoints = 50
        /// What this evidence counts beside that of latency and of other sources; only the proportions matter.
        package var weight = 0.6
        /// Judged and shown, and nothing follows from it.
        package var isDryRun = false
        package init() {}
    }

    /// How long answers take.
    package struct Latency: Hashable, Sendable, Codable {
        /// How much slower than stable is no slower, in basis points of stable's quantile; nil: not compared.
        package var worseByBasisPoints: Int? = 1_000
        /// Added to what is no slower, for services whose quantiles are a few milliseconds.
        package var plus: Span = .zero
        /// The quantiles that are compared, in thousandths, rising.
        package var quantilesPerMille = [500, 950, 990]
        /// What this evidence counts beside that of errors and of other sources; only the proportions matter.
        package var weight = 0.4
        /// Judged and shown, and nothing follows from it.
        package var isDryRun = false
        /// Upper limits of quantiles, the quantiles rising.
        package var max: [LatencyLimit] = []
        package init() {}
    }

    package struct LatencyLimit: Hashable, Sendable, Codable {
        /// In thousandths: 500 is p50, 950 is p95, 999 is p99.9.
        package var quantilePerMille: Int
        package var max: Span
        package init(quantilePerMille: Int, max: Span) {
            self.quantilePerMille = quantilePerMille
            self.max = max
        }
    }

    package enum SharedIncident: String, Hashable, Sendable, Codable, CaseIterable {
        /// The canary keeps its share, and no step ends.
        case hold
        /// The canary gets no traffic until it is over.
        case drain
        case rollBack = "roll-back"
    }

    package enum NoData: String, Hashable, Sendable, Codable, CaseIterable {
        case hold
        case rollBack = "roll-back"
        case promote
    }
}
