// Brent's root finder, because where it stops at a jump decides what a rank test of sparse counts says.

/// Finds where a function changes its sign (Brent, "Algorithms for Minimization without Derivatives", 1973, chapter 4; as
/// `zeroin`, the root finder of R and of Kayenta): bisection, and interpolation where that converges faster.
enum BrentRoot {
    static let mostSteps = 1_000

    /// - Parameters:
    ///   - low: one end, where the function is `atLow`.
    ///   - high: the other end, where it has the other sign.
    ///   - tolerance: how far the answer may be from the root.
    /// - Returns: nil where the function has no value.
    static func find(
        low: Double, high: Double, atLow: Double, atHigh: Double, tolerance: Double = 1e-4,
        _ function: (Double) -> Double?
    ) -> Double? {
        if atLow == 0 { return low }
        if atHigh == 0 { return high }
        // The root lies between `best` and `opposite`; `last` is where `best` was before.
        var last = low, best = high, opposite = low
        var atLast = atLow, atBest = atHigh, atOpposite = atLow
        for _ in 0..<mostSteps {
            let lastStep = best - last
            if abs(atOpposite) < abs(atBest) {
                last = best
                best = opposite
                opposite = last
                atLast = atBest
                atBest = atOpposite
                atOpposite = atLast
            }
            let smallest = 2 * Double.ulpOfOne * abs(best) + tolerance / 2
            var step = (opposite - best) / 2
            if abs(step) <= smallest || atBest == 0 { return best }
            if abs(lastStep) >= smallest, abs(atLast) > abs(atBest) {
                let width = opposite - best
                var (up, down) = interpolation(
                    width: width, lastStep: best - last, isLinear: last == opposite, atLast, atBest, atOpposite)
                if up > 0 { down.negate() } else { up.negate() }
                if up < 0.75 * width * down - abs(smallest * down) / 2, up < abs(lastStep * down / 2) {
                    step = up / down
                }
            }
            if abs(step) < smallest { step = step > 0 ? smallest : -smallest }
            last = best
            atLast = atBest
            best += step
            guard let value = function(best) else { return nil }
            atBest = value
            if (atBest > 0) == (atOpposite > 0), atBest != 0, atOpposite != 0 {
                opposite = last
                atOpposite = atLast
            }
        }
        return best
    }

    /// The secant's step, or with three points that of the inverse parabola, as a fraction.
    private static func interpolation(
        width: Double, lastStep: Double, isLinear: Bool, _ atLast: Double, _ atBest: Double, _ atOpposite: Double
    ) -> (Double, Double) {
        let ratio = atBest / atLast
        guard !isLinear else { return (width * ratio, 1 - ratio) }
        let ends = atLast / atOpposite, middle = atBest / atOpposite
        return (
            ratio * (width * ends * (ends - middle) - lastStep * (middle - 1)),
            (ends - 1) * (middle - 1) * (ratio - 1)
        )
    }
}
