// The controller as a small model in memory: what the API and the CLI are tested against.

import Analysis
package import ControlModel
package import Releases

/// Keeps releases and their events; time stands still at the moments its callers give.
package actor InMemoryControl: ControlPlane {
    package struct Held: Sendable {
        package var detail: ReleaseDetail
        package var report: String?
        package var quarantine: [QuarantineLine] = []
        package var recording: [String] = []
    }

    private var policies: [ServiceName: Policy] = [:]
    private var secrets: [ServiceName: [[UInt8]]] = [:]
    private var held: [ReleaseID: Held] = [:]
    private var deliveries: [String: ReleaseID] = [:]
    private var isLeading = true
    private var failAfterLines: Int?

    /// What was asked for, in order: `accept shop 8d1f cli:alice`, `abort shop-1 alice reason`.
    package internal(set) var calls: [String] = []
    /// Callers of ``events(_:after:wait:)`` that have no answer yet.
    package private(set) var waiting = 0
    package private(set) var lastRequest: ReleaseRequest?

    package init() {}

    // MARK: - What tests set

    package func add(_ policy: Policy, secrets values: [String] = []) {
        policies[policy.service] = policy
        secrets[policy.service] = values.map { Array($0.utf8) }
    }

    package func hold(_ detail: ReleaseDetail) { held[detail.summary.id] = Held(detail: detail) }

    package func change(_ id: ReleaseID, _ change: @Sendable (inout Held) -> Void) {
        guard var one = held[id] else { return }
        change(&one)
        held[id] = one
    }

    /// Adds an event and, when given, moves the phase.
    package func tell(_ id: ReleaseID, _ text: String, phase: String? = nil, isTerminal: Bool = false) {
        change(id) { one in
            let next = (one.detail.events.last?.sequence ?? 0) + 1
            one.detail.events.append(EventLine(sequence: next, at: "2026-08-01T10:00:0\(next % 10)Z", text: text))
            one.detail.summary.message = text
            if let phase {
                one.detail.summary.phase = phase
                one.detail.summary.isTerminal = isTerminal
            }
        }
    }

    package func lead(_ isLeading: Bool) { self.isLeading = isLeading }
    /// The recording breaks off after so many lines.
    package func breakRecording(afterLines lines: Int) { failAfterLines = lines }

    // MARK: - ControlPlane

    package func policy(of service: ServiceName) -> Policy? { policies[service] }
    package func triggerSecrets(of service: ServiceName) -> [[UInt8]] { secrets[service] ?? [] }

    package func accept(_ request: ReleaseRequest, service: ServiceName) throws(Refusal) -> Accepted {
        try mustLead()
        calls.append("accept \(service) \(request.commit) \(request.sender)")
        lastRequest = request
        func accepted(_ id: ReleaseID, duplicate: Bool) -> Accepted {
            Accepted(release: id, url: "https://perch.test/releases/\(id)", duplicate: duplicate)
        }
        if let known = deliveries[request.delivery] { return accepted(known, duplicate: true) }
        guard let commit = CommitID(rawValue: request.commit) else {
            throw Refusal(
                .refusedByPolicy, "commit \(request.commit) is not in the repository of service \(service)",
                hint: "push it first")
        }
        let others = held.values.map(\.detail.summary).filter { $0.service == service }
        if let active = others.first(where: { !$0.isTerminal }) {
            throw Refusal(
                .conflict, "release \(active.id) of service \(service) is \(active.phase)",
                hint: "wait for it, or abort it", release: active.id)
        }
        let id = ReleaseID(service: service, number: others.count + 1)
        deliveries[request.delivery] = id
        var detail = sampleDetail(id, commit: commit, phase: "accepted")
        detail.requestedBy = request.sender
        detail.build = request.build
        detail.links = request.links
        hold(detail)
        return accepted(id, duplicate: false)
    }

    package func services() throws(Refusal) -> [ServiceStatus] {
        try mustLead()
        return policies.keys.sorted { $0.rawValue < $1.rawValue }.map(summary)
    }

    package func status(of service: ServiceName) throws(Refusal) -> ServiceStatus {
        try mustLead()
        guard policies[service] != nil else { throw unknown(service) }
        return summary(service)
    }

    package func releases(service: ServiceName?, limit: Int) throws(Refusal) -> [ReleaseSummary] {
        try mustLead()
        if let service, policies[service] == nil { throw unknown(service) }
        return held.values.map(\.detail.summary).filter { service == nil || $0.service == service }
            .sorted { $0.id.number > $1.id.number }.prefix(limit).map { $0 }
    }

    package func release(_ id: ReleaseID) throws(Refusal) -> ReleaseDetail { try find(id).detail }

    package func events(_ id: ReleaseID, after sequence: Int, wait: Span) async throws(Refusal) -> [EventLine] {
        let deadline = ContinuousClock.now + wait.duration
        waiting += 1
        defer { waiting -= 1 }
        while true {
            let events = try find(id).detail.events.filter { $0.sequence > sequence }
            if !events.isEmpty || ContinuousClock.now >= deadline || Task.isCancelled { return events }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    package func promote(_ id: ReleaseID, by person: String) throws(Refusal) -> ReleaseSummary {
        calls.append("promote \(id) \(person)")
        return try act(id, "promote", then: "promoting", "promotion asked for by \(person)")
    }

    package func abort(_ id: ReleaseID, by person: String, reason: String?) throws(Refusal) -> ReleaseSummary {
        calls.append("abort \(id) \(person) \(reason ?? "-")")
        return try act(id, "abort", then: "rolling-back", "aborted by \(person)")
    }

    package func rollback(
        _ service: ServiceName, _ request: RollbackRequest, by person: String
    ) throws(Refusal) -> ReleaseSummary {
        calls.append("rollback \(service) \(request.data.map { "\($0)" } ?? "-") \(person) \(request.reason ?? "-")")
        guard policies[service] != nil else { throw unknown(service) }
        guard let newest = try releases(service: service, limit: 1).first else {
            throw Refusal(.conflict, "service \(service) has no release to roll back")
        }
        return try act(newest.id, "rollback", then: "rolling-back", "rollback asked for by \(person)")
    }

    package func report(_ id: ReleaseID, format: String) throws(Refusal) -> String {
        guard let report = try find(id).report else {
            throw Refusal(
                .notFound, "release \(id) has no report", hint: "only rolled back and halted releases have one")
        }
        return format == "json" ? "{\"release\":\"\(id)\"}" : report
    }

    package func exportRecording(
        _ id: ReleaseID, to sink: @escaping @Sendable (String) async throws -> Void
    ) async throws(Refusal) {
        let lines = try find(id).recording
        guard !lines.isEmpty else { throw Refusal(.notFound, "release \(id) has no recording") }
        for (index, line) in lines.enumerated() {
            if index == failAfterLines { throw Refusal(.unavailable, "the recording of \(id) breaks off") }
            do {
                try await sink(line)
            } catch {
                throw Refusal(.unavailable, "nobody takes the recording of \(id)")
            }
        }
    }

    /// One step, of which nothing is ever proven.
    package func plan(of service: ServiceName) throws(Refusal) -> ServicePlan {
        guard policies[service] != nil else { throw unknown(service) }
        let plan = Plan(
            settings: JudgingSettings(), steps: [.init(share: 500, shortestMilliseconds: 60_000)],
            stable: .init(bad: 1, total: 1_000), traffic: .init(unitsPerSecond: 20), runs: 20)
        return ServicePlan(
            service: service, unit: "request", unitsPerSecond: 20, knownUsers: nil, basis: "1 200 requests",
            stableFailures: 1, stableTotal: 1_000, rates: plan.rates,
            steps: plan.steps.map { .init($0, step: "5% for 1m") })
    }

    /// One look that went on, and a verdict against the release when a policy was given.
    package func simulate(_ id: ReleaseID, _ request: SimulationRequest) throws(Refusal) -> Simulation {
        let summary = try find(id).detail.summary
        let turns = [
            Simulation.Turn(
                at: "2026-03-01T12:00:00.250Z", phase: "canary", decision: "go-on",
                why: "needs 40 more canary requests",
                canaryRequests: 10, canaryFailures: 0),
            Simulation.Turn(
                at: "2026-03-01T12:00:02.250Z", phase: "canary", decision: "roll-back",
                why: "12 of the 13 failed requests",
                canaryRequests: 1_234, canaryFailures: 12),
        ]
        let isStrict = request.policy != nil
        return Simulation(
            release: id, looks: isStrict ? 9 : 40, turns: isStrict ? turns : [turns[0]],
            rolledBackAt: isStrict ? turns[1].at : nil, wealth: isStrict ? 1_042 : 0.5, limit: 100,
            actual: summary.message)
    }

    package func policyText(of service: ServiceName) throws(Refusal) -> String {
        guard policies[service] != nil else { throw unknown(service) }
        return "service: \(service)\n"
    }

    package func isReady() -> Bool { isLeading }

    // MARK: -

    private func mustLead() throws(Refusal) {
        guard isLeading else { throw Refusal(.unavailable, "this daemon does not lead", hint: "ask the one that does") }
    }

    private func unknown(_ service: ServiceName) -> Refusal { Refusal(.notFound, "no service is called \(service)") }

    func find(_ id: ReleaseID) throws(Refusal) -> Held {
        try mustLead()
        guard let one = held[id] else { throw Refusal(.notFound, "no release is called \(id)") }
        return one
    }

    private func act(
        _ id: ReleaseID, _ verb: String, then phase: String, _ text: String
    ) throws(Refusal) -> ReleaseSummary {
        let one = try find(id)
        guard one.detail.allowed.contains(verb) else {
            throw Refusal(
                .conflict, "release \(id) is \(one.detail.summary.phase): it cannot \(verb) now", release: id)
        }
        tell(id, text, phase: phase)
        return try find(id).detail.summary
    }

    private func summary(_ service: ServiceName) -> ServiceStatus {
        let all = held.values.map(\.detail.summary).filter { $0.service == service }.sorted {
            $0.id.number > $1.id.number
        }
        return ServiceStatus(
            service: service, stable: CommitID(rawValue: String(repeating: "a", count: 40)),
            listen: policies[service]?.traffic.listen ?? "", active: all.first { !$0.isTerminal }, queued: [],
            last: all.first(where: \.isTerminal))
    }
}

/// A policy with nothing but what is needed.
package func samplePolicy(
    _ name: String, secrets: [Secret] = [.environment("HOOK_SECRET")]
) -> Policy {
    var policy = Policy(
        service: ServiceName(rawValue: name)!, source: .init(repository: "/srv/git/\(name).git"),
        platform: .init(process: .init(command: ["./\(name)"])), traffic: .init(listen: "127.0.0.1:8080"),
        cohort: .init(steps: [.share(Share(basisPoints: 500)!, for: .minutes(2))]), database: nil)
    policy.trigger.secrets = secrets
    return policy
}

/// A release in the middle of its canary.
package func sampleDetail(_ id: ReleaseID, commit: CommitID? = nil, phase: String = "canary") -> ReleaseDetail {
    ReleaseDetail(
        summary: ReleaseSummary(
            id: id, service: id.service, commit: commit ?? CommitID(rawValue: String(repeating: "b", count: 40))!,
            stable: CommitID(rawValue: String(repeating: "a", count: 40)), phase: phase,
            message: "the canary serves 5%", isTerminal: false, share: Share(basisPoints: 500)!,
            acceptedAt: "2026-08-01T10:00:00Z", updatedAt: "2026-08-01T10:01:00Z", deadline: "2026-08-01T10:10:00Z"),
        steps: ["5% for 2m", "approve", "50% for 5m"], currentStep: 0, build: nil, links: [:], requestedBy: "webhook",
        comparison: nil, data: nil, instances: [],
        events: [EventLine(sequence: 1, at: "2026-08-01T10:00:00Z", text: "accepted \(id)")], hasReport: false,
        allowed: ["promote", "abort"])
}
