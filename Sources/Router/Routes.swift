// A table as one event loop serves it.

import NIOCore
import NIOHTTP1
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
    /// The routes that are judged by themselves, and where each is counted in the loop's tally; nil where there are none.
    private let judged: (patterns: RoutePatterns, places: [Int?])?
    let redaction: Redaction
    let stable: [Instance]
    let canary: [Instance]
    /// Longest wait for a response head.
    let timeout: TimeAmount

    init(
        _ table: RoutingTable, cohort: Cohort, releaseNumber: UInt64, place: Int, countedShare: Int,
        routePlaces: [Int?], stable: [Instance], canary: [Instance]
    ) {
        self.table = table
        self.releaseNumber = releaseNumber
        self.stable = stable
        self.canary = canary
        self.cohort = cohort
        self.place = place
        self.countedShare = countedShare
        countsUsers = table.countsUsers
        judged = table.routes.isEmpty ? nil : (RoutePatterns(table.routes), routePlaces)
        redaction = Redaction(headers: table.redactHeaders, fields: table.redactFields)
        timeout = .milliseconds(table.timeoutMilliseconds)
    }

    /// Where a request is counted besides: a place in the tally's routes; nil where its path is no judged route.
    func routePlace(_ request: AdmittedRequest) -> Int? {
        guard let judged else { return nil }
        return judged.patterns.first(matching: request.head.uri).flatMap { judged.places[$0] }
    }

    func instances(_ arm: Arm) -> [Instance] { arm == .stable ? stable : canary }
}

extension RoutingTable {
    /// Users are given to the versions, not single requests, and there is a release to count them for.
    var countsUsers: Bool { !release.isEmpty && cohort.keys.first.map { $0 != .request } ?? false }
}
