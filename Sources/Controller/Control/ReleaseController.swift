// The control plane of one daemon: leads or waits, drives every service's releases, answers the API.

import ControlModel
import Foundation
package import Logging
import Policies
import Ports
package import Postgres
package import Releases

package actor ReleaseController {
    let ports: ControllerPorts
    let store: ReleaseStore
    let logger: Logger
    let publicURL: String
    private let leadership: Leadership
    private(set) var policies: [ServiceName: Policy]
    private(set) var drivers: [ServiceName: ServiceDriver] = [:]
    /// The epoch this daemon leads in; nil while it waits.
    private(set) var epoch: UInt64?

    /// - Parameter publicURL: how people reach the API; the start of every release's URL.
    package init(
        policies: [ServiceName: Policy], ports: ControllerPorts, store: ConnectionSettings, publicURL: String,
        logger: Logger
    ) {
        self.policies = policies
        self.ports = ports
        self.store = ReleaseStore(settings: store, logger: logger)
        self.publicURL = publicURL
        self.logger = logger
        let holder = "\(ProcessInfo.processInfo.hostName):\(ProcessInfo.processInfo.processIdentifier)"
        leadership = Leadership(settings: store, holder: holder, logger: logger)
    }

    /// Until cancelled: brings the store up to date, waits to lead, drives. Stopping changes no traffic.
    ///
    /// - Throws: when the store answers and cannot be brought up to date.
    package func run() async throws(StoreError) {
        try await migrate()
        await leadership.run({ epoch in await self.lead(epoch) }, lost: { await self.stepDown() })
        await store.close()
    }

    private func migrate() async throws(StoreError) {
        while !Task.isCancelled {
            do {
                for name in try await store.migrate() {
                    logger.notice("store migrated", metadata: ["migration": "\(name)"])
                }
                return
            } catch .unreachable(let why) {
                logger.warning("store cannot be reached, tries again", metadata: ["error": "\(why)"])
                try? await Task.sleep(for: .seconds(1))
            } catch {
                logger.critical("store cannot be brought up to date", metadata: ["error": "\(error)"])
                throw error
            }
        }
    }

    private func lead(_ newEpoch: UInt64) async {
        for service in policies.keys {
            while !Task.isCancelled {
                do {
                    try await store.ensureService(service)
                    break
                } catch {
                    logger.warning("store cannot be used", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
        drivers = policies.mapValues {
            ServiceDriver(policy: $0, ports: ports, store: store, epoch: newEpoch, logger: logger)
        }
        epoch = newEpoch
        await withTaskGroup(of: Void.self) { group in
            for driver in drivers.values { group.addTask { await driver.run() } }
            if drivers.isEmpty {
                // A daemon without services leads all the same.
                group.addTask { while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) } }
            }
            await group.waitForAll()
        }
        await ports.data.stopRecording()
        stepDown()
    }

    private func stepDown() {
        epoch = nil
        drivers = [:]
    }

    /// The driver of a service while this daemon leads.
    func driver(of service: ServiceName) throws(Refusal) -> ServiceDriver {
        guard policies[service] != nil else { throw unknown(service) }
        guard let driver = drivers[service], epoch != nil else {
            throw Refusal(
                .unavailable, "this daemon does not lead", hint: "another perchd leads, or the store cannot be reached")
        }
        return driver
    }

    func unknown(_ service: ServiceName) -> Refusal {
        Refusal(.notFound, "no service '\(service)'", hint: "a service is a file in the policies folder")
    }

    func url(of release: ReleaseID) -> String { "\(publicURL)/api/v1/releases/\(release)" }
}

/// The store's errors as the API shows them.
extension Refusal {
    init(_ error: StoreError) {
        switch error {
        case .unreachable(let why):
            self.init(
                .unavailable, "the store cannot be reached: \(why)", hint: "nothing is promoted meanwhile; try again")
        case .fenced: self.init(.unavailable, "another daemon leads now", hint: "ask that one")
        case .occupied(let constraint): self.init(.conflict, "another release is active (\(constraint))")
        case .damaged(let why): self.init(.unavailable, "the store holds something unreadable: \(why)")
        }
    }
}
