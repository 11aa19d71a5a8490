// How often callers may knock. Pure: the time comes from the caller.

/// How many requests a bucket lets through: `burst` at once, then `perMinute`.
package struct RateLimit: Hashable, Sendable {
    package var perMinute: Int
    package var burst: Int

    package init(perMinute: Int, burst: Int) {
        precondition(perMinute > 0 && burst > 0, "a rate limit lets something through")
        self.perMinute = perMinute
        self.burst = burst
    }
}

/// One bucket a key, at most `capacity` of them: when it is reached, buckets that are full again are forgotten, and when
/// none is, newcomers share one.
struct TokenBuckets: Sendable {
    private struct Bucket {
        var tokens: Double
        var filledAt: Duration
    }

    private let limit: RateLimit
    private let capacity: Int
    private var buckets: [String: Bucket] = [:]
    private var shared: Bucket

    init(_ limit: RateLimit, capacity: Int) {
        self.limit = limit
        self.capacity = capacity
        shared = Bucket(tokens: Double(limit.burst), filledAt: .zero)
    }

    var count: Int { buckets.count }

    /// Takes a token.
    ///
    /// - Parameter now: monotonic time since any fixed moment.
    /// - Returns: nil when there was one; otherwise how long until there is.
    mutating func take(_ key: String, now: Duration) -> Duration? {
        if var bucket = buckets[key] {
            defer { buckets[key] = bucket }
            return take(from: &bucket, now: now)
        }
        if buckets.count >= capacity { forgetFull(now: now) }
        guard buckets.count < capacity else { return take(from: &shared, now: now) }
        var bucket = Bucket(tokens: Double(limit.burst), filledAt: now)
        defer { buckets[key] = bucket }
        return take(from: &bucket, now: now)
    }

    private func take(from bucket: inout Bucket, now: Duration) -> Duration? {
        bucket.tokens = filled(bucket, now: now)
        bucket.filledAt = max(now, bucket.filledAt)
        guard bucket.tokens < 1 else {
            bucket.tokens -= 1
            return nil
        }
        return .seconds((1 - bucket.tokens) * 60 / Double(limit.perMinute))
    }

    private func filled(_ bucket: Bucket, now: Duration) -> Double {
        let seconds = max(0, (now - bucket.filledAt) / .seconds(1))
        return min(Double(limit.burst), bucket.tokens + seconds * Double(limit.perMinute) / 60)
    }

    private mutating func forgetFull(now: Duration) {
        buckets = buckets.filter { filled($0.value, now: now) < Double(limit.burst) }
    }
}
