// What a release is judged by beside the router's counts: a number that SQL or Prometheus answers, or another proxy's
// counters of both versions.

extension Policy {
    /// One source of evidence that is not the router.
    package struct Metric: Hashable, Sendable, Codable {
        /// `[a-z0-9-]`, unique in a policy, neither `errors` nor `latency`.
        package var name: String
        package var source: Source
        /// From one reading to the next.
        package var every: Span = .seconds(15)
        /// Longest wait for an answer.
        package var timeout: Span = .seconds(5)
        package var then = Consequence.hold
        /// Read, judged and shown, and nothing follows from it.
        package var isDryRun = false

        package init(name: String, source: Source) {
            self.name = name
            self.source = source
        }

        package enum Source: Hashable, Sendable, Codable {
            /// One row with one number, asked of a database.
            case sql(SQLNumber)
            /// One number, asked of Prometheus. It is not known whose doing it is, so it never rolls back.
            case prometheus(PrometheusNumber)
            /// Failures and requests of both versions, counted by one process that sees both.
            case counters(PrometheusCounters)
        }
    }

    /// What follows from a metric that is outside its limits.
    package enum Consequence: String, Hashable, Sendable, Codable, CaseIterable {
        /// The canary goes back.
        case rollBack = "roll-back"
        /// No step ends until it is within its limits again.
        case hold
        /// It is said once in the release's story.
        case advise
    }

    /// The numbers that are fine: from `min` to `max`, both included. One of them is there.
    package struct Limits: Hashable, Sendable, Codable {
        package var min: Double?
        package var max: Double?
        package init(min: Double? = nil, max: Double? = nil) {
            self.min = min
            self.max = max
        }
    }

    package struct SQLNumber: Hashable, Sendable, Codable {
        /// One SELECT or VALUES; run in a read-only transaction.
        package var sql: String
        /// Where it is asked; best a role that may only read.
        package var url: Secret
        package var limits: Limits
        package init(sql: String, url: Secret, limits: Limits) {
            self.sql = sql
            self.url = url
            self.limits = limits
        }
    }

    package struct PrometheusNumber: Hashable, Sendable, Codable {
        /// `http://host:port`, with a path where Prometheus is served below one.
        package var address: String
        /// PromQL whose instant answer is a scalar or a vector of one series.
        package var query: String
        package var limits: Limits
        package init(address: String, query: String, limits: Limits) {
            self.address = address
            self.query = query
            self.limits = limits
        }
    }

    package struct PrometheusCounters: Hashable, Sendable, Codable {
        package var address: String
        /// Selectors of counters; failures are a part of requests.
        package var failures: String
        package var requests: String
        /// The label that names the version, and its values for both.
        package var versionLabel = "version"
        package var stable = "stable"
        package var canary = "canary"
        /// The label that names the process that counted.
        package var processLabel = "instance"
        /// What this evidence counts beside that of errors and of latency; only the proportions matter.
        package var weight = 0.3
        package init(address: String, failures: String, requests: String) {
            self.address = address
            self.failures = failures
            self.requests = requests
        }
    }
}
