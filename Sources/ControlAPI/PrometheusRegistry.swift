// Metrics kept in this process and read by Prometheus.

package import Metrics
import Synchronization

/// The process's metrics. Names and label sets are bounded: past the bound a new one is counted as dropped and goes nowhere.
///
/// A label of swift-metrics becomes a name by putting `_` for what Prometheus does not allow. A counter's name ends in
/// `_total`; a timer is a histogram in seconds and its name ends in `_seconds`; a recorder that aggregates is a histogram,
/// one that does not is a gauge.
package final class PrometheusRegistry: MetricsFactory {
    package static let durationBuckets: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// For sizes and counts.
    package static let sizeBuckets: [Double] = [
        1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
    ]

    struct Family {
        var kind: Series.Kind
        var series: [Labels: Series] = [:]
        /// Label sets that found no room.
        var dropped = 0
    }

    private let mostSeries: Int
    private let mostNames: Int
    private let families = Mutex<[String: Family]>([:])
    private let help = Mutex<[String: String]>([:])

    /// - Parameter mostSeries: label sets kept for one name.
    package init(mostSeries: Int = 500, mostNames: Int = 500) {
        self.mostSeries = mostSeries
        self.mostNames = mostNames
    }

    /// The `# HELP` line of a metric; `label` as it is given to swift-metrics.
    package func describe(counter label: String, _ text: String) { describe(metricName(label, ending: "_total"), text) }
    package func describe(timer label: String, _ text: String) { describe(metricName(label, ending: "_seconds"), text) }
    package func describe(gauge label: String, _ text: String) { describe(metricName(label), text) }

    private func describe(_ name: String, _ text: String) { help.withLock { $0[name] = text } }

    /// Text exposition format 0.0.4; names and label sets in order.
    package func render() -> String {
        let families = families.withLock { $0 }
        let help = help.withLock { $0 }
        return exposition(families, help: help)
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(metricName(label, ending: "_total"), dimensions, .counter)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(metricName(label, ending: "_total"), dimensions, .counter)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(metricName(label), dimensions, .gauge)
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        series(metricName(label), dimensions, aggregate ? .histogram(Self.sizeBuckets) : .gauge)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(metricName(label, ending: "_seconds"), dimensions, .histogram(Self.durationBuckets))
    }

    // A series outlives its handle: what it counted stays on the page until the process ends.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func series(_ name: String, _ dimensions: [(String, String)], _ kind: Series.Kind) -> Series {
        let labels = Labels(dimensions)
        return families.withLock { families in
            guard families[name] != nil || families.count < mostNames else { return Series(kind) }
            var family = families[name] ?? Family(kind: kind)
            defer { families[name] = family }
            if family.kind == kind, let known = family.series[labels] { return known }
            guard family.kind == kind, family.series.count < mostSeries else {
                family.dropped += 1
                return Series(kind)
            }
            let new = Series(kind)
            family.series[labels] = new
            return new
        }
    }
}

/// A label set in the order Prometheus shows it.
struct Labels: Hashable, Comparable, Sendable {
    let pairs: [String]
    /// `route="/x",status="200"`.
    var text: String { pairs.joined(separator: ",") }

    init(_ dimensions: [(String, String)]) {
        pairs = dimensions.map { "\(labelName($0.0))=\"\(escaped($0.1, quotes: true))\"" }.sorted()
    }

    static func < (left: Labels, right: Labels) -> Bool { left.text < right.text }
}

/// One name with one label set.
final class Series: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    enum Kind: Hashable, Sendable {
        case counter
        case gauge
        /// Upper edges, rising; the last bucket, +Inf, is not among them.
        case histogram([Double])
    }

    struct Reading: Sendable {
        /// Of a counter or gauge; of a histogram the sum.
        var value = 0.0
        var count: UInt64 = 0
        /// Not cumulative; one more than the edges.
        var buckets: [UInt64] = []
    }

    let kind: Kind
    private let state: Mutex<Reading>

    init(_ kind: Kind) {
        self.kind = kind
        var reading = Reading()
        if case .histogram(let edges) = kind { reading.buckets = Array(repeating: 0, count: edges.count + 1) }
        state = Mutex(reading)
    }

    var reading: Reading { state.withLock { $0 } }

    func increment(by amount: Int64) { add(Double(amount)) }
    func reset() { state.withLock { $0.value = 0 } }
    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { state.withLock { $0.value = value } }
    func increment(by amount: Double) { add(amount) }
    func decrement(by amount: Double) { add(-amount) }
    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard case .histogram(let edges) = kind else { return set(value) }
        guard value.isFinite else { return }
        let bucket = edges.firstIndex { value <= $0 } ?? edges.count
        state.withLock { reading in
            reading.value += value
            reading.count += 1
            reading.buckets[bucket] += 1
        }
    }

    private func add(_ amount: Double) {
        // A counter that falls would look like a restart.
        guard amount.isFinite, kind != .counter || amount >= 0 else { return }
        state.withLock { $0.value += amount }
    }
}
