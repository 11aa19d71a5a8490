// What the API shows of releases and services: always from the store, so that every daemon tells the same.

import Analysis
package import ControlModel
import Foundation
import Policies
import Ports
package import Releases

extension ReleaseController {
    package func isReady() async -> Bool {
        guard epoch != nil else { return false }
        return (try? await store.releases(of: nil, limit: 1)) != nil
    }

    package func services() async throws(Refusal) -> [ServiceStatus] {
        var all: [ServiceStatus] = []
        for service in policies.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            all.append(try await status(of: service))
        }
        return all
    }

    package func status(of service: ServiceName) async throws(Refusal) -> ServiceStatus {
        guard let policy = policies[service] else { throw unknown(service) }
        do {
            let stable = try await store.stable(of: service)
            let open = try await store.unfinished(of: service)
            var summaries: [ReleaseSummary] = []
            for release in open { summaries.append(try await summary(release.id)) }
            let last = try await store.releases(of: service, limit: 20).first { id in !open.contains { $0.id == id } }
            var lastSummary: ReleaseSummary?
            if let last { lastSummary = try await summary(last) }
            let active = zip(open, summaries).first { $0.0.isActive }?.1
            let queued = zip(open, summaries).filter { !$0.0.isActive }.map(\.1)
            return ServiceStatus(
                service: service, stable: stable?.commit, listen: policy.traffic.listen, active: active, queued: queued,
                last: lastSummary)
        } catch {
            throw Refusal(error)
        }
    }

    package func releases(service: ServiceName?, limit: Int) async throws(Refusal) -> [ReleaseSummary] {
        if let service, policies[service] == nil { throw unknown(service) }
        do {
            var summaries: [ReleaseSummary] = []
            for id in try await store.releases(of: service, limit: limit) { summaries.append(try await summary(id)) }
            return summaries
        } catch {
            throw Refusal(error)
        }
    }

    private func summary(_ id: ReleaseID) async throws(StoreError) -> ReleaseSummary {
        let facts = try await store.facts(of: id)
        guard !facts.isEmpty else { throw .damaged("\(id) has no facts") }
        return ReleaseState.replay(facts).summary
    }

    func facts(_ id: ReleaseID, after sequence: Int = 0) async throws(Refusal) -> [Fact] {
        do {
            let facts = try await store.facts(of: id, after: sequence)
            if facts.isEmpty, sequence == 0 {
                throw Refusal(.notFound, "no release '\(id)'", hint: "`perch releases` lists them")
            }
            return facts
        } catch let refusal as Refusal {
            throw refusal
        } catch let error as StoreError {
            throw Refusal(error)
        } catch {
            throw Refusal(.unavailable, "\(error)")
        }
    }

    func state(_ id: ReleaseID) async throws(Refusal) -> ReleaseState { .replay(try await facts(id)) }

    package func release(_ id: ReleaseID) async throws(Refusal) -> ReleaseDetail {
        let facts = try await facts(id)
        let state = ReleaseState.replay(facts)
        var instances: [InstanceLine] = []
        if state.phase.isActive {
            instances = await ports.platform.running(service: id.service).map {
                InstanceLine(name: $0.name, arm: $0.arm, commit: $0.commit, address: "\($0.host):\($0.port)")
            }
        }
        let hasReport = (try? await store.report(of: id)) != nil
        return ReleaseDetail(
            summary: state.summary, steps: state.policy.cohort.steps.map(\.sentence), currentStep: state.currentStep,
            build: state.acceptance.request.build, links: state.acceptance.request.links,
            requestedBy: state.acceptance.request.sender, comparison: await comparison(state),
            data: await dataLine(state), instances: instances.sorted { $0.name < $1.name },
            events: facts.map(EventLine.init), hasReport: hasReport, allowed: state.allowed)
    }

    private func comparison(_ state: ReleaseState) async -> Comparison? {
        guard let progress = try? await store.progress(of: state.id) else { return nil }
        return Comparison(
            stable: VersionLine(progress.stable), canary: VersionLine(progress.canary),
            verdict: progress.standing.verdict.rawValue, why: progress.standing.why,
            wealth: progress.isAlone ? nil : progress.release.wealth,
            limit: progress.isAlone ? nil : progress.release.settings.rollbackEvidence,
            evidence: progress.isAlone ? nil : progress.release.evidence.map(EvidenceLine.init))
    }

    private func dataLine(_ state: ReleaseState) async -> DataLine? {
        guard state.policy.database != nil, let recording = await ports.data.recording(release: state.id) else {
            return nil
        }
        var open: Int?
        if state.rollback != nil, state.phase.isTerminal {
            open = try? await ports.data.quarantine(release: state.id).count(where: \.isOpen)
        }
        return DataLine(
            snapshotLSN: state.snapshot?.lsn, recording: recording.state.rawValue, durableLSN: recording.durableLSN,
            stableTransactions: recording.stableTransactions, canaryTransactions: recording.canaryTransactions,
            canaryRows: recording.canaryRows, heldWALBytes: recording.heldWALBytes, reason: recording.reason,
            clone: recording.clone.map {
                CloneLine(
                    state: $0.state.rawValue, reason: $0.reason, lagMilliseconds: $0.lagMilliseconds,
                    taintedRows: $0.taintedRows, decisionsOpen: $0.decisionsOpen)
            }, decisionsOpen: open)
    }

    package func events(_ id: ReleaseID, after sequence: Int, wait: Span) async throws(Refusal) -> [EventLine] {
        let end = ContinuousClock.now + wait.duration
        _ = try await facts(id)
        while true {
            let news = try await facts(id, after: max(0, sequence))
            if !news.isEmpty || ContinuousClock.now >= end || Task.isCancelled { return news.map(EventLine.init) }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    package func report(_ id: ReleaseID, format: String) async throws(Refusal) -> String {
        let state = try await state(id)
        do {
            guard let report = try await writtenReport(state) else {
                throw Refusal(
                    .notFound, "\(id) is \(state.phase.name) and has no report",
                    hint: "reports are written for releases that were rolled back or halted", release: id)
            }
            return format == "json" ? report.json : report.markdown
        } catch let refusal as Refusal {
            throw refusal
        } catch let error as StoreError {
            throw Refusal(error)
        } catch {
            throw Refusal(.unavailable, "\(error)")
        }
    }

    /// The report of a release that ended a moment ago is still being written: worth waiting for.
    private func writtenReport(
        _ state: ReleaseState
    ) async throws(StoreError) -> (json: String, markdown: String)? {
        let isDue = state.phase == .rolledBack || state.phase == .halted
        let end = ContinuousClock.now + (isDue ? .seconds(10) : .zero)
        while true {
            if let report = try await store.report(of: state.id) { return report }
            if ContinuousClock.now >= end || Task.isCancelled { return nil }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    package func exportRecording(
        _ id: ReleaseID, to sink: @escaping @Sendable (String) async throws -> Void
    ) async throws(Refusal) {
        let state = try await state(id)
        do {
            try await ports.data.exportRecording(release: id, policy: state.policy, to: sink)
        } catch {
            throw Refusal(.notFound, error.message, hint: error.hint, release: id)
        }
    }

    package func policyText(of service: ServiceName) async throws(Refusal) -> String {
        guard let policy = policies[service] else { throw unknown(service) }
        return PolicyFile.render(policy)
    }
}

// MARK: Documents from values

extension ReleaseState {
    var summary: ReleaseSummary {
        ReleaseSummary(
            id: id, service: id.service, commit: acceptance.commit, stable: stable, phase: phase.name, message: message,
            isTerminal: phase.isTerminal, share: share, acceptedAt: acceptedAt.iso8601, updatedAt: updatedAt.iso8601,
            deadline: phaseDeadline?.iso8601)
    }

    var currentStep: Int? {
        switch phase {
        case .canary(let step), .waiting(let step, _): step
        default: nil
        }
    }

    /// What a person can do now, as the machine itself answers.
    var allowed: [String] {
        [OperatorRequest.Verb.promote, .abort, .rollback].filter { verb in
            let request = OperatorRequest(verb: verb, person: "", reason: nil)
            return (try? decide(.operatorAsked(request, data: nil), at: updatedAt)) != nil
        }.map(\.rawValue)
    }
}

extension Policy.Step {
    var sentence: String {
        switch self {
        case .share(let share, let span): "\(share) for \(span)"
        case .approve: "approve"
        }
    }
}

extension EventLine {
    init(_ fact: Fact) { self.init(sequence: fact.sequence, at: fact.at.iso8601, text: fact.sentence) }
}

extension Instant {
    /// `2026-03-01T12:00:00.250Z`
    var iso8601: String {
        Date(timeIntervalSince1970: Double(millisecondsSince1970) / 1_000)
            .formatted(
                .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }
}
