// Counts of the phase that is watched, kept so that a restart of daemon or router loses none of them.

package import Analysis
package import Releases
package import Traffic

/// The window's counts so far and the router's last reading; a lost, doubled or late reading changes nothing.
package struct WatchProgress: Hashable, Sendable, Codable {
    package private(set) var phase: Phase
    package private(set) var boot: String
    package private(set) var stable = VersionCounts()
    package private(set) var canary = VersionCounts()
    private var lastStable: VersionCounts
    private var lastCanary: VersionCounts

    /// The window starts with this reading.
    package init(phase: Phase, baseline: RouterReport) {
        self.phase = phase
        boot = baseline.boot
        lastStable = baseline.stable
        lastCanary = baseline.canary
    }

    package mutating func add(_ reading: RouterReport) {
        if reading.boot != boot {  // a fresh router counts from zero
            boot = reading.boot
            lastStable = VersionCounts()
            lastCanary = VersionCounts()
        }
        guard reading.stable.requests >= lastStable.requests, reading.canary.requests >= lastCanary.requests else {
            return  // an older reading of the same boot
        }
        stable.add(reading.stable.since(lastStable))
        canary.add(reading.canary.since(lastCanary))
        lastStable = reading.stable
        lastCanary = reading.canary
    }
}
