// Goal: counts are judged exactly, and too few of them say nothing. Method: boundaries and random counts.

import Analysis
import Testing

@Suite struct JudgementTests {
    private func counts(requests: UInt64, status5xx: UInt64, aborts: UInt64 = 0) -> VersionCounts {
        var counts = VersionCounts()
        counts.requests = requests
        counts.statusClasses = [0, requests - status5xx - aborts, 0, 0, status5xx]
        counts.clientAborts = aborts
        return counts
    }

    private let onePercent = AbsoluteLimits(minimumRequests: 50, errorsMaxBasisPoints: 100, latency: [])

    @Test("too few requests neither pass nor fail, whatever they answered")
    func tooFew() {
        for failed in [0, 10, 49] as [UInt64] {
            guard
                case .unknown(let missing, _) = Judgement.of(
                    counts(requests: 49, status5xx: failed), limits: onePercent, name: "canary")
            else {
                Issue.record("49 of 50 requests were judged")
                return
            }
            #expect(missing == 1)
        }
    }

    @Test("requests the client gave up count for nothing")
    func aborts() {
        guard
            case .unknown(let missing, _) = Judgement.of(
                counts(requests: 60, status5xx: 0, aborts: 20), limits: onePercent, name: "canary")
        else {
            Issue.record("aborted requests were judged")
            return
        }
        #expect(missing == 10)
    }

    @Test("exactly the limit is kept, one failure more breaks it")
    func boundary() {
        for requests in [100, 1_000, 1_000_000_000] as [UInt64] {
            let limit = requests / 100
            if case .within = Judgement.of(counts(requests: requests, status5xx: limit), limits: onePercent, name: "c")
            {
            } else {
                Issue.record("\(limit) of \(requests) breaks 1%")
            }
            if case .broken(let why) = Judgement.of(
                counts(requests: requests, status5xx: limit + 1), limits: onePercent, name: "c")
            {
                #expect(why.count == 1)
            } else {
                Issue.record("\(limit + 1) of \(requests) keeps 1%")
            }
        }
    }

    @Test("connect failures, resets and timeouts are failures")
    func kinds() {
        var counts = counts(requests: 100, status5xx: 0)
        counts.connectFailures = 1
        counts.resets = 1
        counts.timeouts = 1
        guard case .broken(let why) = Judgement.of(counts, limits: onePercent, name: "canary") else {
            Issue.record("3 of 100 keeps 1%")
            return
        }
        #expect(why == ["canary: 3 of 100 requests failed (3%), limit 1%"])
    }

    @Test("a slow quantile breaks its limit and names it")
    func latency() {
        var slow = counts(requests: 100, status5xx: 0)
        slow.latency.record(microseconds: 10_000, count: 90)
        slow.latency.record(microseconds: 900_000, count: 10)
        let limits = AbsoluteLimits(
            minimumRequests: 50, errorsMaxBasisPoints: 100,
            latency: [.init(perMille: 500, maxMicroseconds: 400_000), .init(perMille: 990, maxMicroseconds: 400_000)])
        guard case .broken(let why) = Judgement.of(slow, limits: limits, name: "canary") else {
            Issue.record("p99 of 900 ms keeps 400 ms")
            return
        }
        #expect(why.count == 1)
        #expect(why[0].hasPrefix("canary: p99 is "))
        #expect(why[0].hasSuffix("limit 400 ms"))
    }
}
