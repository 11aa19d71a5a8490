// A table as one event loop serves it.

import NIOCore
import Traffic

/// One table with its instances looked up and its rules compiled. Confined to its event loop, never changed.
final class Routes {
    let table: RoutingTable
    /// Counts up with every release this router serves; a request of an earlier one is not counted any more.
    let releaseNumber: UInt64
    let cohort: Cohort
    let redaction: Redaction
    let stable: [Instance]
    let canary: [Instance]
    /// Longest wait for a response head.
    let timeout: TimeAmount

    init(_ table: RoutingTable, releaseNumber: UInt64, stable: [Instance], canary: [Instance]) {
        self.table = table
        self.releaseNumber = releaseNumber
        self.stable = stable
        self.canary = canary
        cohort = Cohort(table)
        redaction = Redaction(headers: table.redactHeaders, fields: table.redactFields)
        timeout = .milliseconds(table.timeoutMilliseconds)
    }

    func instances(_ arm: Arm) -> [Instance] { arm == .stable ? stable : canary }
}
