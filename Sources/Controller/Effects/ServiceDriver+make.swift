// The effects of a release. Each makes something so that may be so already, and reports what it found to the inbox.

import Analysis
import Logging
import Ports
import Releases
import Traffic

extension ServiceDriver {
    /// Requests of stable in the last minute that say more of it than everything before.
    private static let enoughPast: UInt64 = 10_000

    /// - Throws: a transient failure to be tried again, any other to end the phase.
    func make(_ effect: Effect, _ state: ReleaseState) async throws(Failure) {
        switch effect {
        case .preflight: try await preflight(state)
        case .snapshot: try await snapshot(state)
        case .startCanary: try await startCanary(state)
        case .setShare(let share): try await setShare(share, state)
        case .watch(let phase, let until): try await watch(phase, until: until, state)
        case .awaitPerson:
            if state.wantedShare > .none { try await watch(state.phase, until: nil, state) }
        case .replaceStable: try await replaceStable(state)
        case .keepUndo(let until): try await keepUndo(until: until, state)
        case .restoreStable: try await restoreStable(state)
        case .stopCanary(let fence): try await stopCanary(fence: fence, state)
        case .rewind: try await rewind(state)
        case .verify: try await verify(state)
        }
    }

    /// Reports what an effect achieved; returns once it is durable.
    func report(_ event: Event, _ state: ReleaseState) async {
        _ = await inbox.ask(event, release: state.id)
    }

    // MARK: Before the canary

    private func preflight(_ state: ReleaseState) async throws(Failure) {
        var failures: [String] = []
        var warnings: [String] = []
        let repository = state.policy.source.repository
        do {
            let commit = try await ports.source.resolve(state.acceptance.commit.rawValue, repository: repository)
            if commit != state.acceptance.commit {
                failures.append("commit \(state.acceptance.commit.short) is not in \(repository)")
            }
        } catch {
            if error.isTransient { throw error }
            failures.append(error.description)
        }
        if state.policy.database != nil {
            try await cleanUpHalted(before: state)
            // Or the recording would take stable's writes for the canary's.
            if let stable = try await stableVersion(), stable.role == .canary { try await settle(stable) }
            for finding in await ports.data.preflight(state.policy) {
                let text =
                    finding.hint.map { "\(finding.check): \(finding.message) (hint: \($0))" }
                    ?? "\(finding.check): \(finding.message)"
                switch finding.level {
                case .ok: break
                case .warning: warnings.append(text)
                case .failure: failures.append(text)
                }
            }
        }
        if !state.isFirst {
            let ready = await readyStable(state.policy)
            if ready.isEmpty {
                failures.append(
                    "no stable instance of \(service) is ready: the canary would have nothing to go back to")
            }
        }
        await report(.preflightDone(failures: failures, warnings: warnings), state)
    }

