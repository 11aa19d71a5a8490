// What a router is told: whole tables, never differences. Pure values, JSON on the wire.

/// Everything a router needs to serve one service.
///
/// A router accepts a table only when `(epoch, generation)` is not older than the one it has, keeps it on disk, and
/// serves it until it gets a newer one, whatever happens to the controller.
package struct RoutingTable: Hashable, Sendable, Codable {
    /// Fencing epoch of the controller that wrote it: a controller that lost leadership can change nothing.
    package var epoch: UInt64
    /// Counts up within an epoch.
    package var generation: UInt64
    package var service: String
    /// The release these arms belong to; its counts start from zero. Empty between releases.
    package var release: String
    package var stable: [Backend]
    package var canary: [Backend]
    /// Basis points of the cohort keys that go to the canary: 0...10 000. Always 0 when `canary` is empty.
    package var canaryShare: Int
    package var cohort: CohortRule
    /// Longest wait for a version's response head, in milliseconds.
    package var timeoutMilliseconds: Int64
    /// Header and field names whose values a sample never keeps; lower case.
    package var redactHeaders: [String]
    package var redactFields: [String]
    /// Paths whose requests are also counted by themselves: `/checkout`, or `/api/orders/*` for a path and all below it.
    /// The first one that matches takes the request. At most 16; a table on the wire may leave them out.
    package var routes: [String]

    package init(
        epoch: UInt64, generation: UInt64, service: String, release: String, stable: [Backend], canary: [Backend],
        canaryShare: Int, cohort: CohortRule, timeoutMilliseconds: Int64, redactHeaders: [String],
        redactFields: [String], routes: [String] = []
    ) {
        self.epoch = epoch
        self.generation = generation
        self.service = service
        self.release = release
        self.stable = stable
        self.canary = canary
        self.canaryShare = canaryShare
        self.cohort = cohort
        self.timeoutMilliseconds = timeoutMilliseconds
        self.redactHeaders = redactHeaders
        self.redactFields = redactFields
        self.routes = routes
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        epoch = try container.decode(UInt64.self, forKey: .epoch)
        generation = try container.decode(UInt64.self, forKey: .generation)
        service = try container.decode(String.self, forKey: .service)
        release = try container.decode(String.self, forKey: .release)
        stable = try container.decode([Backend].self, forKey: .stable)
        canary = try container.decode([Backend].self, forKey: .canary)
        canaryShare = try container.decode(Int.self, forKey: .canaryShare)
        cohort = try container.decode(CohortRule.self, forKey: .cohort)
        timeoutMilliseconds = try container.decode(Int64.self, forKey: .timeoutMilliseconds)
        redactHeaders = try container.decode([String].self, forKey: .redactHeaders)
        redactFields = try container.decode([String].self, forKey: .redactFields)
        routes = try container.decodeIfPresent([String].self, forKey: .routes) ?? []
    }
}

/// One running instance that can take requests.
package struct Backend: Hashable, Sendable, Codable {
    /// The instance's name, as in reports: `shop-42-canary-1`.
    package var name: String
    /// An IP address of this machine or a host name.
    package var host: String
    package var port: Int

    package init(name: String, host: String, port: Int) {
        self.name = name
        self.host = host
        self.port = port
    }
}

/// How a request's version is chosen.
package struct CohortRule: Hashable, Sendable, Codable {
    package enum Key: Hashable, Sendable, Codable {
        case cookie(String)
        case header(String)
        case clientAddress
        /// Every request by itself.
        case request
    }

    /// The first one present decides.
    package var keys: [Key]
    /// Changes from release to release, so that it is not always the same users who go first.
    package var salt: String
    /// Lower-case header name -> value that forces the canary; such requests are counted in neither arm.
    package var includeHeaders: [String: String]

    package init(keys: [Key], salt: String, includeHeaders: [String: String]) {
        self.keys = keys
        self.salt = salt
        self.includeHeaders = includeHeaders
    }
}
