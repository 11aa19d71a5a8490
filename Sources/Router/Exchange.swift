// One request on its way to an instance and its response on the way back.

import Logging
import NIOCore
import NIOHTTP1
import Traffic

/// Couples a client's connection with a connection to an instance for the time of one request. Confined to its loop.
///
/// It ends exactly once, and settles exactly once in the counts of the version that the cohort chose, whichever
/// instance served it in the end.
final class Exchange {
    enum Phase: Hashable {
        /// Next: `held`, `choosing` or `over`.
        case arrived
        /// Waits for the hold to end. Next: `arrived` or `over`.
        case held
        /// Looks for an instance. Next: `waiting`, `connecting`, `awaiting` or `over`.
        case choosing
        /// Every instance has all the connections it may have. Next: `choosing` or `over`.
        case waiting
        /// Next: `awaiting` when connected, `choosing` when not, or `over`.
        case connecting
        /// The head is sent, no final response head came. Next: `responding`, `connecting` for a retry, or `over`.
        case awaiting
        /// The response is streamed to the client. Next: `over`.
        case responding
        case over
    }

    let request: AdmittedRequest
    let client: ClientHandler
    let lane: Lane
    private(set) var phase = Phase.arrived

    var routes: Routes?
    var choice = CohortChoice(arm: .stable, unit: .keyless)
    /// The judged route it belongs to, as a place in the tally's routes; chosen with the version.
    private(set) var routePlace: Int?
    /// Whose instances serve it: the choice's, or stable's when the canary could not be reached.
    private(set) var servingArm = Arm.stable
    var isSettled = false
    private(set) var instance: Instance?
    private(set) var instanceName = ""
    private(set) var tried: [ObjectIdentifier] = []
    private(set) var upstream: UpstreamHandler?

    /// Body that came before there was a connection to send it on; bounded by one read, as the client is gated.
    private var early: [ByteBuffer] = []
    private var trailers: HTTPHeaders?
    private(set) var requestIsComplete = false
    private var bodyBytes = 0
    private var bodyWasSent = false
    private var connectionWasReused = false
    private var headWasWritten = false
    private var wasRetried = false
    private var status = HTTPResponseStatus.ok
    private var isSwitching = false
    var capture: Capture?

    /// Where its latency is measured from: when it was let go, or when its last byte came if that was later.
    var countedFrom = NIODeadline.now()
    /// Since when the instance, or the queue for a connection, makes us wait.
    private(set) var upstreamSince = NIODeadline.now()
    /// When the client last sent something.
    private(set) var clientSince = NIODeadline.now()

    init(_ request: AdmittedRequest, client: ClientHandler, lane: Lane) {
        self.request = request
        self.client = client
        self.lane = lane
    }

    // MARK: Finding a connection

    func holdBack() { phase = .held }
    func release() { phase = .arrived }

    /// The hold, if there was one, has ended: the version is chosen by the table of this moment.
    func start(_ routes: Routes, nonce: UInt64) {
        self.routes = routes
        choice = routes.cohort.choose(
            headers: request.received, clientAddress: request.clientAddress, nonce: nonce)
        if choice.isTossed { routePlace = routes.routePlace(request) }
        servingArm = choice.arm
        countedFrom = .now()
        clientSince = countedFrom
        if choice.arm == .canary, !choice.isForced {
            var capture = Capture()
            for bytes in early { capture.request(bytes) }
            self.capture = capture
        }
        lane.began(servingArm)
        lane.dispatched(choice, by: routes, route: routePlace, at: countedFrom)
        next()
    }

    func next() {
        phase = .choosing
        upstreamSince = .now()
        switch lane.choose(servingArm, tried: tried) {
        case .instance(let instance): take(instance)
        case .full:
            phase = .waiting
            if !lane.wait(self, arm: servingArm) { refuseAtCapacity() }
        case .none: exhausted()
        }
    }

