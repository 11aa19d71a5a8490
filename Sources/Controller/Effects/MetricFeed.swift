// Reads a policy's metrics beside the watching loop, each in its own time, so that a slow source delays no look.

import Analysis
import Ports
import Releases
import Synchronization

final class MetricFeed: Sendable {
    private struct State {
        var news: [MetricNews] = []
        /// The canary's share, since when it has been that, and whether it ever had one.
        var share = Share.none
        var shareSince: Instant
    }

    /// Readings that nobody took are dropped beyond this many, the oldest first.
    private static let mostNews = 256

    private let metrics: [Policy.Metric]
    private let port: any MetricPort
    private let now: @Sendable () -> Instant
    /// The longest time a request takes: what settles later was given out later.
    private let requestTimeout: Span
    private let state: Mutex<State>

    /// - Parameter shareSince: when the router confirmed `share`.
    init(_ policy: Policy, ports: ControllerPorts, share: Share, shareSince: Instant) {
        metrics = policy.watch.metrics
        port = ports.metrics
        now = ports.now
        requestTimeout = policy.traffic.timeout
        state = Mutex(State(share: share, shareSince: shareSince))
    }

    /// Reads until cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for metric in metrics { group.addTask { await self.read(metric) } }
        }
    }

    private func read(_ metric: Policy.Metric) async {
        var ledger = ScrapeLedger()
        while !Task.isCancelled {
            let began = ContinuousClock.now
            let news = await Self.news(of: metric, &ledger, port, now) { self.coin() }
            state.withLock { state in
                state.news.append(news)
                if state.news.count > Self.mostNews { state.news.removeFirst() }
            }
            try? await Task.sleep(until: began + metric.every.duration, clock: .continuous)
        }
    }

    /// The share and for how long every request that settled was given out at it.
    private func coin() -> (share: Share, heldMilliseconds: Int64) {
        state.withLock { ($0.share, now().since($0.shareSince).milliseconds - requestTimeout.milliseconds) }
    }

    /// The router serves another share from now on.
    func note(_ share: Share) {
        state.withLock { state in
            guard state.share != share else { return }
            state.share = share
            state.shareSince = now()
        }
    }

    /// What was read since it was taken last.
    func take() -> [MetricNews] {
        state.withLock { state in
            defer { state.news = [] }
            return state.news
        }
    }

    // MARK: One reading

    /// Every metric once, before the canary gets traffic.
    static func before(_ policy: Policy, _ ports: ControllerPorts) async -> [MetricNews] {
        await withTaskGroup { group in
            for metric in policy.watch.metrics {
                group.addTask {
                    var ledger = ScrapeLedger()
                    return await news(of: metric, &ledger, ports.metrics, ports.now) { (Share.none, 0) }
                }
            }
            var all: [MetricNews] = []
            for await news in group { all.append(news) }
            return all.sorted { $0.metric < $1.metric }
        }
    }

    private static func news(
        of metric: Policy.Metric, _ ledger: inout ScrapeLedger, _ port: any MetricPort,
        _ now: @Sendable () -> Instant, coin: () -> (share: Share, heldMilliseconds: Int64)
    ) async -> MetricNews {
        let began = now()
        let hadTraffic = coin().share > .none
        let content: MetricNews.Content
        switch await port.read(metric) {
        case .value(let value): content = .value(value)
        case .noData(let why): content = .noData(why)
        case .counts(let reading):
            let (share, held) = coin()
            let news = ledger.take(reading, heldMilliseconds: held)
            if let why = news.noData {
                content = .noData(why)
            } else {
                content = .counts(share > .none && share < .all ? ContingencyTable(news.counts, share) : nil)
            }
        }
        return MetricNews(metric: metric.name, beganAt: began, canaryHadTraffic: hadTraffic, content: content)
    }
}

extension ContingencyTable {
    /// nil: nothing is new.
    fileprivate init?(_ counts: ScrapeLedger.Counts, _ share: Share) {
        guard counts.stableRequests + counts.canaryRequests > 0 else { return nil }
        self.init(
            weight: Double(share.basisPoints) / 10_000,
            canary: .init(bad: counts.canaryFailures, total: counts.canaryRequests),
            stable: .init(bad: counts.stableFailures, total: counts.stableRequests))
    }
}
