// Which instance of a version takes a request. Pure: the clock is an argument.

/// What the choice needs to know of one instance.
struct InstanceLoad: Hashable, Sendable {
    var inFlight: Int
    /// It has as many connections as it may have and none is unused.
    var isFull: Bool
    /// A connection to it failed a moment ago.
    var isAside: Bool
    /// This request already failed to connect to it.
    var wasTried: Bool
}

enum InstanceChoice: Hashable, Sendable {
    case instance(Int)
    /// Instances are left, but each has all the connections it may have.
    case full
    /// The version has no instance, or this request tried them all.
    case none
}

extension InstanceChoice {
    /// Least requests in flight wins; among equals the first one from `turn` on, so that idle instances take turns.
    ///
    /// Instances that were put aside are used only when no other is left: a guess about them is better than a refusal.
    init(among loads: [InstanceLoad], turn: Int) {
        var best: Int?
        var bestAside: Int?
        var someIsFull = false
        for step in loads.indices {
            let index = (turn &+ step) % loads.count
            let load = loads[index]
            if load.wasTried { continue }
            if load.isFull {
                someIsFull = true
                continue
            }
            if load.isAside {
                if bestAside.map({ load.inFlight < loads[$0].inFlight }) ?? true { bestAside = index }
            } else if best.map({ load.inFlight < loads[$0].inFlight }) ?? true {
                best = index
            }
        }
        if let index = best ?? bestAside {
            self = .instance(index)
        } else {
            self = someIsFull ? .full : .none
        }
    }
}
