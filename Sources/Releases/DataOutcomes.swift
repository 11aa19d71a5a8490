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
package struct RewindSummary: Hashable, Sendable {
    /// `swap`, `heal`, `keep`, or `none` where there was nothing to take out.
    package var mode: String
    /// Why this way.
    package var why = ""
    /// Rows of live that were written in place.
    package var rowsHealed = 0
    package var stableTransactionsReplayed: Int
    package var changesReplayed: Int
    package var canaryTransactionsKeptOut: Int
    /// Rows in quarantine because the canary wrote them.
    package var canaryRowsQuarantined: Int
    /// Rows and columns of stable's that met a write of the canary's, with their reasons in `perch quarantine`.
    package var conflictsQuarantined: Int
    /// Rows that both wrote and that were put together column by column.
    package var rowsMerged: Int
    /// Entries of the quarantine that a person has to decide.
    package var decisionsOpen: Int
    /// Transactions of stable that were kept out as a whole (`merge: cascade`).
    package var stableTransactionsKeptOut: Int
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
        rowsMerged: Int = 0, decisionsOpen: Int = 0, stableTransactionsKeptOut: Int = 0, tablesVerified: Int = 0,
        rowsVerified: Int64 = 0, heldMilliseconds: Int64 = 0, previousDatabase: String = "",
        notUndone: [String] = []
    ) {
        self.mode = mode
        self.stableTransactionsReplayed = stableTransactionsReplayed
        self.changesReplayed = changesReplayed
        self.canaryTransactionsKeptOut = canaryTransactionsKeptOut
        self.canaryRowsQuarantined = canaryRowsQuarantined
        self.conflictsQuarantined = conflictsQuarantined
        self.rowsMerged = rowsMerged
        self.decisionsOpen = decisionsOpen
        self.stableTransactionsKeptOut = stableTransactionsKeptOut
        self.tablesVerified = tablesVerified
        self.rowsVerified = rowsVerified
        self.heldMilliseconds = heldMilliseconds
        self.previousDatabase = previousDatabase
        self.notUndone = notUndone
    }
}

extension RewindSummary: Codable {
    /// What only a merge tells may be missing.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func number(_ key: CodingKeys) throws -> Int { try values.decodeIfPresent(Int.self, forKey: key) ?? 0 }
        self.init(
            mode: try values.decode(String.self, forKey: .mode),
            stableTransactionsReplayed: try number(.stableTransactionsReplayed),
            changesReplayed: try number(.changesReplayed),
            canaryTransactionsKeptOut: try number(.canaryTransactionsKeptOut),
            canaryRowsQuarantined: try number(.canaryRowsQuarantined),
            conflictsQuarantined: try number(.conflictsQuarantined), rowsMerged: try number(.rowsMerged),
            decisionsOpen: try number(.decisionsOpen),
            stableTransactionsKeptOut: try number(.stableTransactionsKeptOut),
            tablesVerified: try number(.tablesVerified),
            rowsVerified: try values.decode(Int64.self, forKey: .rowsVerified),
            heldMilliseconds: try values.decode(Int64.self, forKey: .heldMilliseconds),
            previousDatabase: try values.decode(String.self, forKey: .previousDatabase),
            notUndone: try values.decode([String].self, forKey: .notUndone))
        why = try values.decodeIfPresent(String.self, forKey: .why) ?? ""
        rowsHealed = try number(.rowsHealed)
    }
}
