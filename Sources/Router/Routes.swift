// A table as one event loop serves it.

import NIOCore
import Traffic

/// One table with its instances looked up and its rules compiled. Confined to its event loop, never changed.
final class Routes {
    let table: RoutingTable
    /// Counts up with every release this router serves; a request of an earlier one is not counted any more.
    let releaseNumber: UInt64
    let cohort: Cohort
    /// Where the requests of this table are counted in the loop's tally, and the share that they are counted at.
    let place: Int
    let countedShare: Int
    let countsUsers: Bool
    let redaction: Redaction
    let stable: [Instance]
    let canary: [Instance]
    /// Longest wait for a response head.
    let timeout: TimeAmount

    init(
        _ table: RoutingTable, cohort: Cohort, releaseNumber: UInt64, place: Int, countedShare: Int, stable: [Instance],
        canary: [Instance]
    ) {
        self.table = table
        self.releaseNumber = releaseNumber
        self.stable = stable
        self.canary = canary
        self.cohort = cohort
        self.place = place
        self.countedShare = countedShare
        countsUsers = table.countsUsers
        redaction = Redaction(headers: table.redactHeaders, fields: table.redactFields)
        timeout = .milliseconds(table.timeoutMilliseconds)
    }

    func instances(_ arm: Arm) -> [Instance] { arm == .stable ? stable : canary }
}

extension RoutingTable {
    /// Users are given to the versions, not single requests, and there is a release to count them for.
    var countsUsers: Bool { !release.isEmpty && cohort.keys.first.map { $0 != .request } ?? false }
}
