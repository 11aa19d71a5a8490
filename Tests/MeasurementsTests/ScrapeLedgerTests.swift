// Goal: only what one process counted for both versions in one interval under one share is evidence.
// Method: scrapes made by hand, and random histories of a counting process that are compared with what it counted.

import Foundation
import Ports
import Testing

private func scrape(
    at moment: Int64, _ process: String = "a", stable: (UInt64, UInt64), canary: (UInt64, UInt64)
) -> VersionScrape {
    VersionScrape(
        process: process, at: moment,
        stable: .init(failures: ["s": stable.0], requests: ["s": stable.1]),
        canary: .init(failures: ["c": canary.0], requests: ["c": canary.1]))
}

private func counts(_ stable: (UInt64, UInt64), _ canary: (UInt64, UInt64)) -> ScrapeLedger.Counts {
    var counts = ScrapeLedger.Counts()
    (counts.stableFailures, counts.stableRequests) = stable
    (counts.canaryFailures, counts.canaryRequests) = canary
    return counts
}

extension ScrapeLedger {
    /// All of it under one share.
    fileprivate mutating func take(_ scrapes: VersionScrape...) -> News {
        take(ScrapeReading(scrapes: scrapes, answeredAt: scrapes.last!.at), heldMilliseconds: 1 << 40)
    }
}

@Suite("A ledger of scrapes")
struct ScrapeLedgerTests {
    @Test("the first scrape is where counting begins")
    func first() {
        var ledger = ScrapeLedger()
        #expect(ledger.take(scrape(at: 1, stable: (5, 900), canary: (7, 90))) == .init())
    }

