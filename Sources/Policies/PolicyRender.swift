// A policy as YAML with every default written down and explained; reading it again gives an equal policy.

package import Releases

extension PolicyFile {
    /// The policy as one annotated YAML file that needs no defaults beside it.
    package static func render(_ policy: Policy) -> String {
        var yaml = AnnotatedYAML()
        yaml.comment("Policy of \(policy.service) with every default written down.")
        yaml.key("service", yamlText(policy.service.rawValue))
        yaml.key("deadline", "\(policy.deadline)", "a whole release, from acceptance to the end of baking")
        yaml.blankLine()
        yaml.comment("Where commits come from and how one becomes runnable.")
        yaml.map("source") { yaml in
            yaml.key("repository", yamlText(policy.source.repository), "path or URL git can clone")
            yaml.key("build", flowList(policy.source.build), "once per commit in its clean checkout; [] builds nothing")
            yaml.key("build_within", "\(policy.source.buildWithin)")
        }
        yaml.blankLine()
        render(policy.platform.process, &yaml)
        yaml.blankLine()
        yaml.comment("Where users reach the service.")
        yaml.map("traffic") { yaml in
            yaml.key("listen", yamlText(policy.traffic.listen), "of the router")
            yaml.key("timeout", "\(policy.traffic.timeout)", "longest wait for a version's first byte")
            yaml.key(
                "metrics", policy.traffic.metrics.map(yamlText) ?? "null",
                "HOST:PORT for Prometheus; null: only on the router's control socket")
        }
        yaml.blankLine()
        render(policy.cohort, &yaml)
        yaml.blankLine()
        render(policy.database, &yaml)
        yaml.blankLine()
        render(policy.watch, &yaml)
        yaml.blankLine()
        yaml.comment("How the new version replaces the stable instances.")
        yaml.map("promote") { yaml in
            yaml.key("max_parallel", "\(policy.promote.maxParallel)", "stable instances replaced at the same time")
            yaml.key("bake", "\(policy.promote.bake)", "watched for this long with all traffic")
            yaml.key(
                "undo_window", "\(policy.promote.undoWindow)", "`perch rollback` still works for this long after baking"
            )
        }
        yaml.map("roll_back") { yaml in
            yaml.key(
                "automatic", "\(policy.rollBack.automatic)",
                "false: a failed step halts the canary at share 0 and waits for a person")
            yaml.key("deadline", "\(policy.rollBack.deadline)")
        }
        yaml.blankLine()
        render(policy.trigger, &yaml)
        yaml.blankLine()
        yaml.comment("Values that samples and reports never keep. A list here replaces the inherited one.")
        yaml.map("report") { yaml in
            yaml.map("redact") { yaml in
                yaml.key("headers", flowList(policy.report.redactHeaders))
                yaml.key("fields", flowList(policy.report.redactFields), "JSON keys, form fields, columns")
            }
        }
        return yaml.text
    }

    private static func render(_ process: Policy.Process, _ yaml: inout AnnotatedYAML) {
        yaml.comment("How the service runs, as processes on this machine.")
        yaml.map("platform") { yaml in
            yaml.map("process") { yaml in
                yaml.key("command", flowList(process.command), "in the commit's checkout; {port} is replaced")
                yaml.key(
                    "instances", "{stable: \(process.stableInstances), canary: \(process.canaryInstances)}")
                yaml.key(
                    "ready", "{path: \(yamlText(process.readyPath)), within: \(process.readyWithin)}",
                    "answers 2xx once the instance can serve")
                yaml.key("drain", "\(process.drain)", "from SIGTERM to SIGKILL")
                yaml.key("env", flowMap(process.environment))
                yaml.key(
                    "database_variable", yamlText(process.databaseVariable),
                    "receives the database URL with the arm's role")
            }
        }
    }

    private static func render(_ cohort: Policy.Cohort, _ yaml: inout AnnotatedYAML) {
        yaml.comment("Who meets the new version first, and how their number grows.")
        yaml.map("cohort") { yaml in
            yaml.key("by", flowList(cohort.by.map { Policies.text(of: $0) }), "the first one present decides, for good")
            yaml.map("include") { yaml in
                yaml.key("header", flowMap(cohort.includeHeaders), "forced in, counted in neither arm")
            }
            yaml.map("steps") { yaml in
                for step in cohort.steps {
                    switch step {
                    case .share(let share, let span): yaml.item("{share: \(share), for: \(span)}")
                    case .approve: yaml.item("{approve: true}")
                    }
                }
            }
        }
    }

