// Why a release goes back, with every number that the decision rests on. Pure values.

/// A verdict against a version. It is a fact: nothing that comes later changes it.
package struct RollbackVerdict: Hashable, Sendable, Codable {
    package enum Cause: Hashable, Sendable, Codable {
        /// The canary is worse than stable.
        case worse
        /// A version that has all traffic breaks a limit.
        case limit(AbsoluteLimits.Bound)
        /// Both versions break a limit, and the policy rolls back then.
        case incident(SharedIncident)
        /// The canary's instances went away: for too long, or for the second time.
        case outage
    }

    /// Requests or users of both versions at one share.
    package struct Share: Hashable, Sendable, Codable {
        /// The canary's share in basis points.
        package var share: Int
        package var canary: ContingencyTable.Trials
        package var stable: ContingencyTable.Trials
    }

    package var cause: Cause
    /// Milliseconds since 1970.
    package var at: Int64
    package var unit: JudgingSettings.Unit
    /// Of the leading metric, with everything that counted: since the release began, or began again after an outage.
    package var canary: ContingencyTable.Trials
    package var stable: ContingencyTable.Trials
    /// Failures share by share, smallest share first.
    package var shares: [Share]
    /// W of all metrics together.
    package var wealth: Double
    /// The same with stable's overdue requests taken as failed and slow.
    package var guardedWealth: Double
    /// W that rolls back: 1/alpha.
    package var limit: Double
    /// The metric that contributes most to W.
    package var leading: Metric
    /// W of that metric alone; of all quantiles together when it is a latency.
    package var leadingWealth: Double
    /// That metric's share of W.
    package var leadingShare: Double
    /// The shift in log odds of its expert with the most at stake, one of ``Experts/shifts``.
    package var leadingShift: Double
    package var errorNull: ErrorNull
    /// Where slow begins, when the leading metric is a latency.
    package var edge: LatencyEdge?
    /// Latency was judged as well, so that W speaks about both.
    package var judgesLatency: Bool
    /// So were failures of routes, or those that somebody else counted.
    package var judgesParts: Bool
    /// Canary failures by instance, where the router names them.
    package var failuresByInstance: [String: UInt64]
}

extension RollbackVerdict {
    /// The reason as an operator reads it.
    ///
    /// - Parameter release: how it is called: `v42`, `shop-42`.
    package func sentence(release: String) -> String {
        let parts: [String?] =
            switch cause {
            case .worse: ["rolled back \(release): \(comparison).", claim, instances]
            case .outage:
                [
                    "rolled back \(release): its instances went away for more than "
                        + "\(span(milliseconds: OutageWatch.longestOutMilliseconds)) or a second time; \(comparison).",
                    claim, instances,
                ]
            case .limit(let bound):
                [
                    "rolled back \(release): \(grouped(canary.bad)) of \(counted(canary.total, "request")) "
                        + "\(bound.breach), \(bound.allowance).", limitClaim, nil,
                ]
            case .incident(let incident):
                ["rolled back \(release): \(incident.sentence); the policy rolls back then.", nil, instances]
            }
        return parts.compactMap(\.self).joined(separator: " ")
    }

    /// `which gets 5 % of traffic`.
    private var traffic: String {
        let used = shares.map(\.share)
        guard let low = used.first, let high = used.last else { return "which gets no traffic" }
        return low == high
            ? "which gets \(percent(Double(low) / 10_000)) of traffic"
            : "which got \(percent(Double(low) / 10_000)) to \(percent(Double(high) / 10_000)) of traffic"
    }

    private var bad: String {
        if leading.isExternal { return "failures" }
        return unit == .user ? "users who met a failure" : "failed requests"
    }

    private var comparison: String {
        let all = canary.bad + stable.bad
        let ofAll = "\(grouped(canary.bad)) of the \(grouped(all))"
        let counts =
            "canary \(grouped(canary.bad)) of \(grouped(canary.total)), "
            + "stable \(grouped(stable.bad)) of \(grouped(stable.total))"
        guard let edge, case .latency = leading else {
            return "\(ofAll) \(bad)\(place) were on the canary, \(traffic) (\(counts))"
        }
        return "\(ofAll) slow requests were on the canary, \(traffic) (\(counts); slow is above stable's \(leading), "
            + "\(milliseconds(edge.stableMicroseconds)), for the canary above \(milliseconds(edge.canaryMicroseconds)))"
    }

    /// By Ville's inequality. A metric that reaches the limit by itself is claimed by itself; one of many that were looked at,
    /// as a route is, by its part in W.
    private var claim: String {
        let nulls: [String]
        let evidence: Double
        let alone = leading.isPart ? leadingShare * leadingWealth : leadingWealth
        if alone >= limit || !judgesLatency && !judgesParts {
            nulls = [null(of: leading)]
            evidence = alone
        } else if judgesParts {
            nulls = ["was worse in nothing that is judged"]
            evidence = wealth
        } else {
            nulls = [null(of: .errors), "was not slower by more than the policy grants"]
            evidence = wealth
        }
        return
            "If the canary \(nulls.joined(separator: " and ")), evidence this strong would come up in fewer than 1 of "
            + "\(roundedDown(evidence)) releases (limit: 1 of \(roundedDown(limit)))."
    }

    private func null(of metric: Metric) -> String {
        if case .latency = metric {
            let margin = edge.map { $0.canaryMicroseconds / $0.stableMicroseconds - 1 } ?? 0
            return "was at most \(percent(margin)) slower than stable"
        }
        let place = metric == leading ? place : ""
        if errorNull.ratio != 1 {
            let excess = errorNull.excess > 0 ? " plus \(decimal(errorNull.excess * 100, digits: 4)) points" : ""
            return "failed at most \(decimal(errorNull.ratio)) times as often as stable\(excess)\(place)"
        }
        return errorNull.excess > 0
            ? "failed at most \(decimal(errorNull.excess * 100, digits: 4)) points more often than stable\(place)"
            : "failed no more often than stable\(place)"
    }

    /// ` on /checkout`, ` by checkout_errors`, where it is not all requests that lead.
    private var place: String {
        switch leading {
        case .errors, .latency: ""
        case .route(let name): " on \(name)"
        case .external(let name): " by \(name)"
        }
    }

    private var limitClaim: String {
        "If it kept its limits, evidence this strong would come up in fewer than 1 of \(roundedDown(wealth)) releases "
            + "(limit: 1 of \(roundedDown(limit)))."
    }

    private var instances: String? {
        let failing = failuresByInstance.filter { $0.value > 0 }
        guard leading == .errors, failing.count == 1, let only = failing.first else { return nil }
        return only.value == 1
            ? "The failure: instance \(only.key)." : "all \(grouped(only.value)) failures: instance \(only.key)."
    }
}
