// The routing table of one service: the only writer, so that generations only rise and no two effects disagree.

import Ports
import Releases
import Traffic

/// What the router should serve; every change is pushed as a whole table.
actor TableBook {
    private let service: ServiceName
    private let traffic: any TrafficPort
    private let epoch: UInt64
    private var generation: UInt64 = 0
    private(set) var stable: [Backend] = []
    private(set) var canary: [Backend] = []
    private(set) var share = Share.none
    private var served: RoutingTable?

    init(service: ServiceName, traffic: any TrafficPort, epoch: UInt64) {
        self.service = service
        self.traffic = traffic
        self.epoch = epoch
    }

    /// Changes what is wanted and makes the router serve it; pushes when something changed since the last push, or when
    /// the router does not serve that any more.
    ///
    /// - Parameter release: the release the counts belong to.
    func publish(
        policy: Policy, release: ReleaseID?, stable newStable: [Backend]? = nil, canary newCanary: [Backend]? = nil,
        share newShare: Share? = nil, even: Bool = false
    ) async throws(Failure) {
        if let newStable { stable = newStable }
        if let newCanary { canary = newCanary }
        if let newShare { share = newShare }
        var table = RoutingTable(
            epoch: epoch, generation: generation, service: service.rawValue, release: release?.description ?? "",
            stable: stable, canary: canary, canaryShare: canary.isEmpty ? 0 : share.basisPoints,
            cohort: CohortRule(
                keys: policy.cohort.by.map(\.routed), salt: release?.description ?? service.rawValue,
                includeHeaders: policy.cohort.includeHeaders),
            timeoutMilliseconds: policy.traffic.timeout.milliseconds,
            redactHeaders: policy.report.redactHeaders, redactFields: policy.report.redactFields)
        if !even, table == served, try await traffic.table(service: service) == served { return }
        generation += 1
        table.generation = generation
        try await traffic.apply(table, listen: policy.traffic.listen, metrics: policy.traffic.metrics)
        served = table
    }

    /// Takes over what the router serves already, so that a new leader's first table changes nothing by accident.
    func adopt(_ table: RoutingTable?) {
        guard let table else { return }
        stable = table.stable
        canary = table.canary
        share = Share(basisPoints: table.canaryShare) ?? .none
    }

    /// Nobody knows what the router serves: the next publication is pushed whatever it says.
    func forget() { served = nil }
}

extension Policy.CohortKey {
    var routed: CohortRule.Key {
        switch self {
        case .cookie(let name): .cookie(name)
        case .header(let name): .header(name)
        case .clientAddress: .clientAddress
        case .request: .request
        }
    }
}

extension Backend {
    init(_ instance: Instance) { self.init(name: instance.name, host: instance.host, port: instance.port) }
}
