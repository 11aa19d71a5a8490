// What event loops contribute to a report, and the report they make. Pure.

import Traffic

/// One event loop's counts at one moment: every request is in them whole, or not yet.
struct Reading: Sendable {
    /// The release that the counts belong to; loops change over one after the other.
    var releaseNumber: UInt64
    /// Settled requests, and those in flight.
    var tally: Tally
    var inFlightByInstance: [String: Int]
    var status: LaneStatus
}

/// What is under way on one event loop.
struct LaneStatus: Sendable {
    /// By whose instances serve them; those that are counted nowhere, too.
    var inFlightStable: Int
    var inFlightCanary: Int
    var held: Int
}

/// News of one event loop's users.
struct UserNews: Sendable {
    var releaseNumber: UInt64
    var events: [UserEvent]
    /// The same by route, where routes are judged by themselves.
    var routeEvents: [UserEvent]
    /// The routes that these events name by their places.
    var routes: [String]
}

extension RouterReport {
    /// - Parameters:
    ///   - readings: one an event loop. Those of another release count nowhere.
    ///   - users: all that were handed over.
    ///   - routeUsers: the same by route.
    ///   - now: milliseconds since 1970.
    init(
        _ readings: [Reading], table: RoutingTable?, releaseNumber: UInt64, users: Users,
        routeUsers: UsersByRoute, hold: HoldState?, boot: String, at now: Int64
    ) {
        var tally = Tally()
        for reading in readings where reading.releaseNumber == releaseNumber { tally.add(reading.tally) }
        let countsUsers = table?.countsUsers ?? false
        let routes = (table?.routes ?? []).map { route in
            RouteUsers(route: route, users: countsUsers ? routeUsers.users(of: route) : nil)
        }
        self.init(
            boot: boot, epoch: table?.epoch ?? 0, generation: table?.generation ?? 0, release: table?.release ?? "",
            at: now, stable: tally.stable, canary: tally.canary,
            counts: tally.counts(boot: boot, users: countsUsers ? users : nil, routes: routes),
            keyless: tally.keyless, forced: tally.forced, refused: tally.refused,
            inFlightStable: readings.reduce(0) { $0 + $1.status.inFlightStable },
            inFlightCanary: readings.reduce(0) { $0 + $1.status.inFlightCanary },
            inFlightByInstance: readings.reduce(into: [:]) { sum, reading in
                sum.merge(reading.inFlightByInstance, uniquingKeysWith: +)
            },
            hold: hold, recent: tally.recent(now: now / 1_000))
    }
}
