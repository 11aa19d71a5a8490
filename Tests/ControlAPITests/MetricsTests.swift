// Goal: /metrics is what Prometheus's text format 0.0.4 says, and never grows without bound. Method: the registry by itself,
// then the page of a live API.

import ControlAPI
import ControlSupport
import Metrics
import Testing

@Suite struct MetricsTests {
    @Test func everyKindIsRenderedByNameAndLabels() {
        let registry = PrometheusRegistry()
        registry.describe(counter: "perch_releases", "Releases that ended, by how.")
        Counter(label: "perch_releases", dimensions: [("phase", "promoted")], factory: registry).increment(by: 3)
        Counter(label: "perch_releases", dimensions: [("phase", "halted")], factory: registry).increment()
        Gauge(label: "perch.held-wal.bytes", factory: registry).record(1.5)
        Meter(label: "perch_slots", factory: registry).increment(by: 2.0)
        #expect(
            registry.render() == """
                # TYPE perch_held_wal_bytes gauge
                perch_held_wal_bytes 1.5
                # HELP perch_releases_total Releases that ended, by how.
                # TYPE perch_releases_total counter
                perch_releases_total{phase="halted"} 1
                perch_releases_total{phase="promoted"} 3
                # TYPE perch_slots gauge
                perch_slots 2

                """)
    }

    @Test func aTimerIsAHistogramInSeconds() {
        let registry = PrometheusRegistry()
        let timer = Timer(label: "perch_step", dimensions: [("step", "1")], factory: registry)
        timer.recordMilliseconds(2)
        timer.recordMilliseconds(1)
        timer.recordSeconds(120)
        let text = registry.render()
        for line in [
            "# TYPE perch_step_seconds histogram", "perch_step_seconds_bucket{step=\"1\",le=\"0.001\"} 1",
            "perch_step_seconds_bucket{step=\"1\",le=\"0.0025\"} 2",
            "perch_step_seconds_bucket{step=\"1\",le=\"60\"} 2",
            "perch_step_seconds_bucket{step=\"1\",le=\"+Inf\"} 3", "perch_step_seconds_sum{step=\"1\"} 120.003",
            "perch_step_seconds_count{step=\"1\"} 3",
        ] {
            #expect(text.contains(line + "\n"), "\(line)")
        }
    }

    @Test func labelValuesAreEscapedAndNamesMadeFit() {
        let registry = PrometheusRegistry()
        Counter(label: "1 weird.name", dimensions: [("a-b", "x\"y\\z\nw")], factory: registry).increment()
        #expect(registry.render().contains(#"_1_weird_name_total{a_b="x\"y\\z\nw"} 1"#))
    }

    @Test func labelSetsPastTheBoundAreDroppedAndCounted() {
        let registry = PrometheusRegistry(mostSeries: 10)
        for number in 0..<1_000 {
            Counter(label: "c", dimensions: [("n", "\(number)")], factory: registry).increment()
        }
        Counter(label: "c", dimensions: [("n", "3")], factory: registry).increment()
        let text = registry.render()
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("c_total{") }.count == 10)
        #expect(text.contains("c_total{n=\"3\"} 2\n"), "what is known keeps counting")
        #expect(text.contains("perch_metrics_dropped_total{metric=\"c_total\"} 990\n"))
    }

    @Test func namesPastTheBoundAreDropped() {
        let registry = PrometheusRegistry(mostNames: 3)
        for number in 0..<10 { Counter(label: "c\(number)", factory: registry).increment() }
        #expect(registry.render().split(separator: "\n").filter { $0.hasPrefix("# TYPE") }.count == 3)
    }

    @Test func aNameKeepsItsFirstKind() {
        let registry = PrometheusRegistry()
        Gauge(label: "x", factory: registry).record(1)
        Recorder(label: "x", factory: registry).record(7)
        let text = registry.render()
        #expect(text.contains("x 1\n") && !text.contains("x_bucket"))
        #expect(text.contains("perch_metrics_dropped_total{metric=\"x\"} 1\n"))
    }

    @Test func aCounterNeverFallsAndNothingIsNotANumber() {
        let registry = PrometheusRegistry()
        let counter = FloatingPointCounter(label: "c", factory: registry)
        counter.increment(by: 2.5)
        counter.increment(by: Double.nan)
        Gauge(label: "g", factory: registry).record(Double.infinity)
        let text = registry.render()
        #expect(text.contains("c_total 2.5\n") && text.contains("g +Inf\n"))
    }

    @Test func manyTasksCountTogether() async {
        let registry = PrometheusRegistry()
        await withTaskGroup(of: Void.self) { tasks in
            for _ in 0..<8 {
                tasks.addTask {
                    for _ in 0..<1_000 { Counter(label: "c", factory: registry).increment() }
                }
            }
        }
        #expect(registry.render().contains("c_total 8000\n"))
    }

    @Test func requestsAreCountedByRouteNotByPath() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            for number in 1...20 { _ = try await api.call("/api/v1/releases/shop-\(number)") }
            for number in 1...10 {
                for method in ["PUT", "DELETE"] { _ = try await api.call("/scan/\(number)", method: method) }
            }
            _ = try await api.hook("shop", ownBody)
            _ = try await api.hook("shop", ownBody, secret: "wrong")
            let answer = try await api.call("/metrics")
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            for line in [
                #"perch_http_requests_total{method="GET",route="/api/v1/releases/{release}",status="404"} 20"#,
                #"perch_http_requests_total{method="other",route="NotFound",status="404"} 20"#,
                #"perch_hooks_total{outcome="accepted",service="shop"} 1"#,
                #"perch_hooks_total{outcome="bad-signature",service="shop"} 1"#,
                "# TYPE perch_http_request_duration_seconds histogram",
            ] {
                #expect(answer.body.contains(line), "\(line)")
            }
        }
    }
}
