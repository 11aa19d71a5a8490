// Drives one service's releases, one at a time, from their facts. A daemon that starts anew drives on from where the facts
// end: the state says which effect is due, and every effect makes so what may be so already.

import Analysis
import Logging
import Ports
import Releases

/// One consumer loop over the inbox; effects run beside it and report back through it.
actor ServiceDriver {
    let service: ServiceName
    let ports: ControllerPorts
    let store: ReleaseStore
    let epoch: UInt64
    let logger: Logger
    let inbox = Inbox()
    let table: TableBook
    let metrics: EngineMetrics

    /// The policy in force now; releases run under the one pinned in their acceptance.
    var policy: Policy
    private(set) var state: ReleaseState?
    /// The comparison people see; nil outside of watching.
    var progress: WatchProgress?
    private var lastSupervised = ContinuousClock.now - .seconds(60)
    /// When the data side was last tidied up; long ago after every release.
    var lastTidied = ContinuousClock.now - .seconds(60)
    private var running: (effect: Effect, phase: Phase, task: Task<Void, Never>)?

    init(
        policy: Policy, ports: ControllerPorts, store: ReleaseStore, epoch: UInt64, logger: Logger
    ) {
        service = policy.service
        self.policy = policy
        self.ports = ports
        self.store = store
        self.epoch = epoch
        var logger = logger
        logger[metadataKey: "service"] = "\(policy.service)"
        self.logger = logger
        metrics = EngineMetrics(service: policy.service)
        table = TableBook(service: policy.service, traffic: ports.traffic, epoch: epoch)
    }

    func use(_ newPolicy: Policy) { policy = newPolicy }

    /// Until cancelled or fenced. Ending it changes no traffic.
    func run() async {
        let ticker = Task { [inbox] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(500))
                inbox.tell(.clock)
            }
        }
        defer { ticker.cancel() }
        if let served = try? await ports.traffic.table(service: service) { await table.adopt(served) }
        var envelopes = inbox.envelopes.makeAsyncIterator()
        var hasResumed = false
        while !Task.isCancelled {
            do {
                if !hasResumed {
                    try await writeMissingReports()
                    hasResumed = true
                }
                if let next = try await store.unfinished(of: service).first {
                    try await drive(next.id, &envelopes)
                } else {
                    state = nil
                    if ContinuousClock.now - lastSupervised >= .seconds(2) {
                        await supervise()
                        lastSupervised = .now
                    }
                    await pause(&envelopes)
                }
            } catch .fenced {
                logger.error("a newer leader writes this service's releases; stops driving")
                break
            } catch {
                logger.warning("store not reachable; traffic stays as it is", metadata: ["error": "\(error)"])
                await cancelEffect()
                try? await Task.sleep(for: .seconds(1))
            }
        }
        await cancelEffect()
        // Not in this task: a cancelled task reads nothing from a stream any more.
        await Task.detached { [inbox] in await inbox.finish() }.value
    }

    /// Nothing to drive: waits for the next tick or knock, and refuses what people ask meanwhile.
    private func pause(_ envelopes: inout AsyncStream<Envelope>.Iterator) async {
        guard let envelope = await envelopes.next(isolation: self) else { return }
        envelope.reply?.resume(returning: .success(nil))
    }

    // MARK: One release

    private func drive(
        _ id: ReleaseID, _ envelopes: inout AsyncStream<Envelope>.Iterator
    ) async throws(StoreError) {
        var current = try await load(id)
        state = current
        if current.phase == .accepted {
            guard try await takeTurn(&current) else { return await pause(&envelopes) }
        } else {
            logger.notice("resumes", metadata: ["release": "\(id)", "phase": "\(current.phase.name)"])
            await prepareToResume(current)
        }
        while !current.phase.isTerminal {
            await ensureDueEffect(of: current)
            guard let envelope = await envelopes.next(isolation: self) else { break }
            if Task.isCancelled {
                envelope.reply?.resume(returning: .success(nil))
                break
            }
            try await take(envelope, &current)
        }
        await cancelEffect()
        if current.phase.isTerminal {
            try await finish(current)
            lastTidied = .now - .seconds(60)
        }
        state = nil
    }

    private func load(_ id: ReleaseID) async throws(StoreError) -> ReleaseState {
        let facts = try await store.facts(of: id)
        guard !facts.isEmpty else { throw .damaged("\(id) has no facts") }
        return ReleaseState.replay(facts)
    }

    /// - Returns: false while another release is active on the same database.
    private func takeTurn(_ current: inout ReleaseState) async throws(StoreError) -> Bool {
        if let deadline = current.phaseDeadline, ports.now() >= deadline {
            try await append(current.decideQuietly(.clock, at: ports.now()), &current)
            return true
        }
        let stable = try await store.stable(of: service)
        do {
            try await append(current.decideQuietly(.turnCame(stable: stable?.commit), at: ports.now()), &current)
            return true
        } catch .occupied {
            return false
        } catch {
            throw error
        }
    }

    private func take(_ envelope: Envelope, _ current: inout ReleaseState) async throws(StoreError) {
        if let release = envelope.release, release != current.id {
            try await takeForWaiting(envelope, release)
            return
        }
        let facts: [Fact.Body]
        do {
            facts = try current.decide(envelope.event, at: ports.now())
        } catch {
            envelope.reply?.resume(returning: .failure(error))
            return
        }
        do {
            try await append(facts, &current)
        } catch {
            envelope.reply?.resume(returning: .success(nil))
            throw error
        }
        envelope.reply?.resume(returning: .success(current))
    }

    /// An event for a release that waits for its turn: it may be aborted or superseded there.
    private func takeForWaiting(_ envelope: Envelope, _ release: ReleaseID) async throws(StoreError) {
        let driven = state
        defer { state = driven }
        do {
            var waiting = try await load(release)
            guard waiting.phase == .accepted else {
                envelope.reply?.resume(returning: .success(nil))
                return
            }
            let facts: [Fact.Body]
            do {
                facts = try waiting.decide(envelope.event, at: ports.now())
            } catch {
                envelope.reply?.resume(returning: .failure(error))
                return
            }
            try await append(facts, &waiting)
            envelope.reply?.resume(returning: .success(waiting))
        } catch {
            envelope.reply?.resume(returning: .success(nil))
            throw error
        }
    }

    /// Durable first, then believed. After a lost commit reply the facts themselves say whether they were written.
    private func append(_ bodies: [Fact.Body], _ current: inout ReleaseState) async throws(StoreError) {
        guard !bodies.isEmpty else { return }
        let now = ports.now()
        var next = current
        var facts: [Fact] = []
        for body in bodies {
            let fact = Fact(sequence: next.lastSequence + 1, at: now, body: body)
            next.apply(fact)
            facts.append(fact)
        }
        while true {
            do {
                try await store.append(facts, to: current.id, state: next, epoch: epoch)
                break
            } catch .unreachable(let why) {
                logger.warning("fact waits for the store", metadata: ["error": "\(why)"])
                guard !Task.isCancelled else { throw .unreachable(why) }
                try? await Task.sleep(for: .milliseconds(500))
            } catch .occupied(let constraint) where constraint == "fact_pkey" {
                guard try await store.facts(of: current.id, after: current.lastSequence) == facts else { throw .fenced }
                break
            }
        }
        for fact in facts {
            logger.notice("\(fact.sentence)", metadata: ["release": "\(current.id)"])
        }
        current = next
        state = next
        metrics.moved(to: next)
    }

    // MARK: The due effect

    private func ensureDueEffect(of current: ReleaseState) async {
        let due = current.dueEffect
        if let running, running.effect == due, running.phase == current.phase { return }
        await cancelEffect()
        guard let due else { return }
        let task = Task { await self.perform(due, current) }
        running = (due, current.phase, task)
    }

    private func cancelEffect() async {
        guard let effect = running else { return }
        running = nil
        effect.task.cancel()
        await effect.task.value
    }

    /// Runs the effect, again after a passing failure, until it is done, fails for good or is no longer due.
    private func perform(_ effect: Effect, _ current: ReleaseState) async {
        var wait = Duration.milliseconds(200)
        var delays: [String: Int] = [:]
        while !Task.isCancelled {
            do {
                try await make(effect, current)
                return
            } catch {
                if Task.isCancelled { return }
                guard error.isTransient else {
                    logger.error(
                        "effect failed", metadata: ["release": "\(current.id)", "error": "\(error.message)"])
                    _ = await inbox.ask(
                        .effectFailed(reason: error.message, hint: error.hint), release: current.id)
                    return
                }
                logger.warning(
                    "effect failed, tries again", metadata: ["release": "\(current.id)", "error": "\(error.message)"])
                delays[error.message, default: 0] += 1
                if delays[error.message] == 3, !effect.isWatching {
                    let hint = error.hint.map { " (hint: \($0))" } ?? ""
                    inbox.tell(.effectDelayed(reason: error.message + hint), release: current.id)
                }
                try? await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }
}

extension ReleaseState {
    /// For events that are never refused.
    func decideQuietly(_ event: Event, at now: Instant) -> [Fact.Body] {
        (try? decide(event, at: now)) ?? []
    }
}
