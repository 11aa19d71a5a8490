// The end of a release, and the start after a restart.

import Logging
import Ports
import Releases
import Traffic

extension ServiceDriver {
    /// After a restart: the recording runs on, and the router gets this leader's table before anything is judged.
    func prepareToResume(_ state: ReleaseState) async {
        switch state.phase {
        case .canary, .waiting, .baking, .undoable, .rollingBack:
            do {
                let stable = await readyStable(state.policy)
                let canary = state.wantedShare > .none ? await running(.canary, state) : []
                try await table.publish(
                    policy: state.policy, release: state.id, stable: stable.isEmpty ? nil : stable.map { .init($0) },
                    canary: canary.map { .init($0) }, share: state.wantedShare, even: true)
            } catch {
                logger.error(
                    "router does not take this leader's table",
                    metadata: ["release": "\(state.id)", "error": "\(error.message)"])
            }
        case .accepted, .preflight, .snapshotting, .starting, .promoting, .promoted, .rolledBack, .halted, .aborted,
            .superseded:
            break
        }
        guard state.policy.database != nil, state.snapshot != nil else { return }
        do {
            try await ports.data.resumeRecording(release: state.id, policy: state.policy)
        } catch {
            logger.error(
                "recording cannot be resumed", metadata: ["release": "\(state.id)", "error": "\(error.message)"])
        }
    }

    /// Evidence for what went wrong, and the data side's leftovers of what went right.
    func finish(_ state: ReleaseState) async throws(StoreError) {
        progress = nil
        if state.phase == .rolledBack || state.phase == .halted { try await writeReport(state) }
        if state.phase == .promoted, let stable = try await store.stable(of: service), stable.role == .canary {
            do {
                try await settle(stable)
            } catch {
                logger.warning("instances still use the canary's role", metadata: ["error": "\(error.message)"])
            }
        }
        if state.policy.database != nil, state.phase != .rolledBack {
            do {
                try await clean(state)
            } catch {
                logger.warning(
                    "leftovers of the release remain",
                    metadata: ["release": "\(state.id)", "error": "\(error.message)"])
            }
        }
    }

    /// A halted release keeps for a person what can still bring the data back; a recording that is lost keeps nothing.
    private func clean(_ state: ReleaseState) async throws(Failure) {
        guard state.phase == .halted else {
            return try await ports.data.cleanUp(release: state.id, policy: state.policy)
        }
        switch await ports.data.recording(release: state.id)?.state {
        case .broken, .overBudget: try await ports.data.endRecording(release: state.id, policy: state.policy)
        case .recording, .stopped, nil: break
        }
    }

    /// Releases that ended badly just before the daemon did.
    func writeMissingReports() async throws(StoreError) {
        for id in try await store.releasesWithoutReport(of: service) {
            let facts = try await store.facts(of: id)
            guard !facts.isEmpty else { continue }
            try await writeReport(.replay(facts))
        }
    }

    private func writeReport(_ state: ReleaseState) async throws(StoreError) {
        let facts = try await store.facts(of: state.id)
        let samples = (try? await ports.traffic.samples(service: service)).flatMap {
            $0.release == state.id.description ? $0 : nil
        }
        var output: [String: [String]] = [:]
        for number in 1...state.policy.platform.process.canaryInstances {
            let name = "\(state.id)-canary-\(number)"
            output[name] = await ports.platform.output(name: name, lines: 400)
        }
        var recording: RecordingStatus?
        var quarantine: [QuarantinedChange] = []
        if state.snapshot != nil {
            recording = await ports.data.recording(release: state.id)
            quarantine = (try? await ports.data.quarantine(release: state.id)) ?? []
        }
        let incident = Incident(
            release: state.id, policy: state.policy, stable: state.stable, canary: state.acceptance.commit,
            build: state.acceptance.request.build, links: state.acceptance.request.links,
            timeline: facts.map { .init(at: $0.at, text: $0.sentence) },
            why: state.verdicts.last { $0.outcome == .fail }?.why ?? [state.rollback?.reason ?? state.haltReason ?? ""],
            judgement: state.verdicts.last { $0.outcome == .fail }?.inputs, outcome: state.message,
            firstBadResponse: state.firstFailureAt, shareZeroAt: state.shareZeroAt,
            samples: samples
                ?? SampleReport(
                    release: state.id.description, samples: [], dropped: 0,
                    firstFailureAt: state.firstFailureAt?.millisecondsSince1970),
            output: output, rewind: state.rewind, recording: recording, quarantine: quarantine, advice: state.advice)
        let documents = await ports.evidence.report(on: incident)
        // A daemon that stops cuts the search for evidence short; the next one writes the report.
        guard !Task.isCancelled else { return }
        try await store.saveReport(json: documents.json, markdown: documents.markdown, of: state.id)
    }
}
