// Watching a step: counts from the router, limits from the policy, the canary's health, the recording's.

import Analysis
import Logging
import Ports
import Releases
import Traffic

extension ServiceDriver {
    /// Judges until the phase is left. A failure takes the users away first and is recorded then.
    ///
    /// - Parameter until: the earliest moment a pass counts; nil: it can only fail.
    func watch(_ phase: Phase, until: Instant?, _ state: ReleaseState) async throws(Failure) {
        var counts = try await resumedProgress(phase, state)
        var lastSlow = ContinuousClock.now - .seconds(10)
        while !Task.isCancelled {
            let reading = try await ports.traffic.report(service: service)
            guard reading.release == state.id.description else {
                throw Failure("the router counts for '\(reading.release)', not \(state.id)", isTransient: true)
            }
            counts.add(reading)
            progress = counts
            try await save(counts, state)
            if counts.canary.failures > 0, self.state?.firstFailureAt == nil { await noteFirstFailure(state) }
            await judge(counts, phase, until: until, state)
            if ContinuousClock.now - lastSlow >= .seconds(2) {
                lastSlow = .now
                await checkInstances(state)
                await checkRecording(state)
            }
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    private func resumedProgress(_ phase: Phase, _ state: ReleaseState) async throws(Failure) -> WatchProgress {
        do {
            if let saved = try await store.progress(of: state.id), saved.phase == phase { return saved }
        } catch {
            throw Failure("store: \(error)", isTransient: true)
        }
        return WatchProgress(phase: phase, baseline: try await ports.traffic.report(service: service))
    }

    private func save(_ counts: WatchProgress, _ state: ReleaseState) async throws(Failure) {
        do {
            try await store.saveProgress(counts, of: state.id, epoch: epoch)
        } catch {
            throw Failure("store: \(error)", isTransient: true)
        }
    }

    private func noteFirstFailure(_ state: ReleaseState) async {
        guard let samples = try? await ports.traffic.samples(service: service), let at = samples.firstFailureAt else {
            return
        }
        await report(.firstFailureSeen(Instant(millisecondsSince1970: at)), state)
    }

    private func judge(_ counts: WatchProgress, _ phase: Phase, until: Instant?, _ state: ReleaseState) async {
        let judgement = Self.judgement(counts, phase, state)
        let now = ports.now()
        switch judgement {
        case .broken(let why):
            if phase != .baking {
                // The one effect that runs before its fact: users leave a failing canary at once.
                try? await table.publish(policy: state.policy, release: state.id, share: Share.none)
            }
            await report(.judged(Verdict(phase: phase, outcome: .fail, why: why)), state)
        case .within(let why):
            guard let until, now >= until else { return }
            await report(.judged(Verdict(phase: phase, outcome: .pass, why: why)), state)
        case .unknown(_, let why):
            guard let until, now >= until.advanced(by: state.policy.watch.noDataWait) else { return }
            await report(.dataMissing(phase, why: why), state)
        }
    }

    /// While baking everybody is on the new version, so the stable arm is what is judged.
    static func judgement(_ counts: WatchProgress, _ phase: Phase, _ state: ReleaseState) -> Judgement {
        let limits = AbsoluteLimits(
            minimumRequests: state.policy.watch.minimumRequests,
            errorsMaxBasisPoints: state.policy.watch.errorsMaxBasisPoints,
            latency: state.policy.watch.latencyMax.map {
                .init(perMille: $0.quantilePerMille, maxMicroseconds: $0.max.milliseconds * 1_000)
            })
        return phase == .baking
            ? .of(counts.stable, limits: limits, name: "new version")
            : .of(counts.canary, limits: limits, name: "canary")
    }

    /// An instance of the watched version that ended is a fact of the release; a stable one is started again.
    private func checkInstances(_ state: ReleaseState) async {
        guard state.phase != .baking else { return await keepStableAlive(state.policy, release: state.id) }
        for spec in (try? await canarySpecs(state)) ?? [] {
            let instance = await running(.canary, state).first { $0.name == spec.name }
            let placed =
                instance
                ?? Instance(
                    name: spec.name, service: service, arm: .canary, commit: spec.commit, host: "127.0.0.1", port: 0)
            switch await ports.platform.health(of: placed, process: state.policy.platform.process) {
            case .ready, .starting, .notReady: break
            case .exited(let status, let lines):
                let tail = lines.suffix(5).joined(separator: " | ")
                await report(
                    .instanceLost(
                        name: spec.name, why: "\(spec.name) ended (\(status))" + (tail.isEmpty ? "" : ": \(tail)")),
                    state)
                return
            }
        }
        await keepStableAlive(state.policy, release: state.id)
    }

    /// What the slot may hold before a release goes back: a slot that cannot advance holds the rollback's writes as well.
    static func heldLimit(_ budget: Int64, _ ownWrites: Int64) -> Int64 {
        max(budget / 2, min(budget / 10 * 8, budget - ownWrites))
    }

    /// Production first: a release whose recording nears its budget goes back while it still can.
    func checkRecording(_ state: ReleaseState) async {
        guard let snapshot = state.snapshot, let database = state.policy.database,
            let recording = await ports.data.recording(release: state.id)
        else { return }
        metrics.recorded(recording)
        switch recording.state {
        case .broken, .overBudget:
            await report(
                .recordingEndangered(
                    why: "recording is \(recording.state.rawValue): \(recording.reason ?? "unknown reason")"), state)
        case .recording:
            let ownWrites = snapshot.bytes + recording.journalBytes
            guard recording.heldWALBytes > Self.heldLimit(database.recordingBudgetBytes, ownWrites) else { return }
            await report(
                .recordingEndangered(
                    why: "the recording holds \(recording.heldWALBytes) bytes of WAL of a budget of "
                        + "\(database.recordingBudgetBytes), and going back writes about \(ownWrites) more"),
                state)
        case .stopped:
            do {
                try await ports.data.resumeRecording(release: state.id, policy: state.policy)
            } catch {
                logger.warning(
                    "recording cannot be resumed", metadata: ["release": "\(state.id)", "error": "\(error.message)"])
            }
        }
    }
}
