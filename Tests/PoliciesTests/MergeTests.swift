// Goal: a service's file is merged over the defaults as policies promise. Method: small pairs of files.

import Policies
import Releases
import Testing

struct MergeTests {
    private func policy(_ text: String, over more: String = "") throws -> Policy {
        try PolicyFile.parse(
            text: "service: shop\n" + text, file: "shop.yaml",
            defaults: (text: complete.text + "\n" + more, file: "default.yaml"))
    }

    @Test("what nobody says has the default of the value")
    func defaultsOfTheValue() throws {
        let policy = try policy("")
        var expected = Policy(
            service: ServiceName(rawValue: "shop")!, source: Policy.Source(repository: "/srv/git/shop.git"),
            platform: Policy.Platform(process: Policy.Process(command: ["./shop", "--port", "{port}"])),
            traffic: Policy.Traffic(listen: "127.0.0.1:8080"),
            cohort: Policy.Cohort(steps: [.share(Share(basisPoints: 500)!, for: .minutes(1))]), database: nil)
        let url = Secret.environment("SHOP_DATABASE_URL")
        expected.database = Policy.Database(url: url, adminURL: url, canaryRole: "shop_canary")
        #expect(policy == expected)
    }

    @Test("a service asks for metrics of its router, or takes back what the defaults ask")
    func metrics() throws {
        #expect(try policy("traffic: {metrics: \"127.0.0.1:9102\"}").traffic.metrics == "127.0.0.1:9102")
        let defaults = complete.text.replacing("8080\"", with: "8080\", metrics: \"127.0.0.1:9102\"")
        func parsed(_ text: String) throws -> Policy {
            try PolicyFile.parse(
                text: "service: shop\n" + text, file: "shop.yaml", defaults: (text: defaults, file: "default.yaml"))
        }
        #expect(try parsed("").traffic.metrics == "127.0.0.1:9102")
        #expect(try parsed("traffic: {metrics: null}").traffic.metrics == nil)
    }

    @Test("maps merge, key by key and at every depth")
    func mapsMerge() throws {
        let policy = try policy(
            "platform: {process: {env: {B: two, C: three}, instances: {stable: 4}}}",
            over: "promote: {bake: 1m}")
        #expect(policy.platform.process.environment == ["B": "two", "C": "three"])
        #expect(policy.platform.process.stableInstances == 4)
        #expect(policy.platform.process.command.count == 3)
        #expect(policy.promote.bake == .minutes(1))
    }

    @Test("a service adds to an inherited map and overrides its keys")
    func environmentMerges() throws {
        let defaults = "x-none: 1\nwatch: {latency: {p50: {max: 100ms}, p99: {max: 1s}}}"
        let policy = try policy("watch: {latency: {p99: {max: 400ms}, p99.9: {max: 2s}}}", over: defaults)
        #expect(
            policy.watch.latency.max == [
                Policy.LatencyLimit(quantilePerMille: 500, max: .milliseconds(100)),
                Policy.LatencyLimit(quantilePerMille: 990, max: .milliseconds(400)),
                Policy.LatencyLimit(quantilePerMille: 999, max: .seconds(2)),
            ])
    }

    @Test("lists replace")
    func listsReplace() throws {
        let policy = try policy(
            "cohort: {steps: [{share: 1%, for: 1m}], by: [request]}\nreport: {redact: {fields: [IBAN]}}",
            over: "report: {redact: {fields: [a, b], headers: [X-One]}}")
        #expect(policy.cohort.steps == [.share(Share(basisPoints: 100)!, for: .minutes(1))])
        #expect(policy.cohort.by == [.request])
        #expect(policy.report.redactFields == ["iban"])
        #expect(policy.report.redactHeaders == ["x-one"])
    }

    @Test("null drops what the defaults say")
    func nullDrops() throws {
        let policy = try policy(
            "database: null\nwatch: {latency: ~}\ntrigger: {github: {environment: null}}",
            over: "watch: {latency: {p50: {max: 100ms}}}\ntrigger: {github: {environment: production}}")
        #expect(policy.database == nil)
        #expect(policy.watch.latency.max.isEmpty)
        #expect(policy.trigger.environment == nil)
    }

    @Test("by: request says the same as a list of it")
    func singleKey() throws {
        #expect(try policy("cohort: {by: request}").cohort.by == [.request])
    }

    @Test("a command that reads PORT needs no {port} of its own")
    func portFromEnvironment() throws {
        let policy = try policy("platform: {process: {command: [./shop], env: {PORT: \"{port}\"}}}")
        #expect(policy.platform.process.command == ["./shop"])
    }

    @Test("words that other YAML readers change stay as they are written")
    func verbatimText() throws {
        let policy = try policy("platform: {process: {env: {A: yes, B: 0123, C: 1e3, D: \"null\", E: \"\"}}}")
        #expect(policy.platform.process.environment == ["A": "yes", "B": "0123", "C": "1e3", "D": "null", "E": ""])
    }

    @Test("anchors spare repetition within a file")
    func anchors() throws {
        let policy = try policy("x-time: &time 3m\npromote: {bake: *time, undo_window: *time}")
        #expect(policy.promote.bake == .minutes(3) && policy.promote.undoWindow == .minutes(3))
    }
}
