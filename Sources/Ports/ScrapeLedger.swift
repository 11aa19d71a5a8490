// From cumulative counters of one process, as somebody else scraped them, to what is new. Pure: no clock, no I/O.

/// The last scrape that was taken, and what the next one adds to it.
///
/// Only what one process counted for both versions in the same interval, under one share of the canary, is evidence.
/// Everything else begins anew from the scrape at hand: what a counter had before that is unknown, not zero.
package struct ScrapeLedger: Hashable, Sendable, Codable {
    /// Requests and failures of both versions in one interval.
    package struct Counts: Hashable, Sendable, Codable {
        package var stableRequests: UInt64 = 0
        package var stableFailures: UInt64 = 0
        package var canaryRequests: UInt64 = 0
        package var canaryFailures: UInt64 = 0
        package init() {}
    }

    /// What one reading adds.
    package struct News: Hashable, Sendable {
        /// All 0 when nothing is known to be new.
        package var counts = Counts()
        /// Why an interval says nothing: lower case, no full stop; nil when nothing went wrong.
        package var noData: String?
        package init() {}
    }

    private var base: VersionScrape?

    package init() {}

    /// What these scrapes add; a scrape that was taken before adds nothing.
    ///
    /// An interval counts only if the canary had its present share at both ends and all the way between, or the share
    /// would not be the odds of the coin that was tossed.
    ///
    /// - Parameter heldMilliseconds: For how long every request that settled was given out at the present share: the time
    ///   since the router confirmed it, less the longest time a request takes.
    package mutating func take(_ reading: ScrapeReading, heldMilliseconds: Int64) -> News {
        let heldSince = reading.answeredAt - heldMilliseconds
        var news = News()
        // More failures than requests may be a scrape in the middle of a request, which the next scrape puts right.
        var inconsistency: String?
        for scrape in reading.scrapes {
            guard let last = base else {
                base = scrape
                continue
            }
            guard scrape.at > last.at else { continue }
            guard scrape.process == last.process else {
                news.noData = "the process that counts was \(last.process) and is \(scrape.process)"
                (base, inconsistency) = (scrape, nil)
                continue
            }
            switch Step(from: last, to: scrape) {
            case .reset(let series):
                news.noData = "\(scrape.process) began to count anew: \(series) went back"
                (base, inconsistency) = (scrape, nil)
            case .inconsistent(let text):
                inconsistency = "\(scrape.process) counted \(text)"
            case .counts(let counts):
                if last.at >= heldSince { news.counts.add(counts) }
                (base, inconsistency) = (scrape, nil)
            }
        }
        news.noData = inconsistency ?? news.noData
        return news
    }
}

extension ScrapeLedger.Counts {
    fileprivate mutating func add(_ other: Self) {
        stableRequests += other.stableRequests
        stableFailures += other.stableFailures
        canaryRequests += other.canaryRequests
        canaryFailures += other.canaryFailures
    }
}

/// From one scrape of a process to a later one.
private enum Step {
    case counts(ScrapeLedger.Counts)
    /// This series went back, or is gone: the process is another one behind the same name.
    case reset(String)
    /// Failures that no request has.
    case inconsistent(String)

    init(from old: VersionScrape, to new: VersionScrape) {
        var counts = ScrapeLedger.Counts()
        let pairs: [([String: UInt64], [String: UInt64], WritableKeyPath<ScrapeLedger.Counts, UInt64>)] = [
            (old.stable.requests, new.stable.requests, \.stableRequests),
            (old.stable.failures, new.stable.failures, \.stableFailures),
            (old.canary.requests, new.canary.requests, \.canaryRequests),
            (old.canary.failures, new.canary.failures, \.canaryFailures),
        ]
        for (before, after, path) in pairs {
            for (series, value) in before.sorted(by: { $0.key < $1.key })
            where after[series].map({ $0 < value }) ?? true {
                self = .reset(series)
                return
            }
            // A series that appears in a process that goes on counting began at 0.
            for (series, value) in after { counts[keyPath: path] += value - (before[series] ?? 0) }
        }
        if counts.canaryFailures > counts.canaryRequests {
            self = .inconsistent("\(counts.canaryFailures) failures in \(counts.canaryRequests) requests of the canary")
        } else if counts.stableFailures > counts.stableRequests {
            self = .inconsistent("\(counts.stableFailures) failures in \(counts.stableRequests) requests of stable")
        } else {
            self = .counts(counts)
        }
    }
}
