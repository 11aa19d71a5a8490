// Goal: everything a release can be judged by is read as it is written, and every mistake in it is said at its place.
// Method: small files merged over one that is complete, compared with values and with the lines an operator reads.

import Policies
import Releases
import Testing

struct WatchTests {
    private func watch(_ text: String) throws -> Policy.Watch {
        try PolicyFile.parse(text: "service: shop\n" + text, file: "shop.yaml", defaults: complete).watch
    }

    @Test("without a word the defaults of judging are those of the specification")
    func defaults() throws {
        let watch = try watch("")
        #expect(watch == Policy.Watch())
        #expect(watch.errors.times == 1 && watch.errors.weight == 0.6 && watch.latency.weight == 0.4)
        #expect(watch.latency.quantilesPerMille == [500, 950, 990] && watch.latency.plus == .zero)
        #expect(!watch.errors.isDryRun && !watch.latency.isDryRun && watch.routes.isEmpty && watch.metrics.isEmpty)
    }

    @Test("errors and latency are judged as the file says")
    func comparison() throws {
        let watch = try watch(
            """
            watch:
              errors: {times: 1.5, weight: 2, dry_run: true}
              latency: {plus: 5ms, quantiles: [p99.9, p50], weight: 0.25, dry_run: true, p99: {max: 1s}}
              routes: [/checkout, /api/orders/*]
            """)
        #expect(watch.errors.times == 1.5 && watch.errors.weight == 2 && watch.errors.isDryRun)
        #expect(watch.latency.plus == .milliseconds(5) && watch.latency.quantilesPerMille == [500, 999])
        #expect(watch.latency.weight == 0.25 && watch.latency.isDryRun)
        #expect(watch.latency.worseByBasisPoints == 1_000)
        #expect(watch.latency.max == [.init(quantilePerMille: 990, max: .seconds(1))])
        #expect(watch.routes == ["/checkout", "/api/orders/*"])
    }

    @Test("a number asked of a database has that of the service unless it names another")
    func sqlNumbers() throws {
        let metrics = try watch(
            """
            watch:
              metrics:
                - {name: negative-totals, sql: select count(*) from orders where total < 0, max: 0, then: roll-back}
                - name: stock
                  sql: select min(stock) from items
                  url: file:/run/reader
                  min: -0.5
                  max: 1e3
                  every: 1m
                  timeout: 500ms
                  dry_run: true
            """
        ).metrics
        var first = Policy.Metric(
            name: "negative-totals",
            source: .sql(
                .init(
                    sql: "select count(*) from orders where total < 0", url: .environment("SHOP_DATABASE_URL"),
                    limits: .init(max: 0))))
        first.then = .rollBack
        var second = Policy.Metric(
            name: "stock",
            source: .sql(
                .init(
                    sql: "select min(stock) from items", url: .file("/run/reader"),
                    limits: .init(min: -0.5, max: 1_000))))
        (second.every, second.timeout, second.isDryRun) = (.minutes(1), .milliseconds(500), true)
        #expect(metrics == [first, second])
    }

