// What the data side of a release achieved, as facts keep it.

/// What a snapshot holds, as its manifest says.
package struct SnapshotSummary: Hashable, Sendable, Codable {
    /// `0/16B3748`
    package var lsn: String
    package var systemIdentifier: String
    package var serverVersion: String
    package var tables: Int
    package var bytes: Int64
    package var tookMilliseconds: Int64

    package init(
        lsn: String, systemIdentifier: String, serverVersion: String, tables: Int, bytes: Int64,
        tookMilliseconds: Int64
    ) {
        self.lsn = lsn
        self.systemIdentifier = systemIdentifier
        self.serverVersion = serverVersion
        self.tables = tables
        self.bytes = bytes
        self.tookMilliseconds = tookMilliseconds
    }
}

/// The result of a data rollback.
package struct RewindSummary: Hashable, Sendable, Codable {
    /// `replay` or `keep`.
    package var mode: String
    package var stableTransactionsReplayed: Int
    package var changesReplayed: Int
    package var canaryTransactionsKeptOut: Int
    /// Rows in quarantine because the canary wrote them.
    package var canaryRowsQuarantined: Int
    /// Stable changes in quarantine, with their reasons in `perch quarantine`.
    package var conflictsQuarantined: Int
    package var tablesVerified: Int
    package var rowsVerified: Int64
    /// Requests were held this long.
    package var heldMilliseconds: Int64
    /// The database as it was before the switch; empty for `keep`.
    package var previousDatabase: String
    /// What could not be undone, a sentence each.
    package var notUndone: [String]

    package init(
        mode: String, stableTransactionsReplayed: Int = 0, changesReplayed: Int = 0,
        canaryTransactionsKeptOut: Int = 0, canaryRowsQuarantined: Int = 0, conflictsQuarantined: Int = 0,
        tablesVerified: Int = 0, rowsVerified: Int64 = 0, heldMilliseconds: Int64 = 0, previousDatabase: String = "",
        notUndone: [String] = []
    ) {
        self.mode = mode
        self.stableTransactionsReplayed = stableTransactionsReplayed
        self.changesReplayed = changesReplayed
        self.canaryTransactionsKeptOut = canaryTransactionsKeptOut
        self.canaryRowsQuarantined = canaryRowsQuarantined
        self.conflictsQuarantined = conflictsQuarantined
        self.tablesVerified = tablesVerified
        self.rowsVerified = rowsVerified
        self.heldMilliseconds = heldMilliseconds
        self.previousDatabase = previousDatabase
        self.notUndone = notUndone
    }
}
