// Goal: a histogram loses nothing but the place inside a bucket. Method: random values against exact answers.

import Analysis
import Foundation
import Testing

@Suite struct LatencyHistogramTests {
    @Test("edges rise and every value lies in the smallest bucket that holds it")
    func buckets() {
        for bucket in 1..<LatencyHistogram.bucketCount {
            #expect(
                LatencyHistogram.upperEdgeMicroseconds(bucket) > LatencyHistogram.upperEdgeMicroseconds(bucket - 1))
        }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let value = UInt64.random(in: 0...(1 << UInt64.random(in: 1...32, using: &generator)), using: &generator)
            let bucket = LatencyHistogram.bucket(microseconds: value)
            if bucket < LatencyHistogram.bucketCount - 1 {
                #expect(LatencyHistogram.upperEdgeMicroseconds(bucket) >= Double(value), "\(value)")
            }
            if bucket > 0 { #expect(LatencyHistogram.upperEdgeMicroseconds(bucket - 1) < Double(value), "\(value)") }
        }
    }

    @Test("quantiles are the exact ones rounded up to an edge")
    func quantiles() {
        var histogram = LatencyHistogram()
        let values = (0..<5_000).map { _ in UInt64.random(in: 1...2_000_000) }.sorted()
        for value in values { histogram.record(microseconds: value) }
        for perMille in [1, 500, 950, 990, 999, 1_000] {
            let rank = max(1, (values.count * perMille + 999) / 1_000)
            let exact = values[rank - 1]
            let edge = LatencyHistogram.upperEdgeMicroseconds(LatencyHistogram.bucket(microseconds: exact))
            #expect(histogram.quantile(perMille: perMille) == edge, "p\(perMille), exact \(exact)")
        }
        #expect(LatencyHistogram().quantile(perMille: 500) == nil)
    }

    @Test("adding what came since gives the later reading, also through JSON")
    func algebra() throws {
        var earlier = LatencyHistogram()
        for _ in 0..<500 { earlier.record(microseconds: UInt64.random(in: 0...1 << 33)) }
        var later = earlier
        for _ in 0..<500 { later.record(microseconds: UInt64.random(in: 0...1 << 33)) }
        var sum = earlier
        sum.add(later.since(earlier))
        #expect(sum == later)
        #expect(later.total == 1_000)
        #expect(try JSONDecoder().decode(LatencyHistogram.self, from: JSONEncoder().encode(later)) == later)
    }

    @Test func `what lies above a bucket is all that is over its edge`() {
        var histogram = LatencyHistogram()
        for value in [0, 1, 2, 1_000, 1_024, 5_000, .max] as [UInt64] { histogram.record(microseconds: value) }
        #expect(histogram.above(0) == 5)
        #expect(histogram.above(LatencyHistogram.bucket(microseconds: 1_024)) == 2)
        #expect(histogram.above(LatencyHistogram.bucketCount - 2) == 1)
        #expect(histogram.above(LatencyHistogram.bucketCount - 1) == 0)
    }
}
