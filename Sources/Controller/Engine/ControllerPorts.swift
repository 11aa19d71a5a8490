// Everything the engine acts through. Only the executable knows the concrete types.

import Foundation
package import Ports
package import Releases

package struct ControllerPorts: Sendable {
    package var platform: any PlatformPort
    package var traffic: any TrafficPort
    package var source: any SourcePort
    package var data: any DataPort
    package var evidence: any EvidencePort
    package var metrics: any MetricPort
    /// Wall-clock time, for facts and deadlines.
    package var now: @Sendable () -> Instant

    package init(
        platform: any PlatformPort, traffic: any TrafficPort, source: any SourcePort, data: any DataPort,
        evidence: any EvidencePort, metrics: any MetricPort, now: @escaping @Sendable () -> Instant = { .now }
    ) {
        self.platform = platform
        self.traffic = traffic
        self.source = source
        self.data = data
        self.evidence = evidence
        self.metrics = metrics
        self.now = now
    }
}

extension Instant {
    /// The machine's wall clock.
    package static var now: Instant {
        Instant(millisecondsSince1970: Int64((Date().timeIntervalSince1970 * 1_000).rounded(.down)))
    }
}