    @Test("a later scrape adds the difference, and the same or an older one adds nothing")
    func difference() {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (5, 900), canary: (7, 90)))
        let second = scrape(at: 2, stable: (6, 1_000), canary: (9, 110))
        #expect(ledger.take(second).counts == counts((1, 100), (2, 20)))
        #expect(ledger.take(second) == .init())
        #expect(ledger.take(scrape(at: 1, stable: (5, 900), canary: (7, 90))) == .init())
        #expect(
            ledger.take(second, scrape(at: 3, stable: (6, 1_001), canary: (9, 110))).counts == counts((0, 1), (0, 0)))
    }

    @Test("a counter that goes back makes its interval no data, and counting begins anew", arguments: 0..<4)
    func reset(which: Int) {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (5, 900), canary: (5, 900)))
        var numbers: [UInt64] = [6, 1_000, 6, 1_000]
        numbers[which] = 4
        let news = ledger.take(
            scrape(at: 2, stable: (numbers[0], numbers[1]), canary: (numbers[2], numbers[3])))
        #expect(news.counts == .init())
        #expect(news.noData == "a began to count anew: \(which < 2 ? "s" : "c") went back")
        let next = ledger.take(
            scrape(at: 3, stable: (numbers[0] + 1, numbers[1] + 2), canary: (numbers[2] + 3, numbers[3] + 4)))
        #expect(next.counts == counts((1, 2), (3, 4)) && next.noData == nil)
    }

    @Test("a restart is seen between two readings when it was scraped, even if the counters are past it again")
    func resetBetween() {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (0, 100), canary: (0, 100)))
        let news = ledger.take(
            scrape(at: 2, stable: (1, 150), canary: (2, 150)), scrape(at: 3, stable: (0, 3), canary: (0, 3)),
            scrape(at: 4, stable: (9, 200), canary: (0, 201)))
        #expect(news.counts == counts((10, 247), (2, 248)))
        #expect(news.noData == "a began to count anew: s went back")
    }

    @Test("a series that is gone is a counter that went back, one that appears began at 0")
    func series() {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (0, 10), canary: (0, 10)))
        var second = scrape(at: 2, stable: (0, 20), canary: (0, 20))
        second.canary.failures["c503"] = 4
        #expect(ledger.take(second).counts == counts((0, 10), (4, 10)))
        #expect(
            ledger.take(scrape(at: 3, stable: (0, 30), canary: (0, 30))).noData
                == "a began to count anew: c503 went back")
    }

    @Test("another process is no data, and counting begins anew")
    func process() {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (0, 10), canary: (0, 10)))
        let news = ledger.take(scrape(at: 2, "b", stable: (5, 500), canary: (5, 500)))
        #expect(news.counts == .init() && news.noData == "the process that counts was a and is b")
        #expect(
            ledger.take(scrape(at: 3, "b", stable: (5, 501), canary: (6, 502))).counts == counts((0, 1), (1, 2)))
    }

    @Test("more failures than requests are no data until a later scrape has the requests too")
    func inconsistent() {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (0, 10), canary: (0, 10)))
        let odd = scrape(at: 2, stable: (0, 20), canary: (3, 12))
        #expect(ledger.take(odd).noData == "a counted 3 failures in 2 requests of the canary")
        let even = ledger.take(odd, scrape(at: 3, stable: (0, 30), canary: (3, 13)))
        #expect(even.counts == counts((0, 20), (3, 3)) && even.noData == nil)
    }

    @Test("an interval counts only if the share was the same at both its ends and between")
    func shares() {
        var ledger = ScrapeLedger()
        func take(_ moment: Int64, _ requests: UInt64, held: Int64) -> UInt64 {
            let reading = ScrapeReading(
                scrapes: [scrape(at: moment, stable: (0, requests), canary: (0, requests))], answeredAt: moment + 5)
            return ledger.take(reading, heldMilliseconds: held).counts.canaryRequests
        }
        #expect(take(1_000, 100, held: 60_000) == 0)
        #expect(take(2_000, 110, held: 60_000) == 10)
        // The share changed at 2 500, in the middle of the interval.
        #expect(take(3_000, 150, held: 505) == 0)
        // It changed and came back within: both ends had the same share.
        #expect(take(4_000, 190, held: 200) == 0)
        #expect(take(5_000, 191, held: 1_200) == 1)
        // Held exactly since the last scrape.
        #expect(take(6_000, 193, held: 1_005) == 2)
        #expect(take(7_000, 196, held: 1_004) == 0)
    }

    @Test("a ledger goes on after it was written and read again")
    func codable() throws {
        var ledger = ScrapeLedger()
        _ = ledger.take(scrape(at: 1, stable: (1, 10), canary: (2, 20)))
        var read = try JSONDecoder().decode(ScrapeLedger.self, from: JSONEncoder().encode(ledger))
        #expect(read == ledger)
        #expect(read.take(scrape(at: 2, stable: (2, 12), canary: (5, 24))).counts == counts((1, 2), (3, 4)))
    }

    @Test("of a process that restarts now and then, nothing is counted twice and only broken intervals are lost")
    func randomHistories() {
        let seed =
            ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0 ... .max)
        var random = Seeded(state: seed)
        for round in 0..<200 {
            var ledger = ScrapeLedger()
            var (requests, failures) = (UInt64(0), UInt64(0))
            var (expected, seen) = (UInt64(0), UInt64(0))
            var pending: [VersionScrape] = []
            for moment in 0..<Int64(60) {
                let added = UInt64.random(in: 1...50, using: &random)
                if moment > 0, Int.random(in: 0..<10, using: &random) == 0 {
                    // Fewer than before, so that it can be seen.
                    (requests, failures) = (UInt64.random(in: 0..<max(requests, 1), using: &random), 0)
                } else {
                    requests += added
                    failures += added / 3
                    if moment > 0 { expected += added }
                }
                pending.append(scrape(at: moment, stable: (0, 0), canary: (min(failures, requests), requests)))
                // Read now and then, with scrapes that were read before among them.
                guard Bool.random(using: &random) || moment == 59 else { continue }
                let reading = ScrapeReading(scrapes: pending.suffix(60), answeredAt: moment)
                seen += ledger.take(reading, heldMilliseconds: 1 << 40).counts.canaryRequests
            }
            #expect(seen == expected, "seed \(seed), round \(round)")
        }
    }
}

/// SplitMix64.
private struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
