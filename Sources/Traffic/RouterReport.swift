// What a router answers: cumulative counts, samples of failing requests, the state of a hold. Pure values, JSON.

package import Analysis

/// Cumulative counts since the router began to serve `release`; a lost, doubled or late report changes nothing.
///
/// Each request settles once, with all its counts. `stable` is the sum of stable in `counts` and of `keyless`, `canary` the
/// sum of canary in `counts`.
package struct RouterReport: Hashable, Sendable, Codable {
    /// Changes with every start of the router: counts of different boots do not continue each other.
    package var boot: String
    package var epoch: UInt64
    package var generation: UInt64
    package var release: String
    /// Router's wall clock, milliseconds since 1970.
    package var at: Int64
    package var stable: VersionCounts
    package var canary: VersionCounts
    /// The same by the share under which the version was chosen, without requests for which no coin was tossed; with
    /// those in flight and, where users are given to the versions, with users. For judging.
    package var counts: TrafficCounts
    /// Of `stable`: requests that went there because nothing tells their users from others. They are in neither arm of
    /// `counts`: such users are not like the rest, and no coin chose for them.
    package var keyless: VersionCounts
    /// Requests forced in by header: counted apart, judged never.
    package var forced: UInt64
    /// Requests for which no instance could be reached because the table has none, or the hold's queue overflowed.
    package var refused: UInt64
    package var inFlightStable: Int
    package var inFlightCanary: Int
    /// Requests sent to an instance and not settled, by its name; also instances that left the table and still drain.
    package var inFlightByInstance: [String: Int]
    package var hold: HoldState?
    /// The last minute by one-second epochs, oldest first.
    package var recent: [EpochCounts]

    package init(
        boot: String, epoch: UInt64, generation: UInt64, release: String, at: Int64, stable: VersionCounts,
        canary: VersionCounts, counts: TrafficCounts, keyless: VersionCounts = VersionCounts(), forced: UInt64,
        refused: UInt64, inFlightStable: Int, inFlightCanary: Int,
        inFlightByInstance: [String: Int] = [:], hold: HoldState?, recent: [EpochCounts]
    ) {
        self.boot = boot
        self.epoch = epoch
        self.generation = generation
        self.release = release
        self.at = at
        self.stable = stable
        self.canary = canary
        self.counts = counts
        self.keyless = keyless
        self.forced = forced
        self.refused = refused
        self.inFlightStable = inFlightStable
        self.inFlightCanary = inFlightCanary
        self.inFlightByInstance = inFlightByInstance
        self.hold = hold
        self.recent = recent
    }
}

/// Counts of one second.
package struct EpochCounts: Hashable, Sendable, Codable {
    /// Seconds since 1970.
    package var second: Int64
    package var stable: VersionCounts
    package var canary: VersionCounts

    package init(second: Int64, stable: VersionCounts = VersionCounts(), canary: VersionCounts = VersionCounts()) {
        self.second = second
        self.stable = stable
        self.canary = canary
    }
}

/// New requests wait in a bounded queue instead of being sent on.
package struct HoldRequest: Hashable, Sendable, Codable {
    /// Who holds; the same name again changes the deadline, another name is refused.
    package var name: String
    /// After this long the router lets the requests go by itself, in milliseconds.
    package var deadlineMilliseconds: Int64
    /// Requests beyond this many are answered 503 with Retry-After.
    package var maximumQueued: Int

    package init(name: String, deadlineMilliseconds: Int64, maximumQueued: Int = 10_000) {
        self.name = name
        self.deadlineMilliseconds = deadlineMilliseconds
        self.maximumQueued = maximumQueued
    }
}

package struct HoldState: Hashable, Sendable, Codable {
    package var name: String
    package var queued: Int
    /// Requests sent on before the hold that have not settled.
    package var inFlight: Int
    /// Since when, milliseconds since 1970.
    package var since: Int64

    package init(name: String, queued: Int, inFlight: Int, since: Int64) {
        self.name = name
        self.queued = queued
        self.inFlight = inFlight
        self.since = since
    }
}

/// A failing canary request as evidence: redacted, both bodies cut at their start.
package struct FailureSample: Hashable, Sendable, Codable {
    package struct Header: Hashable, Sendable, Codable {
        package var name: String
        package var value: String
        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package enum Kind: String, Hashable, Sendable, Codable {
        case status, connectFailure, reset, timeout
    }

    package var arm: String
    package var instance: String
    /// Milliseconds since 1970, when the response settled.
    package var at: Int64
    package var kind: Kind
    package var method: String
    /// Path and query, with the values of redacted fields replaced.
    package var target: String
    package var requestHeaders: [Header]
    package var requestBody: String
    /// 0 when there was no response.
    package var status: Int
    package var responseHeaders: [Header]
    package var responseBody: String
    package var latencyMicroseconds: UInt64
    /// `traceparent` of the request, if it had one.
    package var trace: String?

    package init(
        arm: String, instance: String, at: Int64, kind: Kind, method: String, target: String,
        requestHeaders: [Header], requestBody: String, status: Int, responseHeaders: [Header], responseBody: String,
        latencyMicroseconds: UInt64, trace: String?
    ) {
        self.arm = arm
        self.instance = instance
        self.at = at
        self.kind = kind
        self.method = method
        self.target = target
        self.requestHeaders = requestHeaders
        self.requestBody = requestBody
        self.status = status
        self.responseHeaders = responseHeaders
        self.responseBody = responseBody
        self.latencyMicroseconds = latencyMicroseconds
        self.trace = trace
    }
}

/// Every kept sample of the current release, oldest first, and how many failed beyond the kept ones.
package struct SampleReport: Hashable, Sendable, Codable {
    package var release: String
    package var samples: [FailureSample]
    package var dropped: UInt64
    /// When the canary's first failure settled, milliseconds since 1970.
    package var firstFailureAt: Int64?

    package init(release: String, samples: [FailureSample], dropped: UInt64, firstFailureAt: Int64?) {
        self.release = release
        self.samples = samples
        self.dropped = dropped
        self.firstFailureAt = firstFailureAt
    }
}
