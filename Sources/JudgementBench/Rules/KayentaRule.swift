// Kayenta's default judge on one metric, failures a minute, against a baseline of the canary's size.

/// NetflixACAJudge: every hour all points of canary and baseline since the start, one a minute, are compared by a
/// Mann-Whitney test; the canary is "High" when the lower end of the 98 % interval of the shift is above 0.25 times the
/// estimated shift, and its mean is not the lower one. One metric that is High makes the score 0, which ends the release.
/// (kayenta-judge, NetflixACAJudge.scala and MannWhitneyClassifier.scala; direction increase, lookback 0)
package struct KayentaRule: ReleaseRule {
    package static let name = "Kayenta"
    static let minutesBetweenLooks = 60
    static let tolerance = 0.25
    /// The upper 1 % point of the normal distribution: an interval of 98 %.
    static let quantile = 2.3263478740408408

    private var minute = MinuteSum()
    private var canary: [Double] = []
    private var baseline: [Double] = []

    package init() {}

    package mutating func rollsBack(after news: Settled, at milliseconds: Int64) -> Bool {
        guard let measured = minute.close(news, at: milliseconds) else { return false }
        canary.append(Double(measured.canary.failed))
        baseline.append(Double(measured.baseline.failed))
        return canary.count.isMultiple(of: Self.minutesBetweenLooks) && Self.isHigh(canary, against: baseline)
    }

    /// Points that are the same in another order pass, and so does a comparison that cannot be computed.
    static func isHigh(_ canary: [Double], against baseline: [Double]) -> Bool {
        guard !canary.isEmpty, canary.sorted() != baseline.sorted() else { return false }
        let test = MannWhitney(canary, baseline)
        guard let lower = test.shift(at: quantile), let estimate = test.shift(at: 0) else { return false }
        guard lower > tolerance * abs(estimate) else { return false }
        // The effect size, the ratio of the means, is looked at where it can be computed: not with a mean of 0.
        let canarySum = canary.reduce(0, +), baselineSum = baseline.reduce(0, +)
        return canarySum == 0 || baselineSum == 0 || canarySum >= baselineSum
    }
}
