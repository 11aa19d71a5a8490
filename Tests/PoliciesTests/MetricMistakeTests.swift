// Goal: a metric that could not be read, or that would act on what it cannot know, is refused when it is written.
// Method: one metric on line 2 of a file, compared with the lines an operator reads.

import Policies
import Releases
import Testing

struct MetricMistakeTests {
    private static let counting =
        "name: a, prometheus: \"http://h:1\", failures: f_total, requests: r_total"

    @Test(
        "a metric is of one kind, and says all that its kind needs",
        arguments: [
            (
                "sql: select 1, max: 0",
                "2:19: watch.metrics[0].name is missing\nhint: write name: negative-totals"
            ),
            (
                "name: Totals, sql: select 1, max: 0",
                "2:26: name must be lower-case letters, digits and dashes, at most 40, not 'Totals'"
            ),
            (
                "name: errors, sql: select 1, max: 0",
                "2:26: name must not be 'errors', which the router measures\nhint: for example mesh-errors"
            ),
            (
                "name: a, max: 0",
                "2:19: metric asks nobody\nhint: write sql: with a SELECT, or prometheus: http://127.0.0.1:9090"
            ),
            (
                "name: a, sql: select 1, prometheus: \"http://h:1\", max: 0",
                "2:56: sql and prometheus cannot be in the same metric\nhint: make them two metrics"
            ),
            (
                "name: a, sql: select 1",
                "2:19: watch.metrics[0].max is missing\nhint: write max: 0, or min: for what must not be less"
            ),
            ("name: a, sql: select 1, max: 0, min: 1", "2:57: min 1 is more than max 0"),
            (
                "name: a, sql: select 1, max: 1%",
                "2:49: max must be a number, not '1%'\nhint: write 0, 0.4 or -12.5"
            ),
            ("name: a, sql: \"\", max: 0", "2:34: sql must not be empty"),
            (
                "name: a, sql: select 1, max: 0, weight: 1",
                "2:60: weight does not belong to a metric with sql\nhint: a metric has sql, or prometheus with query, "
                    + "or prometheus with failures and requests"
            ),
            (
                "name: a, prometheus: \"http://h:1\", max: 0",
                "2:19: watch.metrics[0].query is missing\nhint: write query: with PromQL for one number, "
                    + "or failures: and requests:"
            ),
            (
                "name: a, prometheus: \"http://h:1\", failures: f_total",
                "2:19: watch.metrics[0].requests is missing\n"
                    + "hint: both are selectors of counters: requests_total{service=\"shop\"}"
            ),
            (
                "\(counting), max: 0",
                "2:98: max does not belong to a metric with failures and requests\nhint: a metric has sql, "
                    + "or prometheus with query, or prometheus with failures and requests"
            ),
            (
                "name: a, prometheus: \"http://h:1\", failures: f, requests: f",
                "2:65: failures and requests are the same counters\nhint: failures are a part of the requests"
            ),
            (
                "\(counting), version: {canary: stable}",
                "2:111: stable and canary cannot both be 'stable'\nhint: the label's value must tell the versions apart"
            ),
            ("\(counting), version: {label: a-b}", "2:110: label must be the name of a label, not 'a-b'"),
            (
                "\(counting), version: {stabel: a}",
                "2:103: unknown key 'stabel' in watch.metrics[0].version\nhint: did you mean 'stable'?"
            ),
            ("name: a, sql: select 1, max: 0, every: 500ms", "2:59: every must be at least 1s, not '500ms'"),
            ("name: a, sql: select 1, max: 0, timeout: 2m", "2:61: timeout must be at most 1m, not '2m'"),
            (
                "name: a, sql: select 1, max: 0, then: rollback",
                "2:58: then must be roll-back, hold or advise, not 'rollback'\nhint: did you mean 'roll-back'?"
            ),
        ] as [(String, String)])
    func wrongMetric(_ metric: String, _ expected: String) {
        let reported = complaints("watch: {metrics: [{\(metric)}]}")
        #expect(reported.joined(separator: "\n") == "shop.yaml:" + expected)
    }

