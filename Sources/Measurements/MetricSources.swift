// Reads what policies ask beside the router.

package import Ports
package import Releases

/// Asks databases and Prometheus. Keeps nothing between readings: a source that went away and came back is simply asked.
package struct MetricSources: MetricPort {
    private let secrets: @Sendable (Secret) throws(Failure) -> String
    private let window: Span

    /// - Parameters:
    ///   - secrets: the value of a secret.
    ///   - window: how old a scrape of counters may be; a metric that is read more rarely is given twice its interval.
    package init(
        window: Span = .minutes(2), secrets: @escaping @Sendable (Secret) throws(Failure) -> String
    ) {
        self.window = window
        self.secrets = secrets
    }

    package func read(_ metric: Policy.Metric) async -> MetricReading {
        do throws(NoData) {
            switch metric.source {
            case .sql(let number):
                return .value(try await SQLQuestion(number, within: metric.timeout, secrets: secrets).ask())
            case .prometheus(let number):
                let prometheus = Prometheus(address: number.address, timeout: metric.timeout)
                return .value(try await prometheus.number(number.query))
            case .counters(let counters):
                let prometheus = Prometheus(address: counters.address, timeout: metric.timeout)
                let window = max(window, .milliseconds(2 * metric.every.milliseconds))
                return .counts(try await prometheus.counters(counters, window: window))
            }
        } catch {
            return .noData(error.why)
        }
    }
}

/// Why a source has no number now.
struct NoData: Error {
    /// Lower case, no full stop, one line of bounded length.
    let why: String

    init(_ why: String) {
        // What others say may hold line breaks, and has no end of its own.
        let line = why.unicodeScalars.prefix(400).map {
            $0.properties.generalCategory == .control ? " " : String($0)
        }.joined()
        self.why = line + (why.unicodeScalars.count > 400 ? "..." : "")
    }
}
