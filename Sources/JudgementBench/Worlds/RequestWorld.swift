// A service under traffic, as its router counts it: independent requests, each given to a version by a coin.

package import Analysis

/// Requests arrive as a Poisson stream and settle in the tick they began in, except those of stable that wait for a timeout
/// or are under way when it ends: these the router counts as settled in the next. What the peers are told is never late.
package struct RequestWorld: Sendable {
    private var random: SeededRandom
    /// Answers of stable that come after the tick they were asked in, by share.
    private var underWay: [Int: UInt64] = [:]
    private var shares: [ShareCounts] = []
    private var samplers: [LatencyShape: LatencySampler] = [:]
    private var waiting: [Waiting] = []
    /// Latencies are drawn; without them the rest goes faster.
    package var recordsLatency = true

    /// Stable requests that began in this span and time out later.
    private struct Waiting: Sendable {
        var share: Int
        var began: Range<Int64>
        var requests: UInt64
        var baseline: UInt64
        var settlesAfter: Int64
    }

    package init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// What stable did before the release: `requests` of them.
    package mutating func past(of stable: Conduct = Conduct(), requests: UInt64 = 20_000) -> VersionCounts {
        var counts = VersionCounts()
        let tally = Tally(failed: random.binomial(requests, stable.failureRate), requests: requests)
        Self.record(tally, in: &counts, sampler(stable.latency), &random)
        return counts
    }

    /// Lets the span pass under these conditions.
    ///
    /// - Returns: what settled in it.
    package mutating func pass(_ span: Range<Int64>, _ conditions: Conditions) -> Settled {
        let seconds = Double(span.count) / 1_000
        let index = place(of: conditions.share)
        // A baseline of the canary's size, where stable has as much traffic.
        let baselinePerSecond = min(conditions.canaryPerSecond, conditions.stablePerSecond)
        var settled = Settled(share: conditions.share)
        var canary = tally(conditions.canaryPerSecond * seconds, conditions.canary)
        var baseline = tally(baselinePerSecond * seconds, conditions.stable)
        var others = tally((conditions.stablePerSecond - baselinePerSecond) * seconds, conditions.stable)
        if let retries = conditions.retries { retry(retries, conditions.weight, &canary, &baseline, &others) }
        if conditions.stable.failsAfterMilliseconds > 0 {
            waiting.append(
                Waiting(
                    share: conditions.share, began: span, requests: baseline.failed + others.failed,
                    baseline: baseline.failed, settlesAfter: conditions.stable.failsAfterMilliseconds))
            baseline = Tally(requests: baseline.requests - baseline.failed)
            others = Tally(requests: others.requests - others.failed)
        }
        settled.canary = canary
        settled.baseline = baseline
        settled.stable = baseline
        settled.stable.add(others)
        Self.record(canary, in: &shares[index].canary.settled, sampler(conditions.canary.latency), &random)
        let answered = answers(to: settled.stable, conditions, span)
        Self.record(answered, in: &shares[index].stable.settled, sampler(conditions.stable.latency), &random)
        timeOut(at: span.upperBound, &settled)
        return settled
    }

    /// What the router reports at this moment.
    ///
    /// - Parameter overdueAfterMilliseconds: from when on a request in flight is overdue.
    package mutating func counts(at now: Int64, overdueAfterMilliseconds: Int64) -> TrafficCounts {
        for index in shares.indices {
            shares[index].stable.inFlight = underWay[shares[index].share] ?? 0
            shares[index].stable.overdue = 0
        }
        for item in waiting {
            let index = place(of: item.share)
            let overdueUntil = min(max(now - overdueAfterMilliseconds, item.began.lowerBound), item.began.upperBound)
            let part = Double(overdueUntil - item.began.lowerBound) / Double(item.began.count)
            shares[index].stable.inFlight += item.requests
            shares[index].stable.overdue += UInt64(Double(item.requests) * part)
        }
        return TrafficCounts(boot: "router", shares: shares)
    }

    /// Of these requests and those under way, what is settled when the span ends: the mean number that are under way then is
    /// their rate times their mean latency (Little 1961).
    private mutating func answers(to begun: Tally, _ conditions: Conditions, _ span: Range<Int64>) -> Tally {
        for share in underWay.keys where share != conditions.share {
            let index = place(of: share), late = Tally(requests: underWay.removeValue(forKey: share) ?? 0)
            Self.record(late, in: &shares[index].stable.settled, sampler(conditions.stable.latency), &random)
        }
        let probability = min(1, conditions.stable.latency.meanMicroseconds / 1_000 / Double(span.count))
        let late = random.binomial(begun.requests - begun.failed, probability)
        let before = underWay.updateValue(late, forKey: conditions.share) ?? 0
        return Tally(failed: begun.failed, requests: begun.requests - late + before)
    }

    private mutating func place(of share: Int) -> Int {
        if let index = shares.firstIndex(where: { $0.share == share }) { return index }
        shares.append(ShareCounts(share: share))
        return shares.count - 1
    }

    private mutating func tally(_ mean: Double, _ conduct: Conduct) -> Tally {
        let requests = random.poisson(mean)
        return Tally(failed: random.binomial(requests, conduct.failureRate), requests: requests)
    }

    /// nil where latencies are not drawn.
    private mutating func sampler(_ shape: LatencyShape) -> LatencySampler? {
        guard recordsLatency else { return nil }
        if let sampler = samplers[shape] { return sampler }
        let sampler = LatencySampler(shape)
        samplers[shape] = sampler
        return sampler
    }

    private static func record(
        _ tally: Tally, in counts: inout VersionCounts, _ sampler: LatencySampler?, _ random: inout SeededRandom
    ) {
        counts.requests += tally.requests
        counts.statusClasses[4] += tally.failed
        counts.statusClasses[1] += tally.requests - tally.failed
        sampler?.record(tally.requests - tally.failed, in: &counts.latency, &random)
    }

    /// Each further try is a request of its own, for which the coin is tossed anew.
    private mutating func retry(
        _ retries: Retries, _ weight: Double, _ canary: inout Tally, _ baseline: inout Tally, _ others: inout Tally
    ) {
        for _ in 0..<canary.failed + baseline.failed + others.failed {
            for _ in 0..<retries.most {
                let fails = random.unit() < retries.failureRate
                let attempt = Tally(failed: fails ? 1 : 0, requests: 1)
                let coin = random.unit()
                if coin < weight {
                    canary.add(attempt)
                } else if coin < 2 * weight {
                    baseline.add(attempt)
                } else {
                    others.add(attempt)
                }
                if !fails { break }
            }
        }
    }

    private mutating func timeOut(at now: Int64, _ settled: inout Settled) {
        guard !waiting.isEmpty else { return }
        for item in waiting where item.began.upperBound + item.settlesAfter <= now {
            let index = place(of: item.share)
            shares[index].stable.settled.requests += item.requests
            shares[index].stable.settled.timeouts += item.requests
            settled.stable.add(Tally(failed: item.requests, requests: item.requests))
            settled.baseline.add(Tally(failed: item.baseline, requests: item.baseline))
        }
        waiting.removeAll { $0.began.upperBound + $0.settlesAfter <= now }
    }
}
