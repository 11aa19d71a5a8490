// A look at the counts as it is kept, so that a release can be judged again: with the same policy it comes out the same.

package import Analysis
package import Releases

package struct RecordedLook: Hashable, Sendable {
    /// From 1 within a release, without gaps.
    package var number: Int
    /// Milliseconds since 1970.
    package var at: Int64
    /// A phase begins with this reading; nothing is judged yet.
    package var begins: Beginning?
    package var isCanaryReady: Bool
    /// nil: the router answered with an older reading than the one before.
    package var news: ReadingNews?

    package struct Beginning: Hashable, Sendable, Codable {
        package var phase: Phase
        package var since: Instant
        /// What stable answered before the canary got traffic, where it is known; with a release's first look.
        package var past: VersionCounts?
    }
}

// MARK: As it is written
//
// Four looks a second for hours: numbers in a fixed order instead of names, about 150 bytes a look with traffic.

extension RecordedLook: Codable {
    private enum CodingKeys: String, CodingKey {
        case number = "n"
        case at = "t"
        case begins
        case isCanaryReady = "ready"
        case boot = "b"
        case shares = "s"
        case keyless = "k"
        case canaryFailures = "f"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        number = try container.decode(Int.self, forKey: .number)
        at = try container.decode(Int64.self, forKey: .at)
        begins = try container.decodeIfPresent(Beginning.self, forKey: .begins)
        isCanaryReady = try container.decodeIfPresent(Bool.self, forKey: .isCanaryReady) ?? true
        guard let boot = try container.decodeIfPresent(String.self, forKey: .boot) else { return }
        let shares = try container.decodeIfPresent([PackedShare].self, forKey: .shares) ?? []
        let keyless = try container.decodeIfPresent(PackedCounts.self, forKey: .keyless)
        news = ReadingNews(
            boot: boot, shares: shares.map(\.share), keyless: keyless?.counts ?? VersionCounts(),
            canaryFailures: try container.decodeIfPresent([String: UInt64].self, forKey: .canaryFailures))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(number, forKey: .number)
        try container.encode(at, forKey: .at)
        try container.encodeIfPresent(begins, forKey: .begins)
        if !isCanaryReady { try container.encode(false, forKey: .isCanaryReady) }
        guard let news else { return }
        try container.encode(news.boot, forKey: .boot)
        if !news.shares.isEmpty { try container.encode(news.shares.map(PackedShare.init), forKey: .shares) }
        if news.keyless != VersionCounts() { try container.encode(PackedCounts(news.keyless), forKey: .keyless) }
        try container.encodeIfPresent(news.canaryFailures, forKey: .canaryFailures)
    }
}

/// `[requests, 1xx, 2xx, 3xx, 4xx, 5xx, connect failures, resets, timeouts, client aborts, [bucket, count, ...]]`.
private struct PackedCounts: Codable {
    var counts: VersionCounts

    init(_ counts: VersionCounts) { self.counts = counts }

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        counts = VersionCounts()
        counts.requests = try container.decode(UInt64.self)
        for index in counts.statusClasses.indices { counts.statusClasses[index] = try container.decode(UInt64.self) }
        counts.connectFailures = try container.decode(UInt64.self)
        counts.resets = try container.decode(UInt64.self)
        counts.timeouts = try container.decode(UInt64.self)
        counts.clientAborts = try container.decode(UInt64.self)
        counts.latency = try container.decode(LatencyHistogram.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(counts.requests)
        for count in counts.statusClasses { try container.encode(count) }
        try container.encode(counts.connectFailures)
        try container.encode(counts.resets)
        try container.encode(counts.timeouts)
        try container.encode(counts.clientAborts)
        try container.encode(counts.latency)
    }
}

/// `[share, settled, in flight, overdue, users or null, ...]`, stable first, then the canary; at last the routes or null.
private struct PackedShare: Codable {
    var share: ShareCounts

    init(_ share: ShareCounts) { self.share = share }

    init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        share = ShareCounts(share: try container.decode(Int.self))
        for arm in [\ShareCounts.stable, \.canary] {
            share[keyPath: arm].settled = try container.decode(PackedCounts.self).counts
            share[keyPath: arm].inFlight = try container.decode(UInt64.self)
            share[keyPath: arm].overdue = try container.decode(UInt64.self)
            let users = try container.decode([UInt64]?.self)
            share[keyPath: arm].users = users.map { UserCounts(seen: $0.first ?? 0, failed: $0.last ?? 0) }
        }
        share.routes = try container.decode([RouteCounts]?.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(share.share)
        for arm in [share.stable, share.canary] {
            try container.encode(PackedCounts(arm.settled))
            try container.encode(arm.inFlight)
            try container.encode(arm.overdue)
            try container.encode(arm.users.map { [$0.seen, $0.failed] })
        }
        try container.encode(share.routes)
    }
}
