// What a router is told and asked over its control socket. Everything here runs on the control's own event loop.

import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Traffic

/// The one place that decides which table and which hold are in force. Confined to the control event loop, whose order
/// of tasks is the order in which every lane sees the changes.
final class ControlState {
    let eventLoop: any EventLoop
    private let lanes: [LaneReference]
    private let file: TableFile
    private let limits: RouterLimits
    private let logger: Logger
    private let boot: String
    private let service: String
    /// Milliseconds since 1970.
    private let startedAt = WallClock.milliseconds()

    private var table: RoutingTable?
    private var releaseNumber: UInt64 = 0
    private var hold: Hold?
    private var holds: UInt64 = 0
    /// Of the release under `releaseNumber`.
    private var users = Users()
    private var routeUsers = UsersByRoute()
    private var takeovers: RepeatedTask?

    private struct Hold {
        var name: String
        var number: UInt64
        var since: Int64
        var deadline: NIODeadline
    }

    init(
        eventLoop: any EventLoop, lanes: [LaneReference], file: TableFile, settings: RouterSettings, boot: String,
        logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.lanes = lanes
        self.file = file
        limits = settings.limits
        service = settings.service
        self.boot = boot
        self.logger = logger
    }

    // MARK: Tables

    /// The table of the last run. Instances in it are tried like any other: nothing is assumed about their health.
    func restore() -> EventLoopFuture<Void> {
        guard let kept = file.load(logger: logger) else { return eventLoop.makeSucceededVoidFuture() }
        logger.info(
            "serving the kept routing table",
            metadata: ["epoch": "\(kept.epoch)", "generation": "\(kept.generation)", "release": "\(kept.release)"])
        return serve(kept)
    }

    /// Takes a table that is newer than the one in force, keeps it on disk, and serves it on every event loop.
    func put(_ new: RoutingTable) -> EventLoopFuture<ControlAnswer> {
        switch TableVerdict(new, current: table) {
        case .malformed(let mistake):
            return eventLoop.makeSucceededFuture(.problem(.badRequest, mistake))
        case .stale(let epoch, let generation):
            logger.warning(
                "older routing table refused",
                metadata: [
                    "epoch": "\(new.epoch)", "generation": "\(new.generation)", "served": "\(epoch).\(generation)",
                ])
            return eventLoop.makeSucceededFuture(
                .problem(.conflict, "table \(new.epoch).\(new.generation) is not newer than \(epoch).\(generation)"))
        case .same:
            return eventLoop.makeSucceededFuture(.accepted(new, isKept: true))
        case .newer:
            break
        }
        let isKept = keep(new)
        logger.info(
            "routing table",
            metadata: [
                "epoch": "\(new.epoch)", "generation": "\(new.generation)", "release": "\(new.release)",
                "stable": "\(new.stable.count)", "canary": "\(new.canary.count)", "share": "\(new.canaryShare)",
            ])
        return serve(new).map { .accepted(new, isKept: isKept) }
    }

