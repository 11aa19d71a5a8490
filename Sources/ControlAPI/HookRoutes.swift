// Webhooks in: who sends it is settled over the raw bytes before anything in them is looked at.

import ControlModel
import Metrics
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Releases
import Synchronization
import Triggers

/// `POST /hooks/{service}`.
///
/// In this order: the caller's rate, the service, the body's size, the signature, the service's rate, the content, the
/// controller. What strangers send cannot use up the rate of those who sign.
final class HookRoutes: Sendable {
    private let control: any ControlPlane
    private let settings: APISettings
    private let metrics: PrometheusRegistry
    private let now: @Sendable () -> Instant
    private let peers: Mutex<TokenBuckets>
    private let services: Mutex<TokenBuckets>
    private let started = ContinuousClock.now

    init(
        control: any ControlPlane, settings: APISettings, metrics: PrometheusRegistry,
        now: @escaping @Sendable () -> Instant
    ) {
        self.control = control
        self.settings = settings
        self.metrics = metrics
        self.now = now
        peers = Mutex(TokenBuckets(settings.hooksPerPeer, capacity: 4_096))
        services = Mutex(TokenBuckets(settings.hooksPerService, capacity: 1_024))
        metrics.describe(counter: "perch_hooks", "Webhooks for a known service, by how they were answered.")
    }

    func add(to router: Router<APIContext>) {
        router.post("/hooks/:service") { request, context in try await self.receive(request, context) }
    }

    private func receive(_ request: Request, _ context: APIContext) async throws -> Response {
        if let key = rateKey(request, from: context.peer, isBehindProxy: settings.isBehindProxy) {
            try pass(peers.withLock { $0.take(key, now: started.duration(to: .now)) }, "webhooks from this address")
        }
        let name = try context.parameters.require("service")
        guard let service = ServiceName(rawValue: name), let policy = await control.policy(of: service) else {
            throw Problem(
                .notFound, "no policy for a service of this name",
                hint: "the webhook's URL ends in the service's name, as its policy file says it")
        }
        do {
            let (response, outcome) = try await receive(request, context, service, policy)
            count(service, outcome)
            return response
        } catch let problem as Problem {
            count(service, problem.kind?.rawValue ?? "failed")
            throw problem
        } catch let refusal as Refusal {
            let problem = Problem(refusal)
            count(service, problem.kind?.rawValue ?? "failed")
            throw problem
        }
    }

    private func receive(
        _ request: Request, _ context: APIContext, _ service: ServiceName, _ policy: Policy
    ) async throws -> (Response, outcome: String) {
        let bytes = try await body(of: request, atMost: settings.largestBody, within: settings.bodyWithin.duration)
        let webhook = WebhookRequest(
            headers: request.headers.map { ($0.name.rawName, $0.value) }, body: Array(bytes.readableBytesView))
        let isSigned = try await checkSignature(webhook, context.peer, service, policy)
        try pass(
            services.withLock { $0.take(service.rawValue, now: started.duration(to: .now)) },
            "webhooks for service \(service)")
        let decision: TriggerDecision
        do {
            decision = try decide(webhook, policy: policy)
        } catch {
            throw Problem(
                error.status == 400 ? .malformed : .notAsAgreed, error.message, hint: error.hint, place: error.place)
        }
        switch decision {
        case .ping:
            return (try answer(Unmoved(ping: true)), "ping")
        case .ignored(let reason):
            return (try answer(Unmoved(ignored: reason)), "ignored")
        case .release(var wanted):
            if request.headers[.actor] != nil { wanted.sender = actorName(request, context) }
            var accepted = try await control.accept(wanted, service: service)
            if !isSigned { accepted.notice = "the trigger was not signed: \(service) has no trigger secret" }
            context.logger.info(
                "trigger accepted",
                metadata: [
                    "release": "\(accepted.release)", "duplicate": "\(accepted.duplicate)",
                    "sender": "\(wanted.sender)",
                ])
            var response = try answer(accepted, status: .accepted)
            response.headers[.location] = accepted.url
            return (response, accepted.duplicate ? "duplicate" : "accepted")
        }
    }

    /// - Returns: false: nothing was signed, and nothing needed to be.
    private func checkSignature(
        _ webhook: WebhookRequest, _ peer: Peer, _ service: ServiceName, _ policy: Policy
    ) async throws -> Bool {
        if policy.trigger.secrets.isEmpty {
            // With nothing to check against, only the socket's file permissions say who may trigger.
            if peer == .socket { return false }
            throw Problem(
                .badSignature, "service \(service) has no trigger secret, so no webhook can be believed",
                hint: "set trigger.secrets in its policy, or use `perch release` on perchd's machine")
        }
        let secrets = await control.triggerSecrets(of: service)
        guard secrets.contains(where: { !$0.isEmpty }) else {
            throw Problem(
                .unavailable, "none of the trigger secrets of service \(service) can be read",
                hint: "perchd's log says why", retryAfter: 60)
        }
        switch verify(webhook, secrets: secrets, now: now()) {
        case .valid: return true
        case .missing:
            throw Problem(
                .badSignature, "the webhook is not signed",
                hint: "sign it with X-Hub-Signature-256 or as Standard Webhooks says")
        case .invalid:
            throw Problem(
                .badSignature, "the signature was not made with a secret of service \(service)",
                hint: "the raw body is signed; a proxy must not change it")
        case .stale(let skew):
            let seconds = Span.seconds(abs(skew.milliseconds) / 1_000)
            throw Problem(
                .badSignature,
                "the signed time is \(seconds) \(skew > .zero ? "behind" : "ahead of") this machine's, more than "
                    + "\(signatureWindow)",
                hint: "sign when sending, and set both clocks")
        }
    }

    private func pass(_ wait: Duration?, _ what: String) throws {
        guard let wait else { return }
        throw Problem(
            .tooManyRequests, "too many \(what)", retryAfter: max(1, Int((wait / .seconds(1)).rounded(.up))))
    }

    private func count(_ service: ServiceName, _ outcome: String) {
        Counter(
            label: "perch_hooks", dimensions: [("service", service.rawValue), ("outcome", outcome)], factory: metrics
        ).increment()
    }
}
