// What the API asks of the controller. The controller implements it; the API and its tests know nothing else.

package import Releases

/// Why a request to the controller was refused; the API turns it into problem+json (RFC 9457).
package struct Refusal: Error, Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable {
        /// 404: no such service or release.
        case notFound
        /// 409: another release is active, or the release is in a phase in which this cannot be done.
        case conflict
        /// 422: the policy refuses it.
        case refusedByPolicy
        /// 503: this daemon does not lead, or its store cannot be reached.
        case unavailable
    }
    package var kind: Kind
    /// Lower case, no full stop.
    package var message: String
    package var hint: String?
    /// The release in the way, when there is one.
    package var release: ReleaseID?

    package init(_ kind: Kind, _ message: String, hint: String? = nil, release: ReleaseID? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.release = release
    }
}

package protocol ControlPlane: Sendable {
    /// The policies in force, for signatures and filters; nil: unknown service.
    func policy(of service: ServiceName) async -> Policy?
    /// Values of the policy's trigger secrets; an unreadable one is left out and logged.
    func triggerSecrets(of service: ServiceName) async -> [[UInt8]]
    /// Returns only after the release is durable.
    func accept(_ request: ReleaseRequest, service: ServiceName) async throws(Refusal) -> Accepted

    func services() async throws(Refusal) -> [ServiceStatus]
    func status(of service: ServiceName) async throws(Refusal) -> ServiceStatus
    /// Newest first.
    func releases(service: ServiceName?, limit: Int) async throws(Refusal) -> [ReleaseSummary]
    func release(_ id: ReleaseID) async throws(Refusal) -> ReleaseDetail
    /// Events after a sequence number, waiting up to `wait` for the first one.
    func events(_ id: ReleaseID, after sequence: Int, wait: Span) async throws(Refusal) -> [EventLine]

    /// Ends a `waiting` step; in a share step goes on to the next; queued releases cannot be promoted.
    func promote(_ id: ReleaseID, by person: String) async throws(Refusal) -> ReleaseSummary
    /// Takes the canary away; rolls its data back as the policy says.
    func abort(_ id: ReleaseID, by person: String, reason: String?) async throws(Refusal) -> ReleaseSummary
    /// Rolls back the service's active release, or its last one while the undo window is open.
    func rollback(_ service: ServiceName, _ request: RollbackRequest, by person: String)
        async throws(Refusal) -> ReleaseSummary

    /// `json` or `markdown`.
    func report(_ id: ReleaseID, format: String) async throws(Refusal) -> String
    /// - Parameter withRows: also what the rows are in the live database now.
    func quarantine(
        _ id: ReleaseID, _ selection: QuarantineSelection, withRows: Bool
    ) async throws(Refusal) -> QuarantineList
    /// Writes what was chosen to the live database, all of it or nothing.
    func applyQuarantine(_ id: ReleaseID, _ request: ApplyRequest, by person: String)
        async throws(Refusal) -> DecisionResult
    /// Decided, and the data stays as it is.
    func discardQuarantine(_ id: ReleaseID, _ request: DiscardRequest, by person: String)
        async throws(Refusal) -> DecisionResult
    /// Puts back what healing a release's data changed.
    func undoHeal(_ id: ReleaseID, _ request: UndoHealRequest, by person: String) async throws(Refusal)
        -> UndoHealResult
    func exportRecording(_ id: ReleaseID, to sink: @escaping @Sendable (String) async throws -> Void)
        async throws(Refusal)
    /// How long a release would take at the present traffic.
    func plan(of service: ServiceName) async throws(Refusal) -> ServicePlan
    /// Judges a release again from what was recorded of it.
    func simulate(_ id: ReleaseID, _ request: SimulationRequest) async throws(Refusal) -> Simulation
    /// The policy with every default, as YAML.
    func policyText(of service: ServiceName) async throws(Refusal) -> String

    /// This daemon leads and its store answers.
    func isReady() async -> Bool
}
