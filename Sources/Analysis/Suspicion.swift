// Is the evidence the canary's own, or has stable not had the time to fail yet? Pure: the clock is an argument.

/// Half of the evidence that rolls back, on its way to be confirmed: the bets as they stood when W was first sqrt(1/alpha).
///
/// In an outage of both versions the canary may fail at once while stable's requests hang. Until the first of them is
/// overdue all failures are the canary's, and the guard for overdue requests sees nothing. So these bets wait until each
/// request that stable had in flight then has settled or is overdue; longer than ``ReleaseTest/overdueAfterMicroseconds``
/// that cannot take. What the canary does meanwhile changes nothing here, for stable's requests of the same time are too young
/// again; what stable does changes them. If they are still worth sqrt(1/alpha) then, with the overdue requests as failed and
/// slow, the suspicion is founded, and W rolls back as soon as it suffices. A bad canary beside a stable version that answers
/// is mostly suspected by then, and loses no time.
///
/// This spends no alpha. A verdict needs W >= 1/alpha as it would without: of the releases whose canary is no worse at most
/// alpha get there (Ville's inequality for W without any guard). A suspicion makes no verdict, it only lets some wait.
struct Suspicion: Hashable, Sendable, Codable {
    /// Milliseconds since 1970.
    private let since: Int64
    /// How old a request in flight was when it counted as overdue, in microseconds.
    private let overdueAfterMicroseconds: Double
    /// nil: it is founded.
    private(set) var bets: Bets?

    init(_ bets: Bets, at now: Int64, overdueAfterMicroseconds: Double) {
        since = now
        self.overdueAfterMicroseconds = overdueAfterMicroseconds
        self.bets = bets
    }

    var isFounded: Bool { bets == nil }

    /// From when on all that was in flight has settled or is overdue, in milliseconds since 1970.
    ///
    /// - Parameter limit: the age at which requests are overdue now, in microseconds.
    func dueAt(overdueAfterMicroseconds limit: Double) -> Int64 {
        since + Int64((max(limit, overdueAfterMicroseconds) / 1_000).rounded(.up))
    }

    /// Nothing that stable had in flight spoke for the canary.
    mutating func found() { bets = nil }

    /// Takes in what stable did; of the canary nothing.
    mutating func settle(_ observation: Observation, external counts: [ExternalCounts]) {
        bets?.settle(observation, external: counts)
    }

    /// - Parameter tables: those of each quantile, in their order.
    mutating func settle(latency tables: [[ContingencyTable]]) {
        bets?.latency?.settle(tables.map { $0.map(\.ofStable) })
    }
}

extension Bets {
    fileprivate mutating func settle(_ observation: Observation, external counts: [ExternalCounts]) {
        errors.settle(observation.units.settled.map(\.ofStable))
        for (index, tables) in observation.routes.enumerated() {
            routes[index].settle(tables.settled.map(\.ofStable))
        }
        let ofStable = counts.map { ExternalCounts(metric: $0.metric, table: $0.table.ofStable) }
        for index in external.indices { external[index].settle(ofStable) }
    }
}

extension ReleaseTest {
    /// The verdict that is reached, unless what stable has in flight may explain it.
    ///
    /// It is decided at once as well if it holds with all of stable's requests in flight as failed and slow.
    mutating func confirmedVerdict() -> RollbackVerdict? {
        weighSuspicion()
        guard let reached = reachedVerdict() else { return nil }
        if suspicion?.isFounded == true { return reached }
        let parts = parts(with: stableInFlight)
        return WealthPart.combined(parts) >= settings.rollbackEvidence && leading(of: parts) != nil ? reached : nil
    }

    private mutating func weighSuspicion() {
        let enough = settings.rollbackEvidence.squareRoot()
        guard wealth >= enough, WealthPart.combined(parts(with: overdueStable())) >= enough else {
            suspicion = nil
            return
        }
        if let suspicion {
            guard let suspected = suspicion.bets else { return }
            let dueAt = suspicion.dueAt(overdueAfterMicroseconds: overdueAfterMicroseconds)
            let isDue = now >= dueAt
            let pending = overdueStable(readSince: isDue ? dueAt : .min)
            if WealthPart.combined(suspected.parts(settings, with: pending)) >= enough {
                if isDue { self.suspicion?.found() }
                return
            }
        }
        suspicion = Suspicion(bets, at: now, overdueAfterMicroseconds: overdueAfterMicroseconds)
    }
}
