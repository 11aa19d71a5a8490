// Holds the service's requests while its data is switched, and brings the instances onto the switched database.

import Logging
import Ports
import Releases
import Traffic

struct SwitchingGate: SwitchGate {
    let driver: ServiceDriver
    let state: ReleaseState

    private var name: String { "rewind \(state.id)" }
    private var traffic: any TrafficPort { driver.ports.traffic }

    /// Requests wait; those already sent on get half of the time to settle.
    func hold(deadline: Span) async throws(Failure) {
        let request = HoldRequest(name: name, deadlineMilliseconds: deadline.milliseconds)
        var held = try await traffic.hold(service: driver.service, request)
        let end = ContinuousClock.now + deadline.duration / 2
        while held.inFlight > 0 {
            guard ContinuousClock.now < end else {
                await letGo()
                throw Failure(
                    "\(held.inFlight) requests did not settle within \(Span(milliseconds: deadline.milliseconds / 2))",
                    hint: "raise database.rollback.freeze, or end the long requests", isTransient: true)
            }
            try? await Task.sleep(for: .milliseconds(5))
            held = try await traffic.report(service: driver.service).hold ?? held
        }
    }

    func reconnect() async throws(Failure) {
        switch state.policy.database?.rollback.reconnect {
        case .restart: try await driver.restartStable(state)
        case .probe, nil: try await driver.probeStable(state)
        }
    }

    func letGo() async {
        for _ in 0..<20 {
            do {
                try await traffic.letGo(service: driver.service, name: name)
                return
            } catch {
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        driver.logger.error("cannot let held requests go; the router does it at its deadline")
    }
}

extension ServiceDriver {
    /// Fresh stable instances, so that no pool holds a connection to the database that was renamed away.
    func restartStable(_ state: ReleaseState) async throws(Failure) {
        guard let stable = try await stableVersion() else { return }
        let suffix = "-after-\(state.id)"
        let tag = stable.tag.hasSuffix(suffix) ? stable.tag : stable.tag + suffix
        let version = StableVersion(commit: stable.commit, tag: tag, role: .stable)
        try await startTogether(version, state)
        try await setStable(version)
        await table.forget()
        try await table.publish(
            policy: state.policy, release: state.id, stable: await readyStable(state.policy).map { .init($0) })
    }

    /// Waits until every stable instance is ready on the switched database.
    func probeStable(_ state: ReleaseState) async throws(Failure) {
        guard let stable = try await stableVersion() else { return }
        let names = Set(instanceNames(tag: stable.tag, state.policy))
        for instance in await ports.platform.running(service: service) where names.contains(instance.name) {
            try await ports.platform.awaitReady(instance, process: state.policy.platform.process)
        }
    }
}
