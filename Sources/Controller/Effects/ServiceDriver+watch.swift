// Watching a step: counts from the router, limits from the policy, the canary's health, the recording's.

import Analysis
import Logging
import Ports
import Releases
import Traffic

extension ServiceDriver {
    /// So many releases of a service can be judged again.
    static let releasesWithLooks = 50

    /// Judges until the phase is left. A failure takes the users away first and is recorded then.
    ///
    /// - Parameter until: the earliest moment a pass counts; nil: it can only fail.
    func watch(_ phase: Phase, until: Instant?, _ state: ReleaseState) async throws(Failure) {
        var judge = try await resumedProgress(phase, state)
        var lastSlow = ContinuousClock.now - .seconds(10)
        var isDrained = false
        var saidOnHold: String?
        while !Task.isCancelled {
            let reading = try await reading(state)
            let isReady = isDrained ? await isCanaryReady(state) : true
            let (look, recorded) = judge.judge(reading, state.watched, isCanaryReady: isReady, at: ports.now())
            progress = judge
            try await save(judge, recorded, state)
            if judge.canary.failures > 0, self.state?.firstFailureAt == nil { await noteFirstFailure(state) }
            if case .hold(let reason) = look {
                if reason.takesTrafficAway != isDrained {
                    isDrained = reason.takesTrafficAway
                    try await table.publish(
                        policy: state.policy, release: state.id, share: isDrained ? Share.none : state.wantedShare)
                }
                if saidOnHold != reason.kind {
                    saidOnHold = reason.kind
                    inbox.tell(.onHold(why: reason.sentence), release: state.id)
                }
            } else if isDrained {
                isDrained = false
                try await table.publish(policy: state.policy, release: state.id, share: state.wantedShare)
            }
            await act(on: look, judge, phase, until: until, state)
            if ContinuousClock.now - lastSlow >= .seconds(2) {
                lastSlow = .now
                await checkInstances(state)
                await checkRecording(state)
            }
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    /// The release's judge: as it was left in this phase, or handed on from the one before.
    private func resumedProgress(_ phase: Phase, _ state: ReleaseState) async throws(Failure) -> WatchProgress {
        let saved: WatchProgress?
        let past: VersionCounts?
        do {
            saved = try await store.progress(of: state.id)
            past = saved == nil ? try await store.past(of: state.id) : nil
        } catch {
            throw Failure("store: \(error)", isTransient: true)
        }
        if let saved, saved.phase == phase, saved.since == state.phaseSince { return saved }
        let reading = try await reading(state)
        let now = ports.now()
        let judge = WatchProgress(state.watched, after: saved, past: past, reading: reading, at: now)
        if saved == nil { await forgetOldLooks() }
        try await save(judge, judge.recordedBeginning(after: saved, past: past, at: now), state)
        return judge
    }

    private func reading(_ state: ReleaseState) async throws(Failure) -> Reading {
        let report = try await ports.traffic.report(service: service)
        guard report.release == state.id.description else {
            throw Failure("the router counts for '\(report.release)', not \(state.id)", isTransient: true)
        }
        return Reading(report)
    }

    private func forgetOldLooks() async {
        do {
            try await store.forgetLooks(of: service, except: Self.releasesWithLooks)
        } catch {
            logger.warning("old looks are not forgotten", metadata: ["error": "\(error)"])
        }
    }

    private func isCanaryReady(_ state: ReleaseState) async -> Bool {
        for instance in await running(.canary, state) {
            guard case .ready = await ports.platform.health(of: instance, process: state.policy.platform.process)
            else { return false }
        }
        return true
    }

    private func save(
        _ judge: WatchProgress, _ look: RecordedLook, _ state: ReleaseState
    ) async throws(Failure) {
        do {
            try await store.saveProgress(judge, look, of: state.id, epoch: epoch)
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

    private func act(
        on look: Look, _ judge: WatchProgress, _ phase: Phase, until: Instant?, _ state: ReleaseState
    ) async {
        let now = ports.now()
        let standing = judge.standing
        switch look {
        case .rollBack(let verdict):
            if phase != .baking {
                // The one effect that runs before its fact: users leave a failing canary at once.
                try? await table.publish(policy: state.policy, release: state.id, share: Share.none)
            }
            let inputs = VerdictInputs(verdict, look: judge.looks)
            await report(.judged(Verdict(phase: phase, outcome: .fail, why: standing.why, inputs: inputs)), state)
        case .advance:
            guard let until, now >= until else { return }
            let inputs = VerdictInputs(judge)
            await report(.judged(Verdict(phase: phase, outcome: .pass, why: standing.why, inputs: inputs)), state)
        case .resume:
            await report(.canaryIsBack, state)
        case .hold(.notEnoughEvidence):
            await report(.dataMissing(phase, why: standing.why.joined(separator: "; ")), state)
        case .hold: break
        case .goOn:
            guard let until, now >= until.advanced(by: state.policy.watch.noDataWait) else { return }
            await report(.dataMissing(phase, why: standing.why.joined(separator: "; ")), state)
        }
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
