// Everything one event loop knows: its routes, its connections, its counts, its held requests.

import Analysis
import Logging
import NIOCore
import Traffic

/// A choice of instance that names the instance itself.
enum LaneChoice {
    case instance(Instance)
    case full
    case none
}

/// The state of one event loop. Confined to it: nothing here is shared, so nothing on the way of a request is locked.
final class Lane {
    let eventLoop: any EventLoop
    let settings: RouterSettings
    let logger: Logger
    /// This loop's part of the connections that an instance may get.
    let connectionLimit: Int
    private let heldCount: HeldCount

    private(set) var routes: Routes?
    private var instances: [Backend: Instance] = [:]
    private var turn = 0
    private var random: SplitMix64

    private var clients: [ObjectIdentifier: ClientHandler] = [:]
    private var tunnels: [ObjectIdentifier: Tunnel] = [:]
    private var hold: LaneHold?
    private var waitingStable = CircularBuffer<Exchange>()
    private var waitingCanary = CircularBuffer<Exchange>()
    private var isPumping = false
    private(set) var isDraining = false

    private var tally = Tally()
    private var users = LaneUsers()
    /// nil until a table of this release judges routes by themselves.
    private var routeUsers: LaneUsers?
    /// What is in no tally any more.
    private var totals = Totals()
    private(set) var samples = FailureSamples()
    private var inFlightStable = 0
    private var inFlightCanary = 0
    private var ticks: RepeatedTask?
    private var emptied: EventLoopPromise<Void>?

    init(eventLoop: any EventLoop, settings: RouterSettings, heldCount: HeldCount, logger: Logger) {
        self.eventLoop = eventLoop
        self.settings = settings
        self.heldCount = heldCount
        self.logger = logger
        connectionLimit = max(1, settings.limits.connectionsPerInstance / settings.threads)
        random = SplitMix64(seed: UInt64.random(in: .min ... .max))
        let me = NIOLoopBound(self, eventLoop: eventLoop)
        ticks = eventLoop.scheduleRepeatedTask(initialDelay: .milliseconds(100), delay: .milliseconds(100)) { _ in
            me.value.tick()
        }
    }

    private func tick() {
        let now = NIODeadline.now()
        for client in clients.values { client.check(now: now) }
        for tunnel in tunnels.values { tunnel.check(now: now) }
        for instance in instances.values { instance.closeExpired(now: now) }
        // Those whose client left, or whose time was up.
        waitingStable.removeAll { $0.phase != .waiting }
        waitingCanary.removeAll { $0.phase != .waiting }
    }

    // MARK: Tables

    /// Requests under way keep their instance; instances that are in no arm any more lose their unused connections.
    func serve(_ table: RoutingTable, releaseNumber: UInt64) {
        if releaseNumber != routes?.releaseNumber {
            totals.add(tally)
            tally = Tally()
            users = LaneUsers()
            routeUsers = nil
            samples = FailureSamples()
        }
        var kept: [Backend: Instance] = [:]
        for backend in table.stable + table.canary {
            kept[backend] = instances[backend] ?? Instance(backend, lane: self)
        }
        for (backend, instance) in instances where kept[backend] == nil { instance.retire() }
        instances = kept
        let cohort = Cohort(table)
        let routePlaces = table.routes.map { tally.place(route: $0) }
        let place = tally.place(share: cohort.share)
        if !table.routes.isEmpty, routeUsers == nil { routeUsers = LaneUsers() }
        routes = Routes(
            table, cohort: cohort, releaseNumber: releaseNumber, place: place, countedShare: tally.shares[place].share,
            routePlaces: routePlaces, stable: table.stable.compactMap { kept[$0] },
            canary: table.canary.compactMap { kept[$0] })
        connectionFreed()
    }

    // MARK: Requests

    /// A request has arrived: it is held, or goes on at once.
    func begin(_ exchange: Exchange) {
        guard let hold else { return start(exchange) }
        guard heldCount.enter(maximum: hold.maximum) else {
            refused()
            return exchange.end(answering: .holdOverflow)
        }
        exchange.holdBack()
        self.hold?.append(exchange)
    }

    private func start(_ exchange: Exchange) {
        guard let routes else {
            refused()
            return exchange.end(answering: .noInstance)
        }
        exchange.start(routes, nonce: random.next())
    }

    /// A held request's client went away.
    func heldLeft() {
        hold?.left()
        heldCount.leave()
    }

    func choose(_ arm: Arm, tried: [ObjectIdentifier]) -> LaneChoice {
        guard let candidates = routes?.instances(arm), !candidates.isEmpty else { return .none }
        if candidates.count == 1, tried.isEmpty {
            let load = candidates[0].load(now: .now(), limit: connectionLimit, wasTried: false)
            return load.isFull ? .full : .instance(candidates[0])
        }
        let now = NIODeadline.now()
        turn &+= 1
        let loads = candidates.map {
            $0.load(now: now, limit: connectionLimit, wasTried: tried.contains(ObjectIdentifier($0)))
        }
        switch InstanceChoice(among: loads, turn: turn & 0xffff) {
        case .instance(let index): return .instance(candidates[index])
        case .full: return .full
        case .none: return .none
        }
    }

    /// - Returns: false when too many wait already.
    func wait(_ exchange: Exchange, arm: Arm) -> Bool {
        guard waitingStable.count + waitingCanary.count < settings.limits.waitingForConnection else { return false }
        if arm == .stable { waitingStable.append(exchange) } else { waitingCanary.append(exchange) }
        return true
    }

