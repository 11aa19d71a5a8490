// Who splits the traffic. `apply` and `report` are two questions: make it so, and is it so.

package import Releases
package import Traffic

package protocol TrafficPort: Sendable {
    /// Makes the router serve this table; starts the router when it does not run.
    ///
    /// - Throws: when the router refuses (an older epoch or generation) or cannot be reached.
    func apply(_ table: RoutingTable, listen: String) async throws(Failure)

    /// The table the router serves now; nil when it has none or does not run.
    func table(service: ServiceName) async throws(Failure) -> RoutingTable?

    func report(service: ServiceName) async throws(Failure) -> RouterReport
    func samples(service: ServiceName) async throws(Failure) -> SampleReport

    /// New requests wait from now on. Returns at once with how many are still in flight.
    func hold(service: ServiceName, _ request: HoldRequest) async throws(Failure) -> HoldState
    /// Lets held requests go; nothing happens when none are held.
    func letGo(service: ServiceName, name: String) async throws(Failure)
}
