// What `watch` says, with every default written down and explained.

import Releases

extension PolicyFile {
    static func render(_ watch: Policy.Watch, _ yaml: inout AnnotatedYAML) {
        yaml.comment("When a version counts as bad.")
        yaml.map("watch") { yaml in
            yaml.key("minimum_requests", "\(watch.minimumRequests)", "of the new version, before anything passes")
            yaml.key("minimum_failures", "\(watch.minimumFailures)", "of the new version, before it is rolled back")
            yaml.key(
                "false_alarms", percentText(watch.falseAlarmsBasisPoints),
                "at most so many releases that are no worse are rolled back")
            yaml.key(
                "no_data", "{wait: \(watch.noDataWait), then: \(watch.noDataThen.rawValue)}",
                "then: hold, roll-back or promote")
            yaml.key(
                "shared_incident", watch.sharedIncident.rawValue,
                "while both versions break a limit: hold, drain or roll-back")
            yaml.key(
                "settle", watch.settle.map { "\($0)" } ?? "null",
                "a step lasts at least this; null: traffic.timeout and 10s more")
            render(watch.errors, &yaml)
            render(watch.latency, &yaml)
            yaml.key("routes", flowList(watch.routes), "judged by themselves: /checkout, or /api/orders/* and below")
            guard !watch.metrics.isEmpty else {
                yaml.key("metrics", "[]", "other sources: SQL and Prometheus")
                return
            }
            yaml.map("metrics", "other sources") { yaml in
                for metric in watch.metrics { yaml.item { render(metric, &$0) } }
            }
        }
    }

    private static let weightComment = "beside the other evidence; only the proportions matter"
    private static let dryRunComment = "true: judged and shown, nothing follows"

    private static func render(_ errors: Policy.Errors, _ yaml: inout AnnotatedYAML) {
        yaml.comment("5xx, connect failures, resets and timeouts.")
        yaml.map("errors") { yaml in
            yaml.key("max", percentText(errors.maxBasisPoints), "of a version's requests")
            yaml.key("times", numberText(errors.times), "as often as stable, and worse_by more, is no worse")
            yaml.key("worse_by", percentText(errors.worseByBasisPoints), "more often than stable is still no worse")
            yaml.key(
                "proven", percentText(errors.provenBasisPoints),
                "a step passes when the canary is shown to fail less than this more often")
            yaml.key("weight", numberText(errors.weight), weightComment)
            yaml.key("dry_run", "\(errors.isDryRun)", dryRunComment)
        }
    }

    private static func render(_ latency: Policy.Latency, _ yaml: inout AnnotatedYAML) {
        yaml.map("latency") { yaml in
            yaml.key(
                "worse_by", latency.worseByBasisPoints.map(percentText) ?? "off",
                "slower than stable is still no slower; off: not compared")
            yaml.key("plus", "\(latency.plus)", "slower, beside worse_by, is still no slower")
            yaml.key("quantiles", flowList(latency.quantilesPerMille.map(quantileText)), "that are compared")
            yaml.key("weight", numberText(latency.weight), weightComment)
            yaml.key("dry_run", "\(latency.isDryRun)", dryRunComment)
            for limit in latency.max {
                yaml.key(quantileText(limit.quantilePerMille), "{max: \(limit.max)}")
            }
        }
    }

    private static func render(_ metric: Policy.Metric, _ yaml: inout AnnotatedYAML) {
        yaml.key("name", yamlText(metric.name))
        switch metric.source {
        case .sql(let number):
            yaml.key("sql", yamlText(number.sql), "one row with one number")
            yaml.key("url", yamlText("\(number.url)"), "best of a role that may only read")
            render(number.limits, &yaml)
        case .prometheus(let number):
            yaml.key("prometheus", yamlText(number.address))
            yaml.key("query", yamlText(number.query), "one number")
            render(number.limits, &yaml)
        case .counters(let counters):
            yaml.key("prometheus", yamlText(counters.address))
            yaml.key("failures", yamlText(counters.failures))
            yaml.key("requests", yamlText(counters.requests))
            let labels = [
                ("label", counters.versionLabel), ("stable", counters.stable), ("canary", counters.canary),
            ]
            yaml.key(
                "version", "{\(labels.map { "\($0.0): \(yamlText($0.1))" }.joined(separator: ", "))}",
                "the label that names the version")
            yaml.key("process", yamlText(counters.processLabel), "the label that names the process that counted")
            yaml.key("weight", numberText(counters.weight), weightComment)
        }
        yaml.key("every", "\(metric.every)")
        yaml.key("timeout", "\(metric.timeout)")
        yaml.key("then", metric.then.rawValue, "outside its limits: roll-back, hold or advise")
        yaml.key("dry_run", "\(metric.isDryRun)", dryRunComment)
    }

    private static func render(_ limits: Policy.Limits, _ yaml: inout AnnotatedYAML) {
        if let min = limits.min { yaml.key("min", numberText(min)) }
        if let max = limits.max { yaml.key("max", numberText(max)) }
    }
}
