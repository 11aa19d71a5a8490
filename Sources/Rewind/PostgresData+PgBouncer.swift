// Clients that a switch, given up or cut off, left waiting at the pooler.

import Ports
import Releases

extension PostgresData {
    /// - Parameter mark: what a switch made of this database; tells whether it may have left clients waiting.
    /// - Returns: what was done, a sentence each.
    func letClientsGo(
        _ pooler: PgBouncer, after mark: DatabaseMark, of database: String, _ cluster: Cluster,
        _ policy: Policy.DataRollback
    ) async throws(Failure) -> [String] {
        let waited: Bool
        let release: ReleaseID
        switch mark {
        case .switching(let switching):
            release = switching
            waited = try await pooler.letGo()
            try await cluster.mark(database, .restored(release))
        case .previous(let switched, _):
            release = switched
            let path = folder(release).outcome
            guard var outcome = Outcome.read(path), !outcome.isFinished else { return [] }
            waited = try await pooler.letGo(anew: true)
            outcome.finish(heldSince: nil, freeze: policy.freeze)
            try outcome.write(to: path)
        case .restoring, .restored: return []
        }
        guard waited else { return [] }
        return [
            "resumed database \(pooler.database) of \(pooler.name), which the rollback of \(release) had left paused"
        ]
    }
}