    private func take(_ instance: Instance) {
        self.instance = instance
        instanceName = instance.backend.name
        instance.inFlight += 1
        let isRepeatable = request.isIdempotent && request.body == .none
        if !wasRetried, let connection = instance.takeUnused(now: .now(), isRepeatable: isRepeatable) {
            send(on: connection)
        } else {
            phase = .connecting
            instance.connect(for: self)
        }
    }

    private func leaveInstance() {
        instance?.inFlight -= 1
        instance = nil
        upstream = nil
    }

    func connected(_ connection: UpstreamHandler) {
        guard phase == .connecting else { return connection.keepUnused() }
        send(on: connection)
    }

    func connectFailed(_ error: any Error) {
        guard phase == .connecting, let instance else { return }
        lane.logger.debug(
            "instance does not accept a connection",
            metadata: ["instance": "\(instance.backend.name)", "error": "\(error)"])
        tried.append(ObjectIdentifier(instance))
        leaveInstance()
        next()
    }

    /// No instance of the serving version is left to try. Nothing was sent, so a user whom the cohort put on the
    /// canary is served by stable, and the failure counts for the canary all the same (intention to treat).
    private func exhausted() {
        if servingArm == .canary, !choice.isForced {
            settle(.connectFailure)
            lane.moved(from: .canary, to: .stable)
            servingArm = .stable
            tried = []
            return next()
        }
        if tried.isEmpty {
            lane.refused()
            end(answering: .noInstance)
        } else {
            settle(.connectFailure)
            end(answering: .connectFailure)
        }
    }

    private func refuseAtCapacity() {
        settle(.connectFailure)
        end(answering: .atCapacity)
    }

    // MARK: The request

    private func send(on connection: UpstreamHandler) {
        phase = .awaiting
        upstream = connection
        connectionWasReused = connection.served > 0
        headWasWritten = false
        connection.begin(self)
        if connectionWasReused {
            connection.write(head: request.head) { self.headWasWritten = true }
        } else {
            connection.write(.head(request.head))
        }
        for bytes in early { connection.write(.body(.byteBuffer(bytes))) }
        if !early.isEmpty { bodyWasSent = true }
        early = []
        if requestIsComplete { connection.write(.end(trailers)) }
        upstreamSince = .now()
        connection.flush()
        client.letReadGo()
    }

    /// The client may send more of the body.
    var takesBody: Bool {
        switch phase {
        case .awaiting, .responding: upstream?.isWritable ?? false
        case .arrived, .held, .choosing, .waiting, .connecting, .over: false
        }
    }

    func request(body bytes: ByteBuffer) {
        guard phase != .over else { return }
        clientSince = .now()
        bodyBytes += bytes.readableBytes
        if let limit = lane.settings.limits.bodyBytes, bodyBytes > limit {
            return endForClient(answering: .bodyTooLarge(limitBytes: limit))
        }
        capture?.request(bytes)
        if let upstream {
            bodyWasSent = true
            upstream.write(.body(.byteBuffer(bytes)))
        } else {
            early.append(bytes)
        }
    }

    func requestEnded(trailers: HTTPHeaders?) {
        guard phase != .over else { return }
        requestIsComplete = true
        self.trailers = ResponseFields.trailers(trailers)
        countedFrom = .now()
        guard let upstream else { return }
        upstream.write(.end(self.trailers))
        upstreamSince = countedFrom
        upstream.flush()
    }

    func requestPaused() { upstream?.flush() }

    func upstreamWritabilityChanged() {
        upstreamSince = .now()
        client.letReadGo()
    }

    // MARK: The response

    var clientTakesMore: Bool { client.isWritable }

    func clientWritabilityChanged() {
        upstreamSince = .now()
        upstream?.letReadGo()
    }

    func response(head: HTTPResponseHead) {
        let now = NIODeadline.now()
        switch head.status.code {
        case 101:
            guard request.wantsUpgrade, head.headers.contains(name: "upgrade") else {
                return upstreamFailed(isMalformed: true)
            }
            phase = .responding
            isSwitching = true
            settle(.answered(status: 101, microseconds: microseconds(until: now)))
            client.write(interim: ForwardedResponse.switching(head))
        case 100..<200:
            if head.status == .continue { upstreamSince = now }
            if !request.isHTTP10 { client.write(interim: ForwardedResponse.interim(head)) }
        default:
            phase = .responding
            upstreamSince = now
            capture?.response = head
            status = head.status
            client.begin(
                ForwardedResponse(head, to: request, mustClose: !requestIsComplete || lane.isDraining))
        }
    }

