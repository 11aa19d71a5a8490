// From a webhook to a durable release.

package import ControlModel
import Logging
import Policies
import Ports
import Postgres
package import Releases

extension ReleaseController {
    package func policy(of service: ServiceName) async -> Policy? { policies[service] }

    package func triggerSecrets(of service: ServiceName) async -> [[UInt8]] {
        guard let policy = policies[service] else { return [] }
        return policy.trigger.secrets.compactMap { secret in
            do {
                return Array(try Policies.resolve(secret).utf8)
            } catch {
                logger.error(
                    "trigger secret cannot be read", metadata: ["service": "\(service)", "secret": "\(secret)"])
                return nil
            }
        }
    }

    package func accept(_ request: ReleaseRequest, service: ServiceName) async throws(Refusal) -> Accepted {
        guard let policy = policies[service] else { throw unknown(service) }
        let driver = try driver(of: service)
        guard let epoch else { throw Refusal(.unavailable, "this daemon does not lead") }
        let commit = try await commit(request.commit, policy)
        let key = try databaseKey(policy)
        do {
            let others = try await store.unfinished(of: service)
            if policy.trigger.onNewer == .reject, let active = others.first(where: \.isActive) {
                guard await isPastUndo(active.id) else {
                    throw Refusal(
                        .conflict, "\(active.id) is active and the policy rejects newer releases",
                        hint: "wait for it, or set trigger.on_newer to queue or supersede", release: active.id)
                }
            }
            let now = ports.now()
            let accepted = try await store.accept(
                service: service, delivery: request.delivery, commit: commit, databaseKey: key, at: now, epoch: epoch
            ) { id in
                Acceptance(
                    release: id, commit: commit, policy: policy, request: request,
                    deadline: now.advanced(by: policy.deadline))
            }
            if !accepted.duplicate, policy.trigger.onNewer == .supersede {
                await supersede(others.map(\.id), by: accepted.release, driver)
            }
            driver.inbox.tell(.clock)
            return Accepted(
                release: accepted.release, url: url(of: accepted.release), duplicate: accepted.duplicate)
        } catch let refusal as Refusal {
            throw refusal
        } catch let error as StoreError {
            throw Refusal(error)
        } catch {
            throw Refusal(.unavailable, "\(error)")
        }
    }

    /// An undo window never stands in the way of the next release.
    private func isPastUndo(_ release: ReleaseID) async -> Bool {
        guard let facts = try? await store.facts(of: release), !facts.isEmpty else { return false }
        return ReleaseState.replay(facts).phase == .undoable
    }

    private func supersede(_ older: [ReleaseID], by newer: ReleaseID, _ driver: ServiceDriver) async {
        for id in older where id.number < newer.number {
            driver.inbox.tell(.newerArrived(newer), release: id)
        }
    }

    /// A full commit id is checked in preflight; anything shorter must be known now, within the sender's patience.
    private func commit(_ name: String, _ policy: Policy) async throws(Refusal) -> CommitID {
        if let id = CommitID(rawValue: name) { return id }
        do {
            return try await ports.source.resolve(name, repository: policy.source.repository)
        } catch {
            throw Refusal(error.isTransient ? .unavailable : .refusedByPolicy, error.message, hint: error.hint)
        }
    }

    /// Host, port and name of the database: what one release at a time may record and rewind.
    private func databaseKey(_ policy: Policy) throws(Refusal) -> String? {
        guard let database = policy.database, database.snapshot != .none else { return nil }
        do {
            let settings = try ConnectionSettings(url: try Policies.resolve(database.adminURL))
            let host = settings.parameters["host"] ?? "local"
            return "\(host):\(settings.parameters["port"] ?? "5432")/\(settings.database)"
        } catch {
            throw Refusal(
                .unavailable, "database.admin_url (\(database.adminURL)) cannot be read",
                hint: "set it in the daemon's environment; `perchd check` shows what is missing")
        }
    }
}
