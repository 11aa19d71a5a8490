// Who splits the traffic. `apply` and `report` are two questions: make it so, and is it so.

package import Releases
package import Traffic

package protocol TrafficPort: Sendable {
    /// Makes the router serve this table; starts the router when it does not run.
    ///
    /// - Parameters:
    ///   - listen: `host:port` of the service. It cannot change while the router runs.
    ///   - metrics: `host:port` at which a router that is started here serves `/metrics`; nil: nowhere.
    /// - Throws: when the router refuses (an older epoch or generation) or cannot be reached.
    func apply(_ table: RoutingTable, listen: String, metrics: String?) async throws(Failure)

    /// The table the router serves now; nil when it has none or does not run.
    func table(service: ServiceName) async throws(Failure) -> RoutingTable?

    /// - Parameter overdueAfter: a request in flight for longer is overdue; counted in whole microseconds.
    func report(service: ServiceName, overdueAfter: Duration) async throws(Failure) -> RouterReport
    func samples(service: ServiceName) async throws(Failure) -> SampleReport

    /// New requests wait from now on. Returns at once with how many are still in flight.
    func hold(service: ServiceName, _ request: HoldRequest) async throws(Failure) -> HoldState
    /// Lets held requests go; nothing happens when none are held.
    func letGo(service: ServiceName, name: String) async throws(Failure)
}

extension TrafficPort {
    /// Of a router without `/metrics`.
    package func apply(_ table: RoutingTable, listen: String) async throws(Failure) {
        try await apply(table, listen: listen, metrics: nil)
    }

    /// With the router's own idea of overdue, a quarter of a second.
    package func report(service: ServiceName) async throws(Failure) -> RouterReport {
        try await report(service: service, overdueAfter: .milliseconds(250))
    }
}
