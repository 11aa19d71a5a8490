// Which keys a policy has, section by section. What is not here is refused, with a guess at what was meant.

enum Shape {
    /// Path of a section -> its keys in the order they are explained. `[]` stands for any item of a list.
    static let keys: [String: [String]] = [
        "": [
            "service", "source", "platform", "traffic", "cohort", "database", "watch", "promote", "roll_back",
            "trigger", "report", "deadline",
        ],
        "source": ["repository", "build", "build_within"],
        "platform": ["process"],
        "platform.process": ["command", "instances", "ready", "drain", "env", "database_variable"],
        "platform.process.instances": ["stable", "canary"],
        "platform.process.ready": ["path", "within"],
        "traffic": ["listen", "timeout", "metrics"],
        "cohort": ["by", "include", "steps"],
        "cohort.include": ["header"],
        "cohort.steps[]": ["share", "for", "approve"],
        "database": [
            "url", "admin_url", "canary_role", "canary_password", "pgbouncer", "snapshot", "recording", "rollback",
        ],
        "database.pgbouncer": ["admin_url", "database"],
        "database.snapshot": ["mode"],
        "database.recording": ["budget"],
        "database.rollback": [
            "mode", "writes", "merge", "unattributed", "canary_row", "columns", "heal_limit", "destructive_ddl",
            "freeze", "reconnect", "keep_before",
        ],
        "watch": [
            "minimum_requests", "minimum_failures", "false_alarms", "no_data", "shared_incident", "settle", "errors",
            "latency", "routes", "metrics",
        ],
        "watch.no_data": ["wait", "then"],
        "watch.errors": ["max", "times", "worse_by", "proven", "weight", "dry_run"],
        // Beside these, quantiles: p99 and so on.
        "watch.latency": ["worse_by", "plus", "quantiles", "weight", "dry_run"],
        "watch.latency.*": ["max"],
        "watch.metrics[]": [
            "name", "sql", "url", "prometheus", "query", "max", "min", "failures", "requests", "version", "process",
            "weight", "every", "timeout", "then", "dry_run",
        ],
        "watch.metrics[].version": ["label", "stable", "canary"],
        "promote": ["max_parallel", "bake", "undo_window"],
        "roll_back": ["automatic", "deadline"],
        "trigger": ["secrets", "on_newer", "github"],
        "trigger.github": ["branch", "workflow", "environment", "events"],
        "report": ["redact"],
        "report.redact": ["headers", "fields"],
    ]

    /// What to say to somebody who wrote `key` in the section at `path`.
    static func hint(forUnknown key: String, in path: String) -> String {
        let known = keys[path] ?? []
        if let meant = likelyMeant(key, among: known) { return "did you mean '\(meant)'?" }
        let homes = keys.filter { $0.value.contains(key) }.map { $0.key.isEmpty ? "the top level" : $0.key }.sorted()
        if homes.count == 1 { return "'\(key)' belongs in \(homes[0])" }
        return "known here: \(known.joined(separator: ", ")); keys that begin with x- are free"
    }
}