    private static func render(_ database: Policy.Database?, _ yaml: inout AnnotatedYAML) {
        guard let database else {
            yaml.key("database", "null", "releases touch no data")
            return
        }
        yaml.comment("What may be done to the service's data.")
        yaml.map("database") { yaml in
            yaml.key("url", yamlText("\(database.url)"), "what the stable instances are given")
            yaml.key("admin_url", yamlText("\(database.adminURL)"), "what Perch connects with")
            yaml.key("canary_role", yamlText(database.canaryRole), "its writes are told apart by this role")
            yaml.key(
                "canary_password", database.canaryPassword.map { yamlText("\($0)") } ?? "null",
                "null: the role needs none")
            if let pgbouncer = database.pgbouncer {
                yaml.map("pgbouncer", "paused while the data is switched") { yaml in
                    yaml.key("admin_url", yamlText("\(pgbouncer.adminURL)"), "of its console")
                    yaml.key(
                        "database", pgbouncer.database.map(yamlText) ?? "null", "as its configuration calls it; null: as PostgreSQL does")
                }
            } else {
                yaml.key("pgbouncer", "null", "{admin_url: env:PGBOUNCER_URL}: paused while the data is switched")
            }
            yaml.key("snapshot", "{mode: \(database.snapshot.rawValue)}", "dump, clone (kept ready beside live) or none")
            yaml.key(
                "recording", "{budget: \(byteText(database.recordingBudgetBytes))}",
                "WAL our slot may hold before the release ends")
            yaml.map("rollback") { yaml in
                let rollback = database.rollback
                yaml.key("mode", rollback.mode.rawValue, "swap, heal, auto (heal where that is sound) or keep")
                yaml.key("heal_limit", "\(rollback.healLimit)", "auto heals up to so many differing rows")
                yaml.key(
                    "destructive_ddl", rollback.destructiveDDL.rawValue, "the canary broke stable's schema: swap or halt")
                yaml.key("writes", rollback.writes.rawValue, "whose writes are replayed: stable or all")
                yaml.key("merge", rollback.merge.rawValue, "nonconflict, nocascade, force or cascade")
                yaml.key("unattributed", rollback.unattributed.rawValue, "neither role's: stable, canary or hold")
                yaml.key("canary_row", rollback.canaryRow.rawValue, "keep or drop one that stable changed")
                if rollback.columns.isEmpty {
                    yaml.key("columns", "{}", "public.accounts: {balance: add}; overwrite, add, hold, stamp or follow")
                } else {
                    yaml.map("columns", "what a column gets that both wrote") { yaml in
                        for (table, rules) in rollback.columns.sorted(by: { $0.key < $1.key }) {
                            yaml.key(yamlText(table), flowMap(rules.mapValues(\.rawValue)))
                        }
                    }
                }
                yaml.key("freeze", "\(rollback.freeze)", "longest time requests are held, at most 60s")
                yaml.key(
                    "reconnect", rollback.reconnect.rawValue, "restart or probe the stable instances after the switch")
                yaml.key("keep_before", "\(rollback.keepBefore)", "how long the database as it was is kept")
            }
        }
    }

    private static func render(_ trigger: Policy.Trigger, _ yaml: inout AnnotatedYAML) {
        yaml.comment("What starts a release.")
        yaml.map("trigger") { yaml in
            yaml.key("secrets", flowList(trigger.secrets.map(\.description)), "any of these signs a webhook")
            yaml.key("on_newer", trigger.onNewer.rawValue, "while another is active: queue, supersede or reject")
            yaml.map("github") { yaml in
                yaml.key("branch", yamlText(trigger.branch), "of push and workflow_run")
                yaml.key("workflow", trigger.workflow.map(yamlText) ?? "null", "path of the workflow; null: any")
                yaml.key("environment", trigger.environment.map(yamlText) ?? "null", "of deployment; null: any")
                yaml.key("events", flowList(trigger.events.map(\.rawValue)))
            }
        }
    }
}