    /// A connection became unused or ended, or there are other instances now: who waits longest goes first.
    func connectionFreed() {
        guard !isPumping, !(waitingStable.isEmpty && waitingCanary.isEmpty) else { return }
        isPumping = true
        for arm in [Arm.stable, .canary] {
            while let first = arm == .stable ? waitingStable.first : waitingCanary.first {
                if first.phase == .waiting, case .full = choose(arm, tried: first.tried) { break }
                if arm == .stable { waitingStable.removeFirst() } else { waitingCanary.removeFirst() }
                if first.phase == .waiting { first.next() }
            }
        }
        isPumping = false
    }

    // MARK: Counts

    func began(_ arm: Arm) {
        if arm == .stable { inFlightStable += 1 } else { inFlightCanary += 1 }
    }

    func ended(_ arm: Arm) {
        if arm == .stable { inFlightStable -= 1 } else { inFlightCanary -= 1 }
    }

    func moved(from: Arm, to: Arm) {
        ended(from)
        began(to)
    }

    func refused() { tally.refuse() }

    /// A version was chosen. One that has no instance takes nobody, so the request is refused and counts in neither.
    func dispatched(_ choice: CohortChoice, by routes: Routes, route: Int?, at now: NIODeadline) {
        guard !routes.instances(choice.arm).isEmpty else { return }
        tally.dispatch(choice, place: routes.place, route: route)
        if routes.countsUsers, case .user(let user) = choice.unit {
            let (share, at) = (routes.countedShare, now.uptimeNanoseconds)
            users.see(user, choice.arm, share: share, at: at)
            if let route { routeUsers?.see(user, choice.arm, share: share, at: at, route: route) }
        }
    }

    /// - Parameters:
    ///   - routes: those under which the version was chosen.
    ///   - at: milliseconds since 1970.
    func settle(
        _ outcome: Outcome, _ choice: CohortChoice, by routes: Routes, route: Int?, instance: String, at now: Int64
    ) {
        tally.settle(
            outcome, choice, place: routes.place, route: route, instance: instance, second: now / 1_000)
        totals.addLatency(of: outcome, choice)
        if routes.countsUsers, outcome.isFailure, case .user(let user) = choice.unit {
            let (share, at) = (routes.countedShare, NIODeadline.now().uptimeNanoseconds)
            users.fail(user, choice.arm, share: share, at: at)
            if let route { routeUsers?.fail(user, choice.arm, share: share, at: at, route: route) }
        }
    }

    /// The release of this request is over.
    func settleLate(_ outcome: Outcome, _ choice: CohortChoice) { totals.settleLate(outcome, choice) }

    func keep(_ sample: FailureSample) { samples.add(sample) }

    var status: LaneStatus {
        LaneStatus(inFlightStable: inFlightStable, inFlightCanary: inFlightCanary, held: hold?.count ?? 0)
    }

    /// Requests in flight are looked at here, one by one, and not while they pass.
    func reading(_ query: ReportQuery) -> Reading {
        let now = NIODeadline.now()
        var tally = tally
        var byInstance: [String: Int] = [:]
        for case let exchange? in clients.values.map(\.exchange) {
            if exchange.isOnInstance { byInstance[exchange.instanceName, default: 0] += 1 }
            guard exchange.isCounted, let routes = exchange.routes else { continue }
            tally.noteInFlight(
                exchange.choice.arm, place: routes.place,
                isOverdue: exchange.isInFlight(forMicroseconds: query.overdueAfterMicroseconds, at: now))
        }
        return Reading(
            releaseNumber: routes?.releaseNumber ?? 0, tally: tally, inFlightByInstance: byInstance, status: status)
    }

    /// What is new since the last time.
    func userNews() -> UserNews {
        UserNews(
            releaseNumber: routes?.releaseNumber ?? 0, events: users.handOver(),
            routeEvents: routeUsers?.handOver() ?? [], routes: tally.routes)
    }

    var metrics: MetricsReading { MetricsReading(totals: totals, tally: tally, status: status) }

    // MARK: Holding

    func hold(number: UInt64, maximum: Int, deadline: NIODeadline) {
        if hold?.number == number {
            hold?.maximum = maximum
            hold?.deadline = deadline
        } else {
            hold = LaneHold(number: number, maximum: maximum, deadline: deadline)
        }
        eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self, let hold = self.hold, hold.number == number, hold.deadline <= .now() else { return }
            self.logger.warning("hold reached its deadline, requests are let go", metadata: ["held": "\(hold.count)"])
            self.letGo(number: number)
        }
    }

    /// The held requests go on, oldest first, by the table of this moment.
    func letGo(number: UInt64) {
        guard let hold, hold.number == number else { return }
        self.hold = nil
        for exchange in hold.waiting {
            heldCount.leave()
            exchange.release()
            start(exchange)
        }
    }

    // MARK: Connections

    func add(_ client: ClientHandler) { clients[ObjectIdentifier(client)] = client }
    func remove(_ client: ClientHandler) {
        clients[ObjectIdentifier(client)] = nil
        if clients.isEmpty { emptied?.succeed() }
    }
    func add(_ tunnel: Tunnel) { tunnels[ObjectIdentifier(tunnel)] = tunnel }
    func remove(_ tunnel: Tunnel) { tunnels[ObjectIdentifier(tunnel)] = nil }

    /// From here on connections end with their response; done when there is none left. Tunnels do not count.
    func drain() -> EventLoopFuture<Void> {
        isDraining = true
        let emptied = eventLoop.makePromise(of: Void.self)
        self.emptied = emptied
        for client in clients.values { client.drain() }
        if clients.isEmpty { emptied.succeed() }
        return emptied.futureResult
    }

    /// The end: whatever is still open is cut.
    func close() {
        ticks?.cancel()
        for client in clients.values { client.abort() }
        for tunnel in tunnels.values { tunnel.close() }
        for instance in instances.values { instance.retire() }
        emptied?.succeed()
    }
}
