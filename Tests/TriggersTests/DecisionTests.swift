// Goal: each format starts exactly the releases the policy wants, and says why when it starts none.
// Method: small payloads with GitHub's field names, changed one field at a time.

import Releases
import Testing
import Triggers

private let sha = "8d1f3a0c5b7e9d2f4a6c8e0b1d3f5a7c9e2b4d6f"

func policy(_ change: (inout Policy.Trigger) -> Void = { _ in }) -> Policy {
    var policy = Policy(
        service: ServiceName(rawValue: "shop")!, source: Policy.Source(repository: "/srv/git/shop.git"),
        platform: Policy.Platform(process: Policy.Process(command: ["./shop", "{port}"])),
        traffic: Policy.Traffic(listen: "127.0.0.1:8080"),
        cohort: Policy.Cohort(steps: [.share(.all, for: .minutes(1))]), database: nil)
    policy.trigger.events = [.deployment, .workflowRun, .push]
    change(&policy.trigger)
    return policy
}

private func request(_ event: String?, _ body: String, _ headers: [(name: String, value: String)] = [])
    -> WebhookRequest
{
    let gitHub =
        event.map { [(name: "X-GitHub-Event", value: $0), (name: "X-GitHub-Delivery", value: "guid-1")] } ?? []
    return WebhookRequest(headers: headers + gitHub, body: Array(body.utf8))
}

private func decision(
    _ event: String?, _ body: String, _ change: (inout Policy.Trigger) -> Void = { _ in }
) throws -> TriggerDecision {
    try decide(request(event, body), policy: policy(change))
}

private func rejection(_ event: String?, _ body: String) -> TriggerRejection? {
    do {
        _ = try decide(request(event, body), policy: policy())
        return nil
    } catch {
        return error
    }
}

struct OwnRequestTests {
    @Test("a commit alone is a release, its delivery the SHA-256 of the body")
    func smallest() throws {
        let empty = try decision(nil, #"{"commit":"main"}"#)
        #expect(
            empty
                == .release(
                    ReleaseRequest(
                        commit: "main",
                        delivery: "sha256:3fa112a1ae05e1deeb1afd9671c08d6217d07b49b41bd47d1794a1d3a8880284",
                        sender: "webhook")))
    }

