// The instances that serve everybody: which they are, replacing them, and keeping them alive.

import Logging
import Ports
import Releases
import Traffic

extension ServiceDriver {
    func stableVersion() async throws(Failure) -> StableVersion? {
        do {
            return try await store.stable(of: service)
        } catch {
            throw Failure("store: \(error)", isTransient: true)
        }
    }

    func instanceNames(tag: String, _ policy: Policy) -> [String] {
        (1...policy.platform.process.stableInstances).map { "\(tag)-stable-\($0)" }
    }

    func canarySpecs(_ state: ReleaseState) async throws(Failure) -> [InstanceSpec] {
        let url = try await databaseURL(.canary, state.policy)
        return (1...state.policy.platform.process.canaryInstances).map { number in
            spec(
                "\(state.id)-canary-\(number)", .canary, state.acceptance.commit, state.policy, url,
                release: state.id.description)
        }
    }

    private func databaseURL(_ arm: Arm, _ policy: Policy) async throws(Failure) -> String? {
        policy.database == nil ? nil : try await ports.data.databaseURL(for: arm, policy: policy)
    }

    private func spec(
        _ name: String, _ arm: Arm, _ commit: CommitID, _ policy: Policy, _ url: String?, release: String
    ) -> InstanceSpec {
        InstanceSpec(
            name: name, service: service, arm: arm, commit: commit, process: policy.platform.process, databaseURL: url,
            environment: [
                "PERCH_SERVICE": service.rawValue, "PERCH_COMMIT": commit.rawValue, "PERCH_ARM": arm.rawValue,
                "PERCH_RELEASE": release, "PERCH_INSTANCE": name,
            ])
    }

    /// Instances of the arm that run; stable ones by the tag that serves.
    func running(_ arm: Arm, _ state: ReleaseState) async -> [Instance] {
        let prefix = "\(state.id)-canary-"
        return await ports.platform.running(service: service)
            .filter { $0.arm == arm && (arm == .stable || $0.name.hasPrefix(prefix)) }
            .sorted { $0.name < $1.name }
    }

    /// Stable instances that answer their readiness path now.
    func readyStable(_ policy: Policy) async -> [Instance] {
        guard let stable = try? await stableVersion() else { return [] }
        let names = Set(instanceNames(tag: stable.tag, policy))
        let candidates = await ports.platform.running(service: service)
            .filter { names.contains($0.name) }.sorted { $0.name < $1.name }
        var ready: [Instance] = []
        for instance in candidates {
            if await ports.platform.health(of: instance, process: policy.platform.process) == .ready {
                ready.append(instance)
            }
        }
        return ready
    }

    // MARK: Replacing

    /// A rolling replacement of every stable instance by one of `commit` under `tag`: start new, ready, route, drain old.
    ///
    /// - Parameter tellLeaving: called once, before the first old instance is taken out.
    func rollOut(
        _ version: StableVersion, policy: Policy, release: ReleaseID?, canary: [Backend]?, share: Share?,
        tellLeaving: () async -> Void = {}
    ) async throws(Failure) {
        try await ports.platform.prepare(commit: version.commit, policy: policy)
        let process = policy.platform.process
        let url = try await databaseURL(version.role, policy)
        let names = instanceNames(tag: version.tag, policy)
        var old = await ports.platform.running(service: service)
            .filter { $0.arm == .stable && !names.contains($0.name) }.sorted { $0.name < $1.name }
        var new: [Instance] = []
        var hasToldLeaving = false
        for batch in stride(from: 0, to: names.count, by: max(1, policy.promote.maxParallel)) {
            let slice = names[batch..<min(names.count, batch + max(1, policy.promote.maxParallel))]
            var started: [Instance] = []
            for name in slice {
                started.append(
                    try await ports.platform.start(
                        spec(name, .stable, version.commit, policy, url, release: release?.description ?? version.tag)))
            }
            for instance in started { try await ports.platform.awaitReady(instance, process: process) }
            new += started
            let surplus = max(0, old.count - (names.count - new.count))
            let leaving = Array(old.prefix(surplus))
            old.removeFirst(surplus)
            if !leaving.isEmpty, !hasToldLeaving {
                hasToldLeaving = true
                await tellLeaving()
            }
            try await table.publish(
                policy: policy, release: release, stable: (new + old).map { .init($0) }, canary: canary, share: share)
            try await drain(leaving, process: process)
        }
    }

    /// Stops instances that no table names any more, after the requests they were sent have settled.
    func drain(_ instances: [Instance], process: Policy.Process) async throws(Failure) {
        guard !instances.isEmpty else { return }
        await awaitSettled(Set(instances.map(\.name)), within: process.drain)
        for instance in instances { try await ports.platform.stop(name: instance.name, drain: process.drain) }
    }

