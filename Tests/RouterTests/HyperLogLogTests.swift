// Goal: the error of a sketch is what its width promises. Method: counts of many seeds against the truth.

import Glibc
import Testing

@testable import Router

/// Different numbers that look random: SplitMix64 never repeats one.
private func count(_ sketch: inout HyperLogLog, _ number: Int, _ random: inout SplitMix64) {
    for _ in 0..<number { sketch.insert(random.next()) }
}

@Suite struct HyperLogLogTests {
    /// The sum of squared errors divided by their variance has a chi-square distribution with as many degrees as seeds:
    /// above 2.5 times the degrees in 1 of 10 000 cases for 24. The seeds are fixed.
    @Test(arguments: [1_000, 100_000, 300_000])
    func `the standard error is 0.23 per cent, from few users to many`(users: Int) {
        let variance = log(2) / Double(1 << HyperLogLog.indexBits)
        var squares = 0.0
        var worst = 0.0
        let seeds = 24
        for seed in 0..<seeds {
            var random = SplitMix64(seed: UInt64(seed) &* 0x1234_5678_9abc_def1)
            var sketch = HyperLogLog()
            count(&sketch, users, &random)
            let error = (Double(sketch.count) - Double(users)) / Double(users)
            squares += error * error
            worst = max(worst, abs(error))
        }
        #expect(squares / variance < 2.5 * Double(seeds), "rms \((squares / Double(seeds)).squareRoot())")
        #expect(worst < 0.01)
    }

    @Test func `a sketch goes on from an exact count, and never goes back`() {
        var random = SplitMix64(seed: 5)
        let exact = Set((0..<Users.exactBound).map { _ in random.next() })
        var sketch = HyperLogLog(exact)
        #expect(sketch.count == UInt64(exact.count))
        for hash in exact { sketch.insert(hash) }
        #expect(sketch.count == UInt64(exact.count), "the same users again")
        var last = sketch.count
        for step in 1...40 {
            count(&sketch, 5_000, &random)
            let truth = Double(exact.count + step * 5_000)
            #expect(sketch.count > last)
            #expect(abs(Double(sketch.count) - truth) < 0.01 * truth)
            last = sketch.count
        }
    }

    @Test func `a part of the hashes that the cohort chose is counted as well as any`() {
        // The canary's users are those whose hash is small modulo 10 000: 8 leaves a bit that is the same in all.
        var random = SplitMix64(seed: 6)
        var sketch = HyperLogLog()
        let users = 300_000
        for _ in 0..<users { sketch.insert(random.next() / 10_000 * 10_000 + random.next() % 8) }
        #expect(abs(Double(sketch.count) - Double(users)) < 0.01 * Double(users))
    }

    @Test func `hashes with nothing but zeros after their register's bits fit`() {
        var sketch = HyperLogLog()
        for register in 0..<64 as Range<UInt64> { sketch.insert(register << 47) }
        #expect(sketch.count == 64)
        for register in 0..<64 as Range<UInt64> { sketch.insert(register << 47) }
        #expect(sketch.count == 64)
    }
}
