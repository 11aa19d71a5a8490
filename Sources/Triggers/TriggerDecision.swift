// What a verified webhook asks for. Pure: the same request and policy always give the same decision.

package import Releases

package enum TriggerDecision: Hashable, Sendable {
    case release(ReleaseRequest)
    /// The sender asks whether anybody is there; answered with 200.
    case ping
    /// Well formed, but starts nothing under this policy. The reason is lower case, no full stop.
    case ignored(reason: String)
}

/// Why a request cannot be understood.
package struct TriggerRejection: Error, Hashable, Sendable {
    /// 400: not JSON. 422: JSON, but not what was agreed.
    package var status: Int
    /// Lower case, no full stop; names line, column and byte of malformed JSON.
    package var message: String
    /// JSON pointer (RFC 6901) to what is wrong; nil: the request as a whole, or a header.
    package var place: String?
    package var hint: String?

    init(_ status: Int, _ message: String, at place: String? = nil, hint: String? = nil) {
        self.status = status
        self.message = message
        self.place = place
        self.hint = hint
    }
}

/// Decides what a request asks for. Its signature has been verified and its size bounded before.
///
/// A request with `X-GitHub-Event` is read as GitHub's event of that name, any other as our own JSON.
package func decide(_ request: WebhookRequest, policy: Policy) throws(TriggerRejection) -> TriggerDecision {
    let event = request.header("x-github-event")
    if event == "ping" { return .ping }
    let delivery = request.deliveryID
    guard (1...200).contains(delivery.utf8.count), delivery.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
        throw TriggerRejection(
            422, "the delivery id must be 1 to 200 printable ASCII characters",
            hint: "it is in X-GitHub-Delivery, webhook-id or Idempotency-Key")
    }
    guard let event else {
        return .release(try ownRequest(Member(try json(request)), delivery: delivery))
    }
    guard let known = Policy.Trigger.Event(rawValue: event) else {
        return .ignored(reason: "event \(quoted(event)) starts no release")
    }
    guard policy.trigger.events.contains(known) else {
        return .ignored(reason: "the policy listens to no \(known.rawValue) events")
    }
    let payload = Member(try json(request))
    switch known {
    case .deployment: return try deployment(payload, policy.trigger, delivery: delivery)
    case .workflowRun: return try workflowRun(payload, policy.trigger, delivery: delivery)
    case .push: return try push(payload, policy.trigger, delivery: delivery)
    }
}

private func json(_ request: WebhookRequest) throws(TriggerRejection) -> JSON {
    do {
        return try JSONParser.parse(request.body)
    } catch {
        let (line, column) = error.position(in: request.body)
        let isForm = request.header("content-type")?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true
        throw TriggerRejection(
            400, "the body is not JSON: \(error.message) at line \(line), column \(column) (byte \(error.offset))",
            hint: isForm ? "set the webhook's content type to application/json" : nil)
    }
}