    @Test("Prometheus is asked for a number or for counters of both versions")
    func prometheus() throws {
        let metrics = try watch(
            """
            cohort: {by: request}
            watch:
              metrics:
                - {name: p99, prometheus: "http://127.0.0.1:9090", query: "scalar(up)", max: 0.4, then: advise}
                - name: proxy-errors
                  prometheus: http://prometheus.internal/mesh/
                  failures: requests_total{service="shop",outcome="failed"}
                  requests: requests_total{service="shop"}
                  version: {label: v, canary: new}
                  process: pod
                  weight: 0.1
                  then: roll-back
            """
        ).metrics
        var first = Policy.Metric(
            name: "p99",
            source: .prometheus(.init(address: "http://127.0.0.1:9090", query: "scalar(up)", limits: .init(max: 0.4))))
        first.then = .advise
        var counters = Policy.PrometheusCounters(
            address: "http://prometheus.internal/mesh/", failures: #"requests_total{service="shop",outcome="failed"}"#,
            requests: #"requests_total{service="shop"}"#)
        (counters.versionLabel, counters.canary, counters.processLabel, counters.weight) = ("v", "new", "pod", 0.1)
        var second = Policy.Metric(name: "proxy-errors", source: .counters(counters))
        second.then = .rollBack
        #expect(metrics == [first, second])
    }

    @Test(
        "one wrong value of judging is one mistake at its own line and column",
        arguments: [
            ("{errors: {times: 0.9}}", "2:25: times must be 1 to 10, not '0.9'"),
            ("{errors: {times: twice}}", "2:25: times must be a number, not 'twice'\nhint: write 0, 0.4 or -12.5"),
            ("{errors: {times: 0x2}}", "2:25: times must be a number, not '0x2'\nhint: write 0, 0.4 or -12.5"),
            ("{errors: {times: 1.}}", "2:25: times must be a number, not '1.'\nhint: write 0, 0.4 or -12.5"),
            (
                "{errors: {weight: 0}}",
                "2:26: weight must be 0.01 to 100, not '0'\nhint: dry_run: true judges without acting"
            ),
            (
                "{latency: {worseby: 10%}}",
                "2:19: unknown key 'worseby' in watch.latency\nhint: did you mean 'worse_by'?"
            ),
            (
                "{latency: {plus: 5}}",
                "2:25: plus must be a duration, not '5'\nhint: write 5s, 5m or 5h"
            ),
            (
                "{latency: {quantiles: []}}",
                "2:30: quantiles must name one to eight quantiles, not 0\nhint: worse_by: off compares none"
            ),
            ("{latency: {quantiles: [p50, p50]}}", "2:36: quantiles[1] repeats an earlier item"),
            (
                "{latency: {quantiles: [50]}}",
                "2:31: quantiles[0] '50' must be a quantile such as p50, p99 or p99.9"
            ),
            (
                "{routes: [checkout]}",
                "2:18: routes[0] must be a path that begins with /, not 'checkout'\n"
                    + "hint: write /checkout, or /api/orders/* for all that is below"
            ),
            (
                "{routes: [/api/*/items]}",
                "2:18: routes[0] must be a path with a * at most at its end, not '/api/*/items'\n"
                    + "hint: write /checkout, or /api/orders/* for all that is below"
            ),
            (
                "{routes: [\((0...16).map { "/\($0)" }.joined(separator: ", "))]}",
                "2:17: routes has 17 routes, more than 16\n"
                    + "hint: a prefix such as /api/orders/* takes many paths at once"
            ),
            (
                "{metrics: [\((0...16).map { "{name: m\($0), sql: select 1, max: 0}" }.joined(separator: ", "))]}",
                "2:18: metrics has 17 metrics, more than 16"
            ),
        ] as [(String, String)])
    func wrongValue(_ text: String, _ expected: String) {
        #expect(complaints("watch: " + text).joined(separator: "\n") == "shop.yaml:" + expected)
    }

    @Test("two metrics cannot have one name")
    func uniqueNames() {
        let metric = "{name: a, sql: select 1, max: 0}"
        #expect(
            complaints("watch: {metrics: [\(metric), \(metric)]}") == [
                "shop.yaml:2:60: name 'a' is an earlier metric's\nhint: each metric has a name of its own"
            ])
    }

    @Test("a service without a database says where its metrics are asked")
    func noDatabase() {
        #expect(
            complaints("database: null\nwatch: {metrics: [{name: a, sql: select 1, max: 0}]}") == [
                "shop.yaml:3:19: watch.metrics[0].url is missing, and the service has no database\n"
                    + "hint: write url: env:SHOP_READER_URL"
            ])
        #expect(
            complaints("database: null\nwatch: {metrics: [{name: a, sql: select 1, url: env:READER, max: 0}]}") == [])
    }
}
