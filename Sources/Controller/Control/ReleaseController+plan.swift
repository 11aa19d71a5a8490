// How long a release would take now, for `perch plan`.

import Analysis
package import ControlModel
import Ports
package import Releases
import Traffic

extension ReleaseController {
    /// Past releases that are looked at for how users come.
    private static let releasesAskedForUsers = 20

    package func plan(of service: ServiceName) async throws(Refusal) -> ServicePlan {
        guard let policy = policies[service] else { throw unknown(service) }
        let report: RouterReport
        do {
            report = try await ports.traffic.report(service: service)
        } catch {
            throw Refusal(
                .unavailable, "the present traffic of \(service) is not known: \(error.message)",
                hint: "the router starts with the first release")
        }
        let settings = JudgingSettings(policy)
        let requests = report.recent.reduce(0) { $0 + $1.stable.judged + $1.canary.judged }
        let requestsPerSecond = Double(requests) / Double(max(1, Self.seconds(report)))
        var traffic = Plan.Traffic(unitsPerSecond: requestsPerSecond)
        var basis = "\(requests) requests in the router's last \(Self.seconds(report)) s"
        var stable = ContingencyTable.Trials(bad: report.stable.failures, total: report.stable.judged)
        if settings.unit == .user {
            let shares = report.counts.shares
            let seen = shares.map { $0.stable.users?.seen ?? 0 }.max() ?? 0
            stable = .init(bad: shares.reduce(0) { $0 + ($1.stable.users?.failed ?? 0) }, total: seen)
            if let (supply, release) = try await userSupply(service) {
                traffic = Plan.Traffic(unitsPerSecond: supply.perSecond, knownUsers: supply.known)
                basis = "\(supply.known) users of \(release)'s busiest step"
            } else {
                traffic = Plan.Traffic(unitsPerSecond: min(requestsPerSecond, Double(seen) / 60), knownUsers: seen)
                basis += " and \(seen) users so far; how users come shows after the first release with a canary"
            }
        }
        let steps = policy.cohort.steps.compactMap { step -> (Plan.Step, String)? in
            guard case .share(let share, let span) = step else { return nil }
            return (.init(share: share.basisPoints, shortestMilliseconds: span.milliseconds), step.sentence)
        }
        let plan = await Self.played(settings, steps.map(\.0), stable, traffic)
        return ServicePlan(
            service: service, unit: settings.unit.rawValue, unitsPerSecond: traffic.unitsPerSecond,
            knownUsers: traffic.knownUsers, basis: basis, stableFailures: stable.bad, stableTotal: stable.total,
            rates: plan.rates, steps: zip(plan.steps, steps).map { .init($0, step: $1.1) })
    }

    /// Away from the actor: some hundred releases are played.
    @concurrent private static func played(
        _ settings: JudgingSettings, _ steps: [Plan.Step], _ stable: ContingencyTable.Trials, _ traffic: Plan.Traffic
    ) async -> Plan { Plan(settings: settings, steps: steps, stable: stable, traffic: traffic) }

    /// Seconds that `recent` spans.
    private static func seconds(_ report: RouterReport) -> Int64 {
        guard let first = report.recent.first?.second else { return 0 }
        return max(1, report.at / 1_000 - first)
    }

    private func userSupply(
        _ service: ServiceName
    ) async throws(Refusal) -> (supply: (perSecond: Double, known: UInt64), release: ReleaseID)? {
        do {
            for id in try await store.releases(of: service, limit: Self.releasesAskedForUsers) {
                var supply = UserSupply()
                for look in try await store.looks(of: id, after: 0, limit: Self.looksPerPage) { supply.take(look) }
                if let result = supply.result { return (result, id) }
            }
            return nil
        } catch {
            throw Refusal(error)
        }
    }
}