    /// A halted release keeps its slot and journal for a person; the next release is that person's decision.
    private func cleanUpHalted(before state: ReleaseState) async throws(Failure) {
        do {
            for id in try await store.releases(of: service, limit: 5) where id != state.id {
                let facts = try await store.facts(of: id)
                guard !facts.isEmpty else { continue }
                let earlier = ReleaseState.replay(facts)
                guard earlier.phase == .halted, earlier.policy.database != nil else { continue }
                try await ports.data.cleanUp(release: id, policy: earlier.policy)
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("store: \(error)", isTransient: true)
        }
    }

    private func snapshot(_ state: ReleaseState) async throws(Failure) {
        let summary = try await ports.data.snapshot(release: state.id, policy: state.policy) { [logger] sentence in
            logger.info("\(sentence)", metadata: ["release": "\(state.id)"])
        }
        await report(.snapshotDone(summary), state)
    }

    private func startCanary(_ state: ReleaseState) async throws(Failure) {
        try await ports.platform.prepare(commit: state.acceptance.commit, policy: state.policy)
        await notePast(state)
        let specs = try await canarySpecs(state)
        var instances: [Instance] = []
        for spec in specs { instances.append(try await ports.platform.start(spec)) }
        for instance in instances {
            try await ports.platform.awaitReady(instance, process: state.policy.platform.process)
        }
        await report(.instancesReady(.canary, names: instances.map(\.name)), state)
    }

    /// Keeps what stable answered so far: the router's counts begin anew with the release's table. Without it the judge
    /// learns where stable's latencies lie while the canary serves.
    private func notePast(_ state: ReleaseState) async {
        guard !state.isFirst, let report = try? await ports.traffic.report(service: service),
            report.release != state.id.description
        else { return }
        var lastMinute = VersionCounts()
        for second in report.recent { lastMinute.add(second.stable) }
        let past = lastMinute.judged >= Self.enoughPast ? lastMinute : report.stable
        do {
            try await store.savePast(past, of: state.id, epoch: epoch)
        } catch {
            logger.warning(
                "stable's past is not known to the judge", metadata: ["release": "\(state.id)", "error": "\(error)"])
        }
    }

    // MARK: Traffic

    /// Makes the router serve this share with what runs now; also after a restart of the daemon.
    private func setShare(_ share: Share, _ state: ReleaseState) async throws(Failure) {
        let stable = await readyStable(state.policy)
        let canary = share == .none ? [] : await running(.canary, state)
        if stable.isEmpty, canary.isEmpty, state.isFirst {
            await report(.shareConfirmed(share), state)
            return
        }
        guard !stable.isEmpty || share == .none else {
            throw Failure("no stable instance of \(service) is ready", isTransient: true)
        }
        try await table.publish(
            policy: state.policy, release: state.id, stable: stable.isEmpty ? nil : stable.map { .init($0) },
            canary: canary.map { .init($0) }, share: share)
        await report(.shareConfirmed(share), state)
    }

    // MARK: Going back

    private func stopCanary(fence: Bool, _ state: ReleaseState) async throws(Failure) {
        let stable = try await stableVersion()
        let kept = stable.map { Set(instanceNames(tag: $0.tag, state.policy)) } ?? []
        let process = state.policy.platform.process
        await awaitCanaryIdle(within: .seconds(2))
        for instance in await ports.platform.running(service: service)
        where !kept.contains(instance.name) && instance.commit == state.acceptance.commit {
            try await ports.platform.stop(name: instance.name, drain: process.drain)
        }
        if fence { try await ports.data.fenceCanary(release: state.id, policy: state.policy) }
        await report(.canaryStopped, state)
    }

    /// Requests the canary still answers may finish first; after the time they are cut.
    private func awaitCanaryIdle(within limit: Duration) async {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end, !Task.isCancelled {
            guard let reading = try? await ports.traffic.report(service: service), reading.inFlightCanary > 0 else {
                return
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func rewind(_ state: ReleaseState) async throws(Failure) {
        let gate = SwitchingGate(driver: self, state: state)
        let summary = try await ports.data.rewind(release: state.id, policy: state.policy, gate: gate) {
            [logger] sentence in logger.info("\(sentence)", metadata: ["release": "\(state.id)"])
        }
        await report(.dataRewound(summary), state)
    }

    private func verify(_ state: ReleaseState) async throws(Failure) {
        if let served = try await ports.traffic.table(service: service), served.canaryShare != 0 {
            throw Failure("the router still sends \(served.canaryShare) basis points to the canary", isTransient: true)
        }
        // A stable version that was broken before the canary started is why some releases go back; it stays their reason.
        if state.canaryStarted, !state.isFirst, await readyStable(state.policy).isEmpty {
            throw Failure("no stable instance of \(service) is ready after the rollback", isTransient: true)
        }
        try await stopLeftBehind(state.policy)
        if state.policy.database != nil, state.snapshot != nil || state.recordsData {
            try await ports.data.cleanUp(release: state.id, policy: state.policy)
        }
        await report(.verified, state)
    }
}
