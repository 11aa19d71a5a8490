// What follows from a metric's readings. Pure: no clock, no I/O.

package import Releases

/// One metric of one release: its readings in, what they mean out.
///
/// - `advise`: a number outside its limits is said once.
/// - `hold`: no step ends while it is outside, nor while it is not known.
/// - `roll-back`: it holds as well, and two readings in a row outside send the canary back if the last number before the
///   canary got traffic was within the limits; a number that was outside before is not the canary's doing.
///
/// No data is never a number: it neither breaks a limit nor ends or continues a row.
package struct MetricWatch: Hashable, Sendable, Codable {
    /// All texts: lower case, no full stop.
    package enum Finding: Hashable, Sendable {
        case nothing
        /// For the release's story.
        case noted(String)
        /// No step ends.
        case hold(String)
        case rollBack(String)
    }

    private let metric: Policy.Metric
    private var lastBegan: Instant?
    /// The last number that was read before the canary had traffic.
    private var before: Double?
    /// Readings outside the limits, one after the other, since the canary has traffic.
    private var breaches = 0
    /// Why no step ends, as of the last reading.
    private var hold: String?
    private var isSaid = false

    package init(_ metric: Policy.Metric) { self.metric = metric }

    /// When the metric is to be read next; nil before the first reading: now.
    package var nextReading: Instant? { lastBegan?.advanced(by: metric.every) }

    /// Why no step ends at this moment; nil when this metric lets it. A metric that nobody reads any more is not known.
    package func standingHold(at now: Instant) -> String? {
        guard isGating else { return nil }
        guard let lastBegan else { return "\(subject) was not read yet" }
        let age = now.since(lastBegan)
        guard age.milliseconds <= 3 * metric.every.milliseconds + metric.timeout.milliseconds else {
            return "\(subject) was read \(Span.seconds(age.milliseconds / 1_000)) ago and not since"
        }
        return hold
    }

    /// - Parameters:
    ///   - beganAt: When it was asked; a reading that began no later than an earlier one says nothing.
    ///   - canaryHadTraffic: Whether the canary had got any share in this release when it was asked.
    package mutating func take(_ reading: MetricReading, beganAt: Instant, canaryHadTraffic: Bool) -> Finding {
        if let lastBegan, beganAt <= lastBegan { return .nothing }
        lastBegan = beganAt
        switch reading {
        case .noData(let why): return held("\(subject) has no data: \(why)")
        case .counts: return within()
        case .value(let value):
            if !canaryHadTraffic { before = value }
            guard let breach = breach(value) else { return within() }
            breaches += canaryHadTraffic ? 1 : 0
            return outside("\(subject) is \(breach)", canaryHadTraffic: canaryHadTraffic)
        }
    }

    private var subject: String { "metric \(metric.name)" }
    private var isGating: Bool { !metric.isDryRun && metric.then != .advise }

    private mutating func within() -> Finding {
        (hold, breaches) = (nil, 0)
        return .nothing
    }

    private mutating func held(_ why: String) -> Finding {
        hold = why
        return isGating ? .hold(why) : .nothing
    }

    /// - Parameter sentence: What is outside: `metric stock is -3, less than 0`.
    private mutating func outside(_ sentence: String, canaryHadTraffic: Bool) -> Finding {
        switch metric.then {
        case .advise:
            return metric.isDryRun ? said("\(sentence) (dry run)") : said(sentence)
        case .hold:
            guard !metric.isDryRun else { return said("\(sentence): it would hold (dry run)") }
            return held(sentence)
        case .rollBack:
            guard canaryHadTraffic else { return gated("\(sentence), before the canary has any traffic") }
            guard let before else {
                return gated("\(sentence); no number is known from before the canary got traffic, so it only holds")
            }
            let earlier = "it was \(text(before)) before the canary got traffic"
            guard breach(before) == nil else { return gated("\(sentence); \(earlier), so it only holds") }
            guard breaches >= 2 else { return gated("\(sentence); \(earlier), so one more reading like it rolls back") }
            let verdict = "\(sentence), in \(breaches) readings one after the other; \(earlier)"
            guard !metric.isDryRun else { return said("\(verdict): it would roll back (dry run)") }
            hold = verdict
            return .rollBack(verdict)
        }
    }

    /// Holds, except in a dry run, which waits for what it would have come to.
    private mutating func gated(_ why: String) -> Finding { metric.isDryRun ? .nothing : held(why) }

    private mutating func said(_ sentence: String) -> Finding {
        defer { isSaid = true }
        return isSaid ? .nothing : .noted(sentence)
    }

    /// `5, more than 0`; nil within the limits, and for a metric that has none.
    private func breach(_ value: Double) -> String? {
        let limits: Policy.Limits
        switch metric.source {
        case .sql(let number): limits = number.limits
        case .prometheus(let number): limits = number.limits
        case .counters: return nil
        }
        if let max = limits.max, value > max { return "\(text(value)), more than \(text(max))" }
        if let min = limits.min, value < min { return "\(text(value)), less than \(text(min))" }
        return nil
    }

    private func text(_ number: Double) -> String {
        let text = "\(number)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