    private func awaitSettled(_ names: Set<String>, within limit: Span) async {
        let end = ContinuousClock.now + limit.duration
        while ContinuousClock.now < end, !Task.isCancelled {
            guard let reading = try? await ports.traffic.report(service: service),
                reading.inFlightByInstance.contains(where: { names.contains($0.key) && $0.value > 0 })
            else { return }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    // MARK: Effects

    func replaceStable(_ state: ReleaseState) async throws(Failure) {
        let canary = state.isFirst ? [] : await running(.canary, state)
        let version = StableVersion(
            commit: state.acceptance.commit, tag: state.id.description, role: roleAfterPromotion(state))
        try await rollOut(
            version, policy: state.policy, release: state.id, canary: canary.map { .init($0) },
            share: state.wantedShare
        ) {
            await self.report(.stableLeaving, state)
        }
        try await table.publish(policy: state.policy, release: state.id, canary: [], share: Share.none)
        try await drain(canary, process: state.policy.platform.process)
        try await setStable(version)
        await report(.stableReplaced, state)
    }

    /// While a promotion can be undone with its data, its instances go on writing as the canary's role.
    private func roleAfterPromotion(_ state: ReleaseState) -> Arm {
        state.snapshot != nil && state.policy.promote.undoWindow > .zero ? .canary : .stable
    }

    func setStable(_ version: StableVersion) async throws(Failure) {
        do {
            try await store.setStable(version, of: service, epoch: epoch)
        } catch {
            throw Failure("store: \(error)", isTransient: true)
        }
    }

    /// Brings the old version's instances back beside the new ones; users follow in the next stage.
    func restoreStable(_ state: ReleaseState) async throws(Failure) {
        guard let commit = state.stable else {
            throw Failure("\(state.id) was the first version: there is no older one")
        }
        let version = StableVersion(commit: commit, tag: "\(state.id)-undone", role: .stable)
        try await startTogether(version, state)
        try await setStable(version)
        await report(.stableRestored, state)
    }

    /// Every instance of the version at once, beside whatever serves; returns when all are ready.
    func startTogether(_ version: StableVersion, _ state: ReleaseState) async throws(Failure) {
        try await ports.platform.prepare(commit: version.commit, policy: state.policy)
        let url = try await databaseURL(version.role, state.policy)
        var started: [Instance] = []
        for name in instanceNames(tag: version.tag, state.policy) {
            started.append(
                try await ports.platform.start(
                    spec(name, .stable, version.commit, state.policy, url, release: state.id.description)))
        }
        for instance in started {
            try await ports.platform.awaitReady(instance, process: state.policy.platform.process)
        }
    }

    /// Stops stable instances that no longer serve.
    func stopLeftBehind(_ policy: Policy) async throws(Failure) {
        guard let stable = try await stableVersion() else { return }
        let kept = Set(instanceNames(tag: stable.tag, policy))
        let behind = await ports.platform.running(service: service).filter {
            $0.arm == .stable && !kept.contains($0.name)
        }
        try await drain(behind, process: policy.platform.process)
    }

    func keepUndo(until: Instant, _ state: ReleaseState) async throws(Failure) {
        while ports.now() < until, !Task.isCancelled {
            if let waiting = try? await store.unfinished(of: service), waiting.contains(where: { !$0.isActive }) {
                break
            }
            await checkRecording(state)
            await keepStableAlive(state.policy, release: state.id)
            try? await Task.sleep(for: .seconds(1))
        }
        guard !Task.isCancelled else { return }
        await report(.undoWindowClosed, state)
    }

    // MARK: Between releases

    /// Keeps the stable version running and routed while nothing is released.
    func supervise() async {
        await tidyUpData()
        do {
            guard let stable = try await stableVersion(), await !isHaltedHalfway() else { return }
            if stable.role == .canary { return try await settle(stable) }
            await keepStableAlive(policy, release: nil)
        } catch {
            logger.warning("cannot keep stable as it should be", metadata: ["error": "\(error.message)"])
        }
    }

    private func tidyUpData() async {
        guard policy.database != nil, ContinuousClock.now - lastTidied >= .seconds(30) else { return }
        do {
            for sentence in try await ports.data.tidyUp(policy: policy, now: ports.now()) {
                logger.warning("\(sentence)")
            }
            lastTidied = .now
        } catch {
            logger.warning("cannot tidy up the data side", metadata: ["error": "\(error.message)"])
        }
    }

    /// The undo window is closed: the promoted instances change to the stable role, one after the other.
    func settle(_ stable: StableVersion) async throws(Failure) {
        let settled = StableVersion(commit: stable.commit, tag: "\(stable.tag)-settled", role: .stable)
        try await rollOut(settled, policy: policy, release: nil, canary: [], share: Share.none)
        try await setStable(settled)
        logger.notice("instances use the stable role again", metadata: ["commit": "\(stable.commit.short)"])
    }

    /// A release halted while old and new instances served together: nothing is touched until a person releases.
    private func isHaltedHalfway() async -> Bool {
        guard let last = try? await store.releases(of: service, limit: 1).first,
            let facts = try? await store.facts(of: last), !facts.isEmpty
        else { return false }
        let state = ReleaseState.replay(facts)
        return state.phase == .halted && !state.isStableWhole
    }

    /// Starts stable instances that are missing and routes to those that are ready.
    func keepStableAlive(_ policy: Policy, release: ReleaseID?) async {
        do {
            guard let stable = try await stableVersion() else { return }
            let names = instanceNames(tag: stable.tag, policy)
            let alive = Set(await ports.platform.running(service: service).map(\.name))
            let missing = names.filter { !alive.contains($0) }
            if !missing.isEmpty {
                let url = try await databaseURL(stable.role, policy)
                try await ports.platform.prepare(commit: stable.commit, policy: policy)
                for name in missing {
                    logger.warning("stable instance is gone, starts it again", metadata: ["instance": "\(name)"])
                    let instance = try await ports.platform.start(
                        spec(name, .stable, stable.commit, policy, url, release: stable.tag))
                    try await ports.platform.awaitReady(instance, process: policy.platform.process)
                }
            }
            let ready = await readyStable(policy)
            guard !ready.isEmpty else { return }
            if release == nil {
                try await table.publish(
                    policy: policy, release: nil, stable: ready.map { .init($0) }, canary: [], share: Share.none)
            } else {
                try await table.publish(policy: policy, release: release, stable: ready.map { .init($0) })
            }
        } catch {
            logger.warning("cannot keep stable alive", metadata: ["error": "\(error.message)"])
        }
    }
}
