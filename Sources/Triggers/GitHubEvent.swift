// GitHub's events that can start a release (docs.github.com, "Webhook events and payloads"), read for what is needed
// and tolerant of everything else in them.

import Releases

func deployment(
    _ payload: Member, _ trigger: Policy.Trigger, delivery: String
) throws(TriggerRejection) -> TriggerDecision {
    let action = try payload.required("action").text()
    guard action == "created" else { return .ignored(reason: "the deployment was \(quoted(action)), not created") }
    let deployment = try payload.required("deployment")
    let environment = try deployment.required("environment").text()
    if let wanted = trigger.environment, environment != wanted {
        return .ignored(reason: "a deployment to \(quoted(environment)), the policy waits for \(quoted(wanted))")
    }
    var request = try release(
        try deployment.required("sha"), payload, event: .deployment, delivery: delivery)
    if let run = try payload.optional("workflow_run") {
        if let reason = try foreignReason(run, payload, isDeployment: true) { return .ignored(reason: reason) }
        request.build = try buildReference(run)
    }
    return .release(request)
}

func workflowRun(
    _ payload: Member, _ trigger: Policy.Trigger, delivery: String
) throws(TriggerRejection) -> TriggerDecision {
    let action = try payload.required("action").text()
    guard action == "completed" else { return .ignored(reason: "the workflow run is \(quoted(action)), not completed") }
    let run = try payload.required("workflow_run")
    let conclusion = try run.optional("conclusion")?.text() ?? "nothing"
    guard conclusion == "success" else { return .ignored(reason: "the workflow run ended in \(quoted(conclusion))") }
    // Runs for pull requests carry code that nobody has merged, whatever their branch is called.
    if let reason = try foreignReason(run, payload, isDeployment: false) { return .ignored(reason: reason) }
    let branch = try run.optional("head_branch")?.text() ?? ""
    guard branch == trigger.branch else {
        return .ignored(reason: "a run on branch \(quoted(branch)), the policy waits for \(quoted(trigger.branch))")
    }
    if let wanted = trigger.workflow {
        let path = try workflowPath(run, payload)
        guard path == wanted else {
            return .ignored(reason: "a run of workflow \(quoted(path)), the policy waits for \(quoted(wanted))")
        }
    }
    var request = try release(try run.required("head_sha"), payload, event: .workflowRun, delivery: delivery)
    request.build = try buildReference(run)
    return .release(request)
}

func push(
    _ payload: Member, _ trigger: Policy.Trigger, delivery: String
) throws(TriggerRejection) -> TriggerDecision {
    let ref = try payload.required("ref").text()
    guard ref == "refs/heads/\(trigger.branch)" else {
        return .ignored(reason: "a push to \(quoted(ref)), the policy waits for \(quoted(trigger.branch))")
    }
    let after = try payload.required("after")
    let isDeleted = try payload.optional("deleted")?.value == .bool(true)
    let isNoCommit = try after.text().utf8.allSatisfy { $0 == UInt8(ascii: "0") }
    if isDeleted || isNoCommit {
        return .ignored(reason: "branch \(quoted(trigger.branch)) was deleted")
    }
    var request = try release(after, payload, event: .push, delivery: delivery)
    if let compare = try payload.optional("compare")?.text(), isWebAddress(compare) {
        request.links["compare"] = compare
    }
    return .release(request)
}

private func release(
    _ sha: Member, _ payload: Member, event: Policy.Trigger.Event, delivery: String
) throws(TriggerRejection) -> ReleaseRequest {
    guard let commit = CommitID(rawValue: try sha.text()) else {
        throw sha.refused("must be a full commit id, not \(quoted(try sha.text()))")
    }
    var request = ReleaseRequest(commit: commit.rawValue, delivery: delivery, sender: "github:\(event.rawValue)")
    if let page = try payload.optional("repository")?.optional("html_url")?.text(), isWebAddress(page) {
        request.links["commit"] = "\(page)/commit/\(commit)"
    }
    return request
}

/// Why a run's code is not this repository's own, or nil when it is.
///
/// - Parameter isDeployment: The run that made a deployment may come without its repository.
private func foreignReason(
    _ run: Member, _ payload: Member, isDeployment: Bool
) throws(TriggerRejection) -> String? {
    let members = try run.members()
    let event = try run.required("event").text()
    guard !event.hasPrefix("pull_request") else { return "the workflow run is for a pull request" }
    guard let head = try run.optional("head_repository") else {
        return isDeployment && members["head_repository"] == nil ? nil : "the workflow run's repository is gone"
    }
    let own = try payload.required("repository").required("id").integer()
    return try head.required("id").integer() == own ? nil : "the workflow run comes from a fork"
}

/// `.github/workflows/release.yml`, without the `@ref` that some payloads append.
private func workflowPath(_ run: Member, _ payload: Member) throws(TriggerRejection) -> String {
    let written: Member
    if let path = try payload.optional("workflow")?.optional("path") {
        written = path
    } else {
        written = try run.required("path")
    }
    return String(try written.text().prefix { $0 != "@" })
}

/// `<run>/<attempt>`: a run that is tried again is another build of the same commit.
private func buildReference(_ run: Member) throws(TriggerRejection) -> BuildReference {
    let attempt = try run.optional("run_attempt")?.integer() ?? 1
    var build = BuildReference(id: "\(try run.required("id").integer())/\(attempt)")
    if let page = try run.optional("html_url")?.text(), isWebAddress(page) {
        build.url = "\(page)/attempts/\(attempt)"
    }
    return build
}
