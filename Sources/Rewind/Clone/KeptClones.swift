// The clones of this daemon's running releases, each with a keeper or with the one rollback that took it over.

import Ports
import Releases
import Synchronization

final class KeptClones: Sendable {
    private enum Holder: Sendable {
        case keeper(CloneKeeper)
        /// A rollback uses it; nobody may follow meanwhile.
        case rollback
    }

    private let holders = Mutex<[ReleaseID: Holder]>([:])

    func isKnown(_ release: ReleaseID) -> Bool { holders.withLock { $0[release] != nil } }

    /// Starts the keeper, if nobody has the clone.
    func keep(_ keeper: CloneKeeper, of release: ReleaseID) {
        let isNew = holders.withLock { holders in
            guard holders[release] == nil else { return false }
            holders[release] = .keeper(keeper)
            return true
        }
        if isNew { keeper.start() }
    }

    /// For a rollback, which gives it back when it is done, whatever came of it.
    ///
    /// - Returns: nil when none was kept, or it could not go on.
    func take(_ release: ReleaseID) async -> ReleaseClone? {
        let holder = holders.withLock { holders in
            let holder = holders[release]
            holders[release] = .rollback
            return holder
        }
        guard case .keeper(let keeper) = holder else { return nil }
        return await keeper.handOver()
    }

    func giveBack(_ release: ReleaseID) {
        holders.withLock { holders in
            if case .rollback = holders[release] { holders[release] = nil }
        }
    }

    /// Nobody keeps it any more. The database stays.
    func remove(_ release: ReleaseID) async {
        let holder = holders.withLock { $0.removeValue(forKey: release) }
        if case .keeper(let keeper) = holder { await keeper.stop() }
    }

    func stopAll() async {
        for release in holders.withLock({ Array($0.keys) }) { await remove(release) }
    }

    func status(of release: ReleaseID) -> CloneStatus? {
        holders.withLock { holders in
            if case .keeper(let keeper) = holders[release] { keeper.status } else { nil }
        }
    }
}