    func response(body bytes: ByteBuffer) {
        upstreamSince = .now()
        capture?.response(bytes)
        client.write(body: bytes)
    }

    func responsePaused() { client.flush() }

    func responseEnded(trailers: HTTPHeaders?) {
        guard phase == .responding, let upstream else { return }
        if isSwitching {
            end()
            return client.switchProtocols(with: upstream)
        }
        let now = NIODeadline.now()
        settle(.answered(status: Int(status.code), microseconds: microseconds(until: now)))
        let whole = requestIsComplete
        end()
        upstream.end(whole: whole, now: now)
        client.finish(trailers: request.isHTTP10 ? nil : ResponseFields.trailers(trailers))
    }

    /// The connection to the instance ended or spoke nonsense before the response was complete.
    func upstreamLost(isMalformed: Bool) {
        let lost = LostAttempt(
            connectionWasReused: connectionWasReused, headWasWritten: headWasWritten,
            bodyIsReplayable: !bodyWasSent, isIdempotent: request.isIdempotent, wasRetried: wasRetried)
        guard phase == .awaiting, !isMalformed, lost.mayRetry else { return upstreamFailed(isMalformed: isMalformed) }
        wasRetried = true
        leaveInstance()
        next()
    }

    private func upstreamFailed(isMalformed: Bool) {
        settle(.reset)
        upstream?.close()
        if phase == .responding {
            end()
            client.abort()
        } else {
            end(answering: isMalformed ? .badResponse : .reset)
        }
    }

    // MARK: The end

    /// The client went away.
    func clientGone() {
        guard phase != .over else { return }
        if routes != nil { settle(.clientAbort) }
        upstream?.close()
        end()
    }

    /// The client broke the rules or fell silent; a response that has begun is cut off.
    func endForClient(answering refusal: Refusal) {
        guard phase != .over else { return }
        if routes != nil { settle(.clientAbort) }
        upstream?.close()
        if phase == .responding {
            end()
            client.abort()
        } else {
            end(answering: refusal)
        }
    }

    func end(answering refusal: Refusal) {
        end()
        client.answer(refusal)
    }

    private func end() {
        switch phase {
        case .over: return
        case .arrived: break
        case .held: lane.heldLeft()
        case .choosing, .waiting, .connecting, .awaiting, .responding: lane.ended(servingArm)
        }
        phase = .over
        early = []
        leaveInstance()
    }

    // MARK: Time

    /// Called every tenth of a second.
    func check(now: NIODeadline) {
        let limits = lane.settings.limits
        switch phase {
        case .arrived, .held, .choosing, .connecting, .over:
            break
        case .waiting:
            if now - upstreamSince > TimeAmount(limits.waitForConnection) { refuseAtCapacity() }
        case .awaiting:
            if !requestIsComplete, upstream?.isWritable ?? false {
                // The instance is owed more of the body: the client is the slow one.
                if now - clientSince > TimeAmount(limits.clientIdle) { endForClient(answering: .requestTimeout) }
            } else if let routes, now - upstreamSince > routes.timeout {
                settle(.timeout)
                upstream?.close()
                end(answering: .timeout)
            }
        case .responding:
            if !client.isWritable {
                if now - upstreamSince > TimeAmount(limits.clientIdle) { endForClient(answering: .requestTimeout) }
            } else if now - upstreamSince > TimeAmount(limits.responseIdle) {
                settle(.timeout)
                upstream?.close()
                end()
                client.abort()
            }
        }
    }

    private func microseconds(until now: NIODeadline) -> UInt64 {
        UInt64(max(0, (now - countedFrom).nanoseconds) / 1_000)
    }
}
