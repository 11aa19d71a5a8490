// The users of the routes that are judged by themselves. Pure: the clock is in the events.

/// The users that were met on one route.
struct RouteUsers: Sendable {
    var route: String
    /// nil where the coin is tossed for each request.
    var users: Users?
}

/// The users of one release, route by route: on each route a user is met, and fails first, by itself.
struct UsersByRoute: Sendable {
    private var users: [String: Users] = [:]

    /// - Parameter news: of every event loop; each names the routes by places of its own.
    mutating func take(_ news: [UserNews]) {
        var events: [String: [[UserEvent]]] = [:]
        for lane in news where !lane.routeEvents.isEmpty {
            for (place, ofRoute) in Dictionary(grouping: lane.routeEvents, by: \.route) {
                guard let place, lane.routes.indices.contains(place) else { continue }
                events[lane.routes[place], default: []].append(ofRoute)
            }
        }
        for (route, events) in events { users[route, default: Users(bound: Users.routeBound)].take(events) }
    }

    /// Those of one route; nobody when it met nobody.
    func users(of route: String) -> Users { users[route] ?? Users(bound: Users.routeBound) }
}
