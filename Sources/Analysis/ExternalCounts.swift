// Failures that somebody else counted, and that may gate nevertheless. Pure values.

/// What one process that saw both versions has counted since the tick before: failures and all units of either, with the weight
/// of the coin that gave the units to the versions.
///
/// It has to be one process, as one scrape of one proxy: counts of several are not of one moment, and whichever version was
/// read later would look busier. Units that are missing or told twice shift the comparison; say nothing rather than that.
package struct ExternalCounts: Hashable, Sendable, Codable {
    /// As ``JudgingSettings/External/name`` says.
    package var metric: String
    package var table: ContingencyTable

    package init(metric: String, table: ContingencyTable) {
        self.metric = metric
        self.table = table
    }
}

/// Wealth of one such metric.
///
/// The counts come later than the router's, perhaps of the same requests. The average of e-processes is one only if they
/// learn of an event at the same moment; else all that holds is that the chances add up. So W is the larger of the routers'
/// part and of each external part, with the shares as weights: alpha is split in the shares' proportion. The guard for overdue
/// requests is the routers': stable's overdue requests count as failed here as well.
struct ExternalTest: Hashable, Sendable, Codable {
    let name: String
    private(set) var errors: ErrorTest

    init(name: String, null: ErrorNull) {
        self.name = name
        errors = ErrorTest(null: null)
    }

    /// - Parameter counts: of this metric and others.
    mutating func settle(_ counts: [ExternalCounts]) {
        let tables = counts.filter { $0.metric == name && $0.table.isComparison }.map(\.table)
        if !tables.isEmpty { errors.settle(tables) }
    }

    mutating func drip(_ amount: Double) { errors.drip(amount) }

    mutating func restart() { errors = ErrorTest(null: errors.null) }
}