    @Test("everything that can be said is kept")
    func everything() throws {
        let body = """
            {"commit": "\(sha)", "previous": "v1.2.3",
             "build": {"id": "4711", "url": "https://ci.example.org/4711", "artifact": "sha256:00ff"},
             "links": {"pull request": "https://git.example.org/pr/7", "ticket": "http://tickets/9"}}
            """
        let made = try decide(request(nil, body, [(name: "Idempotency-Key", value: "k-1")]), policy: policy())
        #expect(
            made
                == .release(
                    ReleaseRequest(
                        commit: sha, previous: "v1.2.3",
                        build: BuildReference(id: "4711", url: "https://ci.example.org/4711", artifact: "sha256:00ff"),
                        links: ["pull request": "https://git.example.org/pr/7", "ticket": "http://tickets/9"],
                        delivery: "k-1", sender: "webhook")))
    }

    @Test("null says nothing")
    func nulls() throws {
        let made = try decision(nil, #"{"commit":"main","previous":null,"build":null,"links":null}"#)
        guard case .release(let request) = made else { return #expect(Bool(false), "\(made)") }
        #expect(request.previous == nil && request.build == nil && request.links.isEmpty)
    }

    @Test(
        "what is wrong is named with its place",
        arguments: [
            ("[]", 422, "", "the body must be an object"),
            ("{}", 422, "/commit", "member 'commit' is missing"),
            (#"{"commit":12}"#, 422, "/commit", "'commit' must be a string"),
            (#"{"commit":""}"#, 422, "/commit", "'commit' must be a commit id, a tag or a branch, not ''"),
            (
                #"{"commit":"--upload-pack=x"}"#, 422, "/commit",
                "'commit' must be a commit id, a tag or a branch, not '--upload-pack=x'"
            ),
            (#"{"commit":"a..b"}"#, 422, "/commit", "'commit' must be a commit id, a tag or a branch, not 'a..b'"),
            (#"{"commit":"a\nb"}"#, 422, "/commit", "'commit' must be a commit id, a tag or a branch, not 'a?b'"),
            (#"{"commit":"HEAD~1"}"#, 422, "/commit", "'commit' must be a commit id, a tag or a branch, not 'HEAD~1'"),
            (#"{"commit":"@{-1}"}"#, 422, "/commit", "'commit' must be a commit id, a tag or a branch, not '@{-1}'"),
            (
                #"{"commit":"a","previous":" "}"#, 422, "/previous",
                "'previous' must be a commit id, a tag or a branch, not ' '"
            ),
            (#"{"commit":"a","comit":"b"}"#, 422, "/comit", "unknown member 'comit'"),
            (#"{"commit":"a","a/b~c":1}"#, 422, "/a~1b~0c", "unknown member 'a/b~c'"),
            (#"{"commit":"a","build":{}}"#, 422, "/build/id", "member 'id' is missing"),
            (#"{"commit":"a","build":{"id":7}}"#, 422, "/build/id", "'id' must be a string"),
            (#"{"commit":"a","build":{"id":"7","run":1}}"#, 422, "/build/run", "unknown member 'run'"),
            (
                #"{"commit":"a","build":{"id":"7","url":"javascript:alert(1)"}}"#, 422, "/build/url",
                "'url' must be an http or https URL, not 'javascript:alert(1)'"
            ),
            (#"{"commit":"a","build":"7"}"#, 422, "/build", "'build' must be an object"),
            (#"{"commit":"a","links":{"x":null}}"#, 422, "/links/x", "member 'x' is missing"),
            (
                #"{"commit":"a","links":{"x":"ftp://y"}}"#, 422, "/links/x",
                "'x' must be an http or https URL, not 'ftp://y'"
            ),
            (
                #"{"commit":"a","links":{"":"http://y"}}"#, 422, "/links",
                "'links' has a name that is empty or longer than 64 bytes"
            ),
            ("", 400, nil, "the body is not JSON: expected a value, found the end at line 1, column 1 (byte 0)"),
            (
                "{\"commit\":\n \"a\",}", 400, nil,
                "the body is not JSON: expected a member's name in quotes at line 2, column 6 (byte 16)"
            ),
            (
                #"{"commit":"a","commit":"b"}"#, 400, nil,
                "the body is not JSON: member 'commit' occurs twice at line 1, column 15 (byte 14)"
            ),
        ] as [(String, Int, String?, String)])
    func mistakes(_ body: String, _ status: Int, _ place: String?, _ message: String) {
        let rejection = rejection(nil, body)
        #expect(rejection?.status == status)
        #expect(rejection?.place == place)
        #expect(rejection?.message == message)
    }

    @Test("a form gets the hint that GitHub's settings need")
    func form() throws {
        let body = WebhookRequest(
            headers: [
                (name: "X-GitHub-Event", value: "push"),
                (name: "Content-Type", value: "application/x-www-form-urlencoded"),
            ], body: Array("payload=%7B%7D".utf8))
        let error = #expect(throws: TriggerRejection.self) { try decide(body, policy: policy()) }
        #expect(error?.status == 400)
        #expect(error?.hint == "set the webhook's content type to application/json")
    }
}

struct DeliveryTests {
    private func delivery(_ headers: [(name: String, value: String)]) throws -> String? {
        let request = WebhookRequest(headers: headers, body: Array(#"{"commit":"a"}"#.utf8))
        guard case .release(let made) = try decide(request, policy: policy()) else { return nil }
        return made.delivery
    }

    @Test("the signed id goes before every other, GitHub's before the rest")
    func order() throws {
        let all = [
            (name: "Idempotency-Key", value: "key"), (name: "webhook-id", value: "msg"),
            (name: "x-github-delivery", value: "guid"),
        ]
        #expect(try delivery(all + [(name: "webhook-signature", value: "v1,x")]) == "msg")
        #expect(try delivery(all) == "guid")
        #expect(try delivery(Array(all.prefix(2))) == "msg")
        #expect(try delivery(Array(all.prefix(1))) == "key")
        #expect(try delivery([])?.hasPrefix("sha256:") == true)
    }

    @Test(
        "an id that no log could show is refused", arguments: ["", " ", "a b", "é", String(repeating: "x", count: 201)])
    func unprintable(_ id: String) {
        #expect(throws: TriggerRejection.self) {
            try delivery([(name: "webhook-id", value: id), (name: "webhook-signature", value: "v1,x")])
        }
    }
}

struct GitHubEventTests {
    private let deployment = """
        {"action": "created", "deployment": {"id": 1, "sha": "\(sha)", "ref": "main", "environment": "production"},
         "workflow_run": null, "repository": {"id": 10, "html_url": "https://github.com/acme/shop"}, "sender": {}}
        """
    private let run = """
        {"action": "completed", "workflow": {"id": 5, "path": ".github/workflows/release.yml"},
         "workflow_run": {"id": 30433642, "run_attempt": 2, "event": "push", "status": "completed",
           "conclusion": "success", "head_branch": "main", "head_sha": "\(sha)",
           "html_url": "https://github.com/acme/shop/actions/runs/30433642", "head_repository": {"id": 10}},
         "repository": {"id": 10, "html_url": "https://github.com/acme/shop"}}
        """
    private let push = """
        {"ref": "refs/heads/main", "before": "0000000000000000000000000000000000000000", "after": "\(sha)",
         "deleted": false, "compare": "https://github.com/acme/shop/compare/a...b",
         "repository": {"id": 10, "html_url": "https://github.com/acme/shop"}, "commits": []}
        """
    private let commitLink = "https://github.com/acme/shop/commit/\(sha)"

    private func ignored(_ decision: TriggerDecision) -> String? {
        if case .ignored(let reason) = decision { return reason }
        return nil
    }

    @Test("ping is answered, whatever its body and the policy")
    func ping() throws {
        #expect(try decision("ping", "not even JSON") { $0.events = [] } == .ping)
    }

    @Test("a deployment to the wanted environment releases its commit")
    func deploymentCreated() throws {
        let expected = TriggerDecision.release(
            ReleaseRequest(commit: sha, links: ["commit": commitLink], delivery: "guid-1", sender: "github:deployment"))
        #expect(try decision("deployment", deployment) { $0.environment = "production" } == expected)
        #expect(try decision("deployment", deployment) == expected)
        #expect(
            ignored(try decision("deployment", deployment) { $0.environment = "staging" })
                == "a deployment to 'production', the policy waits for 'staging'")
    }

    @Test("a deployment made by a workflow run names the run as its build")
    func deploymentByRun() throws {
        let body = deployment.replacing(
            #""workflow_run": null"#,
            with: #""workflow_run": {"id": 7, "run_attempt": 1, "event": "push", "html_url": "https://x/7"}"#)
        guard case .release(let request) = try decision("deployment", body) else {
            return #expect(Bool(false), "not a release")
        }
        #expect(request.build == BuildReference(id: "7/1", url: "https://x/7/attempts/1"))
        let foreign = body.replacing(#""event": "push""#, with: #""event": "push", "head_repository": {"id": 11}"#)
        #expect(ignored(try decision("deployment", foreign)) == "the workflow run comes from a fork")
    }

    @Test("a successful run of the wanted workflow on the wanted branch releases, and says which attempt it was")
    func successfulRun() throws {
        let expected = TriggerDecision.release(
            ReleaseRequest(
                commit: sha,
                build: BuildReference(
                    id: "30433642/2", url: "https://github.com/acme/shop/actions/runs/30433642/attempts/2"),
                links: ["commit": commitLink], delivery: "guid-1", sender: "github:workflow_run"))
        #expect(try decision("workflow_run", run) == expected)
        #expect(try decision("workflow_run", run) { $0.workflow = ".github/workflows/release.yml" } == expected)
        let withRef = run.replacing(
            #""workflow": {"id": 5, "path": ".github/workflows/release.yml"}"#, with: #""workflow": null"#
        )
        .replacing(#""run_attempt""#, with: #""path": ".github/workflows/release.yml@refs/heads/main", "run_attempt""#)
        #expect(try decision("workflow_run", withRef) { $0.workflow = ".github/workflows/release.yml" } == expected)
    }

    @Test(
        "a run that is not finished, not good, or not from here is ignored with the reason",
        arguments: [
            (#""action": "completed""#, #""action": "requested""#, "the workflow run is 'requested', not completed"),
            (#""conclusion": "success""#, #""conclusion": "failure""#, "the workflow run ended in 'failure'"),
            (#""conclusion": "success""#, #""conclusion": null"#, "the workflow run ended in 'nothing'"),
            (#""head_branch": "main""#, #""head_branch": "dev""#, "a run on branch 'dev', the policy waits for 'main'"),
            (#""head_branch": "main""#, #""head_branch": null"#, "a run on branch '', the policy waits for 'main'"),
            (
                #""head_repository": {"id": 10}"#, #""head_repository": {"id": 11}"#,
                "the workflow run comes from a fork"
            ),
            (#""head_repository": {"id": 10}"#, #""head_repository": null"#, "the workflow run's repository is gone"),
            (#""event": "push""#, #""event": "pull_request""#, "the workflow run is for a pull request"),
            (#""event": "push""#, #""event": "pull_request_target""#, "the workflow run is for a pull request"),
            (
                "release.yml", "test.yml",
                "a run of workflow '.github/workflows/test.yml', the policy waits for '.github/workflows/release.yml'"
            ),
        ])
    func ignoredRuns(_ old: String, _ new: String, _ reason: String) throws {
        let body = run.replacing(old, with: new)
        #expect(body != run)
        let made = try decision("workflow_run", body) { $0.workflow = ".github/workflows/release.yml" }
        #expect(ignored(made) == reason)
    }

    @Test("a push to the wanted branch releases its last commit")
    func pushed() throws {
        #expect(
            try decision("push", push)
                == .release(
                    ReleaseRequest(
                        commit: sha,
                        links: ["commit": commitLink, "compare": "https://github.com/acme/shop/compare/a...b"],
                        delivery: "guid-1", sender: "github:push")))
    }

    @Test(
        "other pushes are ignored with the reason",
        arguments: [
            ("refs/heads/main", "refs/heads/dev", "a push to 'refs/heads/dev', the policy waits for 'main'"),
            ("refs/heads/main", "refs/tags/main", "a push to 'refs/tags/main', the policy waits for 'main'"),
            (#""deleted": false"#, #""deleted": true"#, "branch 'main' was deleted"),
            (sha, "0000000000000000000000000000000000000000", "branch 'main' was deleted"),
        ])
    func ignoredPushes(_ old: String, _ new: String, _ reason: String) throws {
        #expect(ignored(try decision("push", push.replacing(old, with: new))) == reason)
    }

    @Test("events that the policy does not name, and events nobody knows, start nothing")
    func unwantedEvents() throws {
        #expect(
            ignored(try decision("push", push) { $0.events = [.deployment] }) == "the policy listens to no push events")
        #expect(ignored(try decision("issues", "{}")) == "event 'issues' starts no release")
    }

    @Test(
        "a payload without a field that is needed is refused at its place",
        arguments: [
            ("deployment", "{}", "/action"), ("deployment", #"{"action":"created"}"#, "/deployment"),
            ("deployment", #"{"action":"created","deployment":{"environment":"a"}}"#, "/deployment/sha"),
            ("deployment", #"{"action":"created","deployment":{"environment":"a","sha":"main"}}"#, "/deployment/sha"),
            ("workflow_run", #"{"action":"completed"}"#, "/workflow_run"),
            ("workflow_run", #"{"action":"completed","workflow_run":{"conclusion":"success"}}"#, "/workflow_run/event"),
            ("push", #"{"ref":1}"#, "/ref"), ("push", #"{"ref":"refs/heads/main"}"#, "/after"),
        ])
    func incomplete(_ event: String, _ body: String, _ place: String) {
        #expect(rejection(event, body)?.status == 422)
        #expect(rejection(event, body)?.place == place)
    }
}
