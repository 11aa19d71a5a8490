// Which tables a router takes. Pure.

import Traffic

/// What a new table means to a router that has one.
enum TableVerdict: Hashable, Sendable {
    case newer
    /// The same table again: nothing to do.
    case same
    case stale(epoch: UInt64, generation: UInt64)
    case malformed(String)

    /// - Parameter current: the table served now.
    init(_ table: RoutingTable, current: RoutingTable?) {
        if let mistake = table.mistake {
            self = .malformed(mistake)
        } else if let current, (table.epoch, table.generation) <= (current.epoch, current.generation) {
            self = table == current ? .same : .stale(epoch: current.epoch, generation: current.generation)
        } else {
            self = .newer
        }
    }
}

extension RoutingTable {
    /// The first thing wrong with this table, for a person; nil when it can be served.
    var mistake: String? {
        guard (0...10_000).contains(canaryShare) else { return "canaryShare \(canaryShare) is outside 0...10000" }
        if canary.isEmpty && canaryShare > 0 { return "canaryShare is \(canaryShare) and there is no canary" }
        guard timeoutMilliseconds > 0 else { return "timeoutMilliseconds \(timeoutMilliseconds) is not positive" }
        var names: Set<String> = []
        for backend in stable + canary {
            guard (1...65_535).contains(backend.port) else {
                return "port \(backend.port) of instance \(backend.name) is outside 1...65535"
            }
            guard !backend.host.isEmpty else { return "instance \(backend.name) has no host" }
            guard names.insert(backend.name).inserted else { return "instance \(backend.name) is there twice" }
        }
        guard routes.count <= RoutePatterns.bound else {
            return "\(routes.count) routes are more than \(RoutePatterns.bound)"
        }
        for (place, route) in routes.enumerated() {
            if let mistake = RoutePatterns.mistake(in: route) { return mistake }
            guard !routes[..<place].contains(route) else { return "route '\(route)' is there twice" }
        }
        return nil
    }
}
