// Goal: the rate limit lets through what it says and stays small. Method: pure values, time given by hand.

import Testing

@testable import ControlAPI

@Suite struct TokenBucketsTests {
    @Test func aBurstPassesAndThenTheRate() {
        var buckets = TokenBuckets(RateLimit(perMinute: 60, burst: 3), capacity: 10)
        for _ in 0..<3 { #expect(buckets.take("a", now: .seconds(1)) == nil) }
        #expect(buckets.take("a", now: .seconds(1)) == .seconds(1))
        #expect(buckets.take("b", now: .seconds(1)) == nil)
        #expect(buckets.take("a", now: .seconds(2)) == nil)
        #expect(buckets.take("a", now: .seconds(2)) != nil)
    }

    @Test func neverMoreThanTheBurstIsSaved() {
        var buckets = TokenBuckets(RateLimit(perMinute: 60, burst: 2), capacity: 10)
        #expect(buckets.take("a", now: .zero) == nil)
        let passed = (0..<10).filter { _ in buckets.take("a", now: .seconds(3_600)) == nil }
        #expect(passed.count == 2)
    }

    @Test func timeThatGoesBackGivesNothing() {
        var buckets = TokenBuckets(RateLimit(perMinute: 60, burst: 1), capacity: 10)
        #expect(buckets.take("a", now: .seconds(100)) == nil)
        #expect(buckets.take("a", now: .seconds(10)) != nil)
        #expect(buckets.take("a", now: .seconds(100)) != nil)
    }

    @Test func callersPastTheCapacityShareOneBucketUntilOthersAreIdle() {
        var buckets = TokenBuckets(RateLimit(perMinute: 60, burst: 1), capacity: 100)
        for caller in 0..<100 { #expect(buckets.take("\(caller)", now: .zero) == nil) }
        let late = (0..<1_000).filter { buckets.take("late \($0)", now: .zero) == nil }
        #expect(late.count == 1)
        #expect(buckets.count == 100)
        #expect(buckets.take("later", now: .seconds(2)) == nil)
        #expect(buckets.count == 1, "whoever is full again is forgotten")
    }
}