    @Test("one number from Prometheus rolls nothing back")
    func oneNumber() {
        let metric = "{name: a, prometheus: \"http://h:1\", query: up, max: 0, then: roll-back}"
        #expect(
            complaints("watch: {metrics: [\(metric)]}") == [
                "shop.yaml:2:80: then must be hold or advise for one number from Prometheus, not 'roll-back'\n"
                    + "hint: it does not say whose doing it is; failures and requests of a process that sees both "
                    + "versions do"
            ])
    }

    @Test("counters of requests roll back only where requests were given to the versions")
    func countersOfUsers() {
        let metric = "{\(Self.counting), then: roll-back}"
        #expect(
            complaints("watch: {metrics: [\(metric)]}") == [
                "shop.yaml:2:99: then can be roll-back only with cohort.by: [request], here users were given to the "
                    + "versions\nhint: write then: hold, or by: [request] where a user may change versions"
            ])
        #expect(complaints("cohort: {by: request}\nwatch: {metrics: [\(metric)]}") == [])
    }

    @Test("the defaults of an organisation may leave database and cohort to the services")
    func defaultsAlone() throws {
        let text = """
            watch:
              metrics:
                - {name: a, sql: select 1, max: 0}
                - {\(Self.counting.replacing("name: a", with: "name: b")), then: roll-back}
            """
        #expect(
            complaints("cohort: {by: request}", over: (complete.text + "\n" + text, "default.yaml")) == [])
    }

    @Test(
        "Prometheus is at a plain http address, and what may be a password is not repeated",
        arguments: [
            ("https://h:1", "must be a plain http address, not 'https://h:1'"),
            ("h:9090", "must be a plain http address, not 'h:9090'"),
            ("http://", "must be a host and a path without a query, not 'http://'"),
            ("http://h:1/x?a=b", "must be a host and a path without a query, not 'http://h:1/x?a=b'"),
            ("http://h:99999", "must end in a port between 1 and 65535, not '99999'"),
            ("http://hunter2@h:1", "must not hold a user or a password"),
            ("http://a:hunter2@h:1", "must not hold a user or a password"),
            ("https://a:hunter2@h:1", "must be a plain http address"),
        ])
    func addresses(_ address: String, _ expected: String) {
        let reported = complaints("watch: {metrics: [{name: a, prometheus: \"\(address)\", query: up, max: 0}]}")
        #expect(reported.map { String($0.prefix { $0 != "\n" }) } == ["shop.yaml:2:41: prometheus " + expected])
        #expect(!reported.joined().contains("hunter2"))
    }

    @Test(
        "counters are selected as they are, not as something computed",
        arguments: [
            ("requests_total", true), ("a:b{c=\"}\", d!~'(x|y)'}", true), ("{__name__=\"x\"}", true),
            ("a{b=\"\\\"}\"}", true), ("rate(requests_total[1m])", false), ("requests_total[1m]", false),
            ("requests_total offset 1m", false), ("a{b=\"c}", false), ("a{b=\"c\"", false), ("a + b", false),
            ("sum(a)", false), ("a{b=\"c\"}[5m]", false), ("1", false),
        ])
    func selectors(_ selector: String, _ isTaken: Bool) {
        let metric = "{name: a, prometheus: \"http://h:1\", failures: $, requests: r_total}"
        let quoted = "'" + selector.replacing("'", with: "''") + "'"
        let reported = complaints("watch: {metrics: [\(metric.replacing("$", with: quoted))]}")
        let refusal = "shop.yaml:2:65: failures must be a selector of counters"
        #expect(reported.count == (isTaken ? 0 : 1) && reported.allSatisfy { $0.hasPrefix(refusal) }, "\(reported)")
    }
}
