// Goal: whatever is killed, and whenever, the release ends right and no acknowledged write is lost, doubled or left.
// Method: real processes killed with SIGKILL at exact places, PostgreSQL ended as by `pg_ctl -m immediate`; customers
// with a ledger all the time. One system a test, one after the other.

import SystemSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(3))) enum Crashes {}

extension PerchSystem {
    /// The next daemon starts at once; nothing of the old one's making happens in between.
    func killAndStartDaemon() async throws {
        try await daemon.kill()
        try await daemon.start()
    }
}
