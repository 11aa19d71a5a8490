// Lists and requests of /api/v1. A list is an object, so that fields can be added beside it.

package struct ServiceList: Hashable, Sendable, Codable {
    package var services: [ServiceStatus]
    package init(services: [ServiceStatus]) { self.services = services }
}

package struct ReleaseList: Hashable, Sendable, Codable {
    /// Newest first.
    package var releases: [ReleaseSummary]
    package init(releases: [ReleaseSummary]) { self.releases = releases }
}

package struct EventList: Hashable, Sendable, Codable {
    package var events: [EventLine]
    /// What to ask `after` next.
    package var last: Int
    package init(events: [EventLine], last: Int) {
        self.events = events
        self.last = last
    }
}

package struct AbortRequest: Hashable, Sendable, Codable {
    package var reason: String?
    package init(reason: String?) { self.reason = reason }
}

/// A trigger that changes nothing: a ping, or an event the policy does not ask for.
package struct Unmoved: Hashable, Sendable, Codable {
    package var ping: Bool?
    package var ignored: String?
    package init(ping: Bool? = nil, ignored: String? = nil) {
        self.ping = ping
        self.ignored = ignored
    }
}
