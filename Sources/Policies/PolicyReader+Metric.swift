// What a release is judged by beside the router's counts.

import Releases

extension PolicyReader {
    private static let mostMetrics = 16

    mutating func metrics(_ watch: Section, _ policy: Policy) -> [Policy.Metric] {
        guard let items = items(watch, "metrics") else { return [] }
        let path = watch.path(of: "metrics")
        guard items.count <= Self.mostMetrics else {
            complain(
                watch.place(of: "metrics"), path, "metrics has \(items.count) metrics, more than \(Self.mostMetrics)")
            return []
        }
        var metrics: [Policy.Metric] = []
        var names: Set<String> = []
        for (index, item) in items.enumerated() {
            let itemPath = "\(path)[\(index)]"
            let section = section(of: item, path: itemPath, shape: "watch.metrics[]", place: item.place)
            let name = required(section, "name", hint: "write name: negative-totals", metricName)
            if let name, !names.insert(name).inserted {
                complain(
                    section.place(of: "name"), section.path(of: "name"),
                    "name \(quoted(name)) is an earlier metric's", hint: "each metric has a name of its own")
            }
            guard let source = source(section, policy) else { continue }
            var metric = Policy.Metric(name: name ?? "unnamed", source: source)
            set(&metric.every, section, "every", span(from: .seconds(1), to: .hours(1)))
            set(&metric.timeout, section, "timeout", span(from: .milliseconds(100), to: .minutes(1)))
            set(&metric.then, section, "then", word(Policy.Consequence.self))
            set(&metric.isDryRun, section, "dry_run", boolean)
            checkConsequence(metric, section, policy)
            metrics.append(metric)
        }
        return metrics
    }

    // MARK: - Who is asked

    private mutating func source(_ section: Section, _ policy: Policy) -> Policy.Metric.Source? {
        let isCounting = section.entries["failures"] != nil || section.entries["requests"] != nil
        switch (section.entries["sql"] != nil, section.entries["prometheus"] != nil) {
        case (false, false):
            complain(
                section.place, section.path, "metric asks nobody",
                hint: "write sql: with a SELECT, or prometheus: http://127.0.0.1:9090")
            return nil
        case (true, true):
            complain(
                section.place(of: "prometheus"), section.path(of: "prometheus"),
                "sql and prometheus cannot be in the same metric", hint: "make them two metrics")
            return nil
        case (true, false):
            refuse(["query", "failures", "requests", "version", "process", "weight"], "sql", section)
            return sqlNumber(section, policy).map { .sql($0) }
        case (false, true) where isCounting:
            refuse(["query", "max", "min", "url"], "failures and requests", section)
            return counters(section).map { .counters($0) }
        case (false, true):
            refuse(["url", "version", "process", "weight"], "a query", section)
            return prometheusNumber(section).map { .prometheus($0) }
        }
    }

    /// Keys that say nothing about this kind of source.
    private mutating func refuse(_ keys: [String], _ form: String, _ section: Section) {
        for key in keys where section.entries[key] != nil {
            complain(
                section.place(of: key), section.path(of: key), "\(key) does not belong to a metric with \(form)",
                hint: "a metric has sql, or prometheus with query, or prometheus with failures and requests")
        }
    }

    private mutating func sqlNumber(_ section: Section, _ policy: Policy) -> Policy.SQLNumber? {
        let sql = required(section, "sql", hint: "", text)
        let limits = limits(section)
        var url = policy.database?.url
        if section.entries["url"] != nil {
            url = required(section, "url", hint: "", secret)
        } else if url == nil {
            if !isPartial {
                complain(
                    section.place, section.path(of: "url"),
                    "\(section.path).url is missing, and the service has no database",
                    hint: "write url: env:SHOP_READER_URL")
            }
            url = .environment("unnamed")
        }
        guard let sql, let url, let limits else { return nil }
        return Policy.SQLNumber(sql: sql, url: url, limits: limits)
    }

    private mutating func prometheusNumber(_ section: Section) -> Policy.PrometheusNumber? {
        let address = required(section, "prometheus", hint: "", prometheusAddress)
        let query = required(
            section, "query", hint: "write query: with PromQL for one number, or failures: and requests:", text)
        let limits = limits(section)
        guard let address, let query, let limits else { return nil }
        return Policy.PrometheusNumber(address: address, query: query, limits: limits)
    }

    private mutating func counters(_ section: Section) -> Policy.PrometheusCounters? {
        let address = required(section, "prometheus", hint: "", prometheusAddress)
        let hint = "both are selectors of counters: requests_total{service=\"shop\"}"
        let failures = required(section, "failures", hint: hint, counterSelector)
        let requests = required(section, "requests", hint: hint, counterSelector)
        guard let address, let failures, let requests else { return nil }
        if failures == requests {
            complain(
                section.place(of: "failures"), section.path(of: "failures"),
                "failures and requests are the same counters", hint: "failures are a part of the requests")
        }
        var counters = Policy.PrometheusCounters(address: address, failures: failures, requests: requests)
        let version = self.section(
            section, "version", shape: "watch.metrics[].version")
        set(&counters.versionLabel, version, "label", labelName)
        set(&counters.stable, version, "stable", text)
        set(&counters.canary, version, "canary", text)
        if counters.stable == counters.canary {
            complain(
                version.place(of: "canary"), version.path(of: "canary"),
                "stable and canary cannot both be \(quoted(counters.canary))",
                hint: "the label's value must tell the versions apart")
        }
        set(&counters.processLabel, section, "process", labelName)
        set(&counters.weight, section, "weight", weight)
        return counters
    }

    /// At least one of `min` and `max`.
    private mutating func limits(_ section: Section) -> Policy.Limits? {
        guard section.entries["min"] != nil || section.entries["max"] != nil else {
            complainOfMissing(section, "max", hint: "write max: 0, or min: for what must not be less")
            return nil
        }
        let before = mistakes.count
        var limits = Policy.Limits()
        if let entry = section.entries["min"] {
            limits.min = read(entry.value, path: section.path(of: "min"), number)
        }
        if let entry = section.entries["max"] {
            limits.max = read(entry.value, path: section.path(of: "max"), number)
        }
        if let min = limits.min, let max = limits.max, min > max {
            complain(
                section.place(of: "min"), section.path(of: "min"),
                "min \(numberText(min)) is more than max \(numberText(max))")
        }
        return mistakes.count == before ? limits : nil
    }

    // MARK: - What may follow

    /// Only what is known to be the canary's doing sends it back.
    private mutating func checkConsequence(_ metric: Policy.Metric, _ section: Section, _ policy: Policy) {
        guard metric.then == .rollBack else { return }
        let path = section.path(of: "then")
        switch metric.source {
        case .sql: return
        case .prometheus:
            complain(
                section.place(of: "then"), path,
                "then must be hold or advise for one number from Prometheus, not 'roll-back'",
                hint: "it does not say whose doing it is; failures and requests of a process that sees both versions do"
            )
        case .counters:
            guard !isPartial, policy.cohort.by != [.request] else { return }
            complain(
                section.place(of: "then"), path,
                "then can be roll-back only with cohort.by: [request], here users were given to the versions",
                hint: "write then: hold, or by: [request] where a user may change versions")
        }
    }
}