    /// A full disk must not keep a share of zero from taking effect: the table is served all the same.
    private func keep(_ new: RoutingTable) -> Bool {
        do {
            try file.save(new)
            return true
        } catch {
            logger.error("routing table is served but not kept", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func serve(_ new: RoutingTable) -> EventLoopFuture<Void> {
        if new.release != table?.release || releaseNumber == 0 {
            releaseNumber += 1
            users = Users()
            routeUsers = UsersByRoute()
        }
        table = new
        let number = releaseNumber
        return everyLane { $0.serve(new, releaseNumber: number) }.map { _ in }
    }

    var currentTable: ControlAnswer {
        guard let table else { return .problem(.notFound, "this router has no table yet") }
        return .json(.ok, table)
    }

    // MARK: Reports

    /// Takes users over also while nobody asks for reports, so that no event loop has to keep many.
    func begin() {
        let me = NIOLoopBound(self, eventLoop: eventLoop)
        let period = TimeAmount.milliseconds(250)
        takeovers = eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in
            let state = me.value
            state.everyLane { $0.userNews() }.assumeIsolated().whenSuccess { state.take($0) }
        }
    }

    func end() { takeovers?.cancel() }

    private func take(_ news: [UserNews]) {
        let current = news.filter { $0.releaseNumber == releaseNumber }
        users.take(current.map(\.events))
        routeUsers.take(current)
    }

    func report(_ query: ReportQuery) -> EventLoopFuture<ControlAnswer> {
        everyLane { ($0.userNews(), $0.reading(query)) }.assumeIsolated().map { lanes in
            self.take(lanes.map(\.0))
            let readings = lanes.map(\.1)
            return .json(
                .ok,
                RouterReport(
                    readings, table: self.table, releaseNumber: self.releaseNumber, users: self.users,
                    routeUsers: self.routeUsers, hold: self.holdState(readings.map(\.status)), boot: self.boot,
                    at: WallClock.milliseconds()))
        }.nonisolated()
    }

    /// For Prometheus. A lane only hands over copies; the page is written here.
    func metrics() -> EventLoopFuture<ControlAnswer> {
        everyLane(\.metrics).assumeIsolated().map { readings in
            let page = MetricsPage.text(
                readings, table: self.table, service: self.service, boot: self.boot, startedAt: self.startedAt)
            return ControlAnswer(status: .ok, body: Array(page.utf8), contentType: MetricsPage.contentType)
        }.nonisolated()
    }

    func samples() -> EventLoopFuture<ControlAnswer> {
        everyLane { $0.samples }.assumeIsolated().map { samples in
            .json(.ok, FailureSamples.report(release: self.table?.release ?? "", samples))
        }.nonisolated()
    }

    // MARK: Holding

    private var currentHold: Hold? {
        guard let hold, NIODeadline.now() < hold.deadline else { return nil }
        return hold
    }

    private func holdState(_ lanes: [LaneStatus]) -> HoldState? {
        guard let hold = currentHold else { return nil }
        return HoldState(
            name: hold.name, queued: lanes.reduce(0) { $0 + $1.held },
            inFlight: lanes.reduce(0) { $0 + $1.inFlightStable + $1.inFlightCanary }, since: hold.since)
    }

    /// In force on every event loop when the answer comes.
    func hold(_ request: HoldRequest) -> EventLoopFuture<ControlAnswer> {
        if let hold = currentHold, hold.name != request.name {
            return eventLoop.makeSucceededFuture(.problem(.conflict, "requests are held by '\(hold.name)' already"))
        }
        guard !request.name.isEmpty, request.deadlineMilliseconds > 0, request.maximumQueued >= 0 else {
            return eventLoop.makeSucceededFuture(
                .problem(.badRequest, "a hold has a name, a deadline above 0 and no negative queue"))
        }
        let wait = min(.milliseconds(request.deadlineMilliseconds), TimeAmount(limits.heldFor))
        let deadline = NIODeadline.now() + wait
        let maximum = min(request.maximumQueued, limits.heldRequests)
        var held: Hold
        if let hold = currentHold {
            held = hold
            held.deadline = deadline
        } else {
            holds += 1
            held = Hold(name: request.name, number: holds, since: WallClock.milliseconds(), deadline: deadline)
        }
        hold = held
        logger.info(
            "requests are held", metadata: ["hold": "\(held.name)", "milliseconds": "\(wait.nanoseconds / 1_000_000)"])
        let number = held.number
        let current = held
        return everyLane { lane in
            lane.hold(number: number, maximum: maximum, deadline: deadline)
            return lane.status
        }.map { lanes in
            .json(
                .ok,
                HoldState(
                    name: current.name, queued: lanes.reduce(0) { $0 + $1.held },
                    inFlight: lanes.reduce(0) { $0 + $1.inFlightStable + $1.inFlightCanary }, since: current.since))
        }
    }

    /// Nothing happens when nothing is held; a hold of another name stays.
    func letGo(_ request: LetGoRequest) -> EventLoopFuture<ControlAnswer> {
        guard let hold = currentHold else { return eventLoop.makeSucceededFuture(.json(.ok, request)) }
        guard hold.name == request.name else {
            return eventLoop.makeSucceededFuture(.problem(.conflict, "requests are held by '\(hold.name)'"))
        }
        self.hold = nil
        logger.info("requests are let go", metadata: ["hold": "\(hold.name)"])
        let number = hold.number
        return everyLane { $0.letGo(number: number) }.map { _ in .json(.ok, request) }
    }

    private func everyLane<Answer: Sendable>(
        _ ask: @escaping @Sendable (Lane) -> Answer
    ) -> EventLoopFuture<[Answer]> {
        EventLoopFuture.whenAllSucceed(lanes.map { $0.ask(ask) }, on: eventLoop)
    }
}

/// A lane as other threads may hold it: they can only send it a question.
struct LaneReference: Sendable {
    let eventLoop: any EventLoop
    let lane: NIOLoopBound<Lane>

    func ask<Answer: Sendable>(_ question: @escaping @Sendable (Lane) -> Answer) -> EventLoopFuture<Answer> {
        eventLoop.submit { question(lane.value) }
    }
}
