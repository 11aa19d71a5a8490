// Goal: every mistake in a policy is reported at once, at its place, with a hint, and never repeats a secret.
// Method: small files merged over one that is complete, compared with the exact lines an operator reads.

import Policies
import Releases
import Testing

/// Everything a service must say; test files are merged over it.
let complete = (
    text: """
    source: {repository: /srv/git/shop.git}
    platform: {process: {command: ["./shop", "--port", "{port}"]}}
    traffic: {listen: "127.0.0.1:8080"}
    cohort: {steps: [{share: 5%, for: 1m}]}
    database: {url: env:SHOP_DATABASE_URL, canary_role: shop_canary}
    """, file: "default.yaml"
)

/// What an operator reads about a file that begins with `service: shop` on line 1.
func complaints(_ text: String, over defaults: (text: String, file: String)? = complete) -> [String] {
    do {
        _ = try PolicyFile.parse(text: "service: shop\n" + text, file: "shop.yaml", defaults: defaults)
        return []
    } catch {
        return error.mistakes.map(\.description)
    }
}

struct MistakeTests {
    @Test(
        "one wrong value is one mistake at its own line and column",
        arguments: [
            ("deadline: 30", "2:11: deadline must be a duration, not '30'\nhint: write 30s, 30m or 30h"),
            (
                "deadline: 1h30m",
                "2:11: deadline must be a duration, not '1h30m'\nhint: a whole number and one of ms, s, m, h, d: 90s, 5m"
            ),
            ("deadline: 99999999999999999d", "2:11: deadline must be at most 365d, not '99999999999999999d'"),
            ("deadline: 0s", "2:11: deadline must be at least 1ms, not '0s'"),
            (
                "deadline:",
                "2:10: deadline has no value\nhint: remove the key, or write null to drop what the defaults say"
            ),
            (
                "promote: {bake: -5m}",
                "2:17: bake must be a duration, not '-5m'\nhint: a whole number and one of ms, s, m, h, d: 90s, 5m"
            ),
            ("promote: [1]", "2:10: promote must be a map of keys, not a list"),
            ("promote: {max_parallel: 0}", "2:25: max_parallel must be at least 1, not 0"),
            ("promote: {max_parallel: 1.5}", "2:25: max_parallel must be a whole number, not '1.5'"),
            ("promote: {max_parallel: [1]}", "2:25: max_parallel must be one value, not a list"),
            ("roll_back: {automatic: yes}", "2:24: automatic must be true or false, not 'yes'"),
            ("platform: {process: {instances: {canary: 0}}}", "2:42: canary must be at least 1, not 0"),
            (
                "platform: {process: {ready: {path: healthz}}}",
                "2:36: path must be an HTTP path such as /healthz, not 'healthz'"
            ),
            (
                "platform: {process: {env: {PERCH_X: a}}}",
                "2:28: env must leave names that begin with PERCH_ to Perch, not set PERCH_X"
            ),
            ("platform: {process: {env: {1A: a}}}", "2:28: env must be the name of an environment variable, not '1A'"),
            (
                "platform: {process: {env: {DATABASE_URL: a}}}",
                "2:27: env sets DATABASE_URL, which receives the URL of the arm's database\n"
                    + "hint: name another variable in database_variable, or leave this one out"
            ),
            (
                "platform: {process: {command: [./shop]}}",
                "2:31: neither command nor env holds {port}, so no instance can know where to listen\n"
                    + "hint: command: [\"./shop\", \"--port\", \"{port}\"], or env: {PORT: \"{port}\"}"
            ),
            (
                "platform: {process: {command: [./shop, {port}]}}",
                "2:40: command[1] must be one value, not a map\nhint: text with braces goes in quotes: \"{port}\""
            ),
            (
                "platform: {process: {command: \"./shop {port}\"}}",
                "2:31: command must be a list, not a single value\nhint: write [a, b] or one `- item` a line"
            ),
            ("platform: {process: {command: []}}", "2:31: command must name a program"),
            ("source: {repository: --upload-pack=x}", "2:22: repository must be a path or URL, not '--upload-pack=x'"),
            (
                "traffic: {listen: 8080}",
                "2:19: listen must be HOST:PORT, not '8080'\nhint: write HOST:PORT, for example 127.0.0.1:8080 or 0.0.0.0:8080"
            ),
            (
                "traffic: {listen: \"a:70000\"}",
                "2:19: listen must end in a port between 1 and 65535, not '70000'\n"
                    + "hint: write HOST:PORT, for example 127.0.0.1:8080 or 0.0.0.0:8080"
            ),
            (
                "traffic: {metrics: \"9102\"}",
                "2:20: metrics must be HOST:PORT, not '9102'\n"
                    + "hint: write HOST:PORT, for example 127.0.0.1:8080 or 0.0.0.0:8080"
            ),
            (
                "traffic: {metrics: \"0.0.0.0:8080\"}",
                "2:20: metrics is served at 0.0.0.0:8080, which listen takes\nhint: give it a port of its own"
            ),
            (
                "cohort: {by: [\"cookie:\"]}",
                "2:15: by[0] must be cookie:NAME, header:NAME, client-address or request, not 'cookie:'"
            ),
            (
                "cohort: {by: [clientaddress]}",
                "2:15: by[0] must be cookie:NAME, header:NAME, client-address or request, not 'clientaddress'\n"
                    + "hint: did you mean 'client-address'?"
            ),
            (
                "cohort: {by: [request, cookie:a]}",
                "2:14: request is present in every request, so cookie:a is never used\nhint: put request last"
            ),
            ("cohort: {by: [cookie:a, cookie:a]}", "2:25: by[1] repeats an earlier item"),
            (
                "cohort: {include: {header: {X-A: 1, x-a: 2}}}",
                "2:37: 'x-a' is written more than once in cohort.include.header"
            ),
            (
                "cohort:\n  steps:\n    - {share: 10%, for: 1m}\n    - {share: 5%, for: 1m}",
                "5:15: share must rise from step to step, 5% follows 10%"
            ),
            (
                "cohort: {steps: [{share: 5%, for: 1m}, {approve: true}, {share: 5%, for: 1m}]}",
                "2:65: share must rise from step to step, 5% follows 5%"
            ),
            (
                "platform: {process: {env: {PORT: 8080}}}",
                "2:27: PORT is the instance's own port and cannot be '8080'\nhint: write PORT: \"{port}\""
            ),
            (
                "platform: {process: {env: {LISTEN: \"[::]:{port}\"}}}",
                "2:27: {port} is replaced in command and as PORT, not in LISTEN\nhint: write PORT: \"{port}\""
            ),
            (
                "cohort: {steps: [{share: 0%, for: 1m}]}",
                "2:26: share must be more than 0%\nhint: a release that must not serve yet begins with {approve: true}"
            ),
            ("cohort: {steps: [{share: 101%, for: 1m}]}", "2:26: share must be at most 100%, not '101%'"),
            ("cohort: {steps: [{share: 0.125%, for: 1m}]}", "2:26: share has steps of 0.01%, '0.125%' is finer"),
            ("cohort: {steps: [{share: 10, for: 1m}]}", "2:26: share must be a percentage, not '10'\nhint: write 10%"),
            (
                "cohort: {steps: [{share: 10%}]}",
                "2:18: cohort.steps[0].for is missing\nhint: how long 10% is watched: {share: 10%, for: 5m}"
            ),
            (
                "cohort: {steps: [{approve: true}]}",
                "2:17: steps never gives the canary a share\nhint: write - {share: 5%, for: 5m} and so on"
            ),
            (
                "cohort: {steps: [{approve: false}, {share: 10%, for: 1m}]}",
                "2:28: approve must be true\nhint: leave the step out when nobody is to be asked"
            ),
            (
                "cohort: {steps: [{share: 10%, for: 1m}, {approve: true, for: 1m}]}",
                "2:62: for and approve cannot be in the same step\nhint: make them two steps"
            ),
            (
                "cohort: {steps: [{share: 10%, for: 4h}]}",
                "2:9: deadline 4h is too short, the steps and baking alone take 250m\n"
                    + "hint: raise deadline, or shorten cohort.steps or promote.bake"
            ),
            (
                "database: {canary_role: Shop}",
                "2:25: canary_role must be a plain PostgreSQL name, not 'Shop'\nhint: lower-case letters, digits and _"
            ),
            (
                "database: {canary_role: pg_monitor}",
                "2:25: canary_role must be a role of the canary's own, not 'pg_monitor'\nhint: for example shop_canary"
            ),
            ("database: {snapshot: {mode: copy}}", "2:29: mode must be dump, clone or none, not 'copy'"),
            (
                "database: {snapshot: {mode: none}}",
                "2:29: taking the canary's writes out needs a snapshot, and snapshot.mode is none\n"
                    + "hint: write snapshot: {mode: dump} or {mode: clone}, or rollback: {mode: keep} to leave the data as it is"
            ),
            (
                "database: {recording: {budget: 0GiB}}",
                "2:32: budget must be more than 0\nhint: 10GiB lets a slot hold ten gibibytes of WAL"
            ),
            (
                "database: {recording: {budget: 10GB}}",
                "2:32: budget must be a size, not '10GB'\nhint: a whole number and one of B, KiB, MiB, GiB, TiB: 64MiB"
            ),
            ("database: {recording: {budget: 9999999TiB}}", "2:32: budget is too large, '9999999TiB'"),
            ("database: {rollback: {freeze: 61s}}", "2:31: freeze must be at most 1m, not '61s'"),
            (
                "database: {rollback: {columns: {accounts: {balance: add}}}}",
                "2:33: columns must name tables with their schema, not 'accounts'\nhint: write public.accounts"
            ),
            (
                "database: {rollback: {columns: {public.accounts: {balance: ad}}}}",
                "2:60: balance must be overwrite, add, hold, stamp or follow, not 'ad'\nhint: did you mean 'add'?"
            ),
            (
                "database: {rollback: {mode: swop}}",
                "2:29: mode must be swap, heal, auto or keep, not 'swop'\nhint: did you mean 'swap'?"
            ),
            ("watch: {minimum_requests: 0}", "2:27: minimum_requests must be at least 1, not 0"),
            ("watch: {errors: {max: 100.01%}}", "2:23: max must be at most 100%, not '100.01%'"),
            (
                "watch: {latency: {p100: {max: 1s}}}",
                "2:19: latency 'p100' must be a quantile such as p50, p99 or p99.9"
            ),
            (
                "watch: {latency: {p99.0: {max: 1s}}}",
                "2:19: latency 'p99.0' must be a quantile such as p50, p99 or p99.9"
            ),
            (
                "watch: {latency: {worse_by: fast}}",
                "2:29: worse_by must be a percentage, not 'fast'\nhint: write 1%, 0.5% or 100%"
            ),
            ("watch: {false_alarms: 0%}", "2:23: false_alarms must be 0.01% to 50%, not '0%'"),
            ("watch: {latency: {p99: {max: 0s}}}", "2:30: max must be at least 1ms, not '0s'"),
            (
                "watch: {latency: {p99: {}}}",
                "2:19: watch.latency.p99.max is missing\nhint: write p99: {max: 400ms}"
            ),
            (
                "watch: {no_data: {then: rollback}}",
                "2:25: then must be hold, roll-back or promote, not 'rollback'\nhint: did you mean 'roll-back'?"
            ),
            (
                "trigger: {github: {branch: refs/heads/main}}",
                "2:28: branch must be the branch alone, not 'refs/heads/main'\nhint: write main"
            ),
            (
                "trigger: {github: {events: [release]}}",
                "2:29: events[0] must be deployment, push or workflow_run, not 'release'"
            ),
            ("report: {redact: {headers: [\"a b\"]}}", "2:29: headers[0] must be the name of a header, not 'a b'"),
        ] as [(String, String)])
    func wrongValue(_ text: String, _ expected: String) {
        #expect(complaints(text).joined(separator: "\n") == "shop.yaml:" + expected)
    }

    @Test(
        "an unknown key is refused with a guess at what was meant",
        arguments: [
            ("promot: {bake: 1m}", "2:1: unknown key 'promot'\nhint: did you mean 'promote'?"),
            (
                "promote: {maxParallel: 1}",
                "2:11: unknown key 'maxParallel' in promote\nhint: did you mean 'max_parallel'?"
            ),
            ("bake: 1m", "2:1: unknown key 'bake'\nhint: 'bake' belongs in promote"),
            (
                "database: {migrate: {command: [a]}}",
                "2:12: unknown key 'migrate' in database\nhint: known here: url, admin_url, canary_role, canary_password, "
                    + "pgbouncer, snapshot, recording, rollback; keys that begin with x- are free"
            ),
            (
                "watch: {errors: {status: 5xx}}",
                "2:18: unknown key 'status' in watch.errors\nhint: known here: max, times, worse_by, proven, weight, "
                    + "dry_run; keys that begin with x- are free"
            ),
            (
                "cohort: {steps: [{share: 5%, for: 1m, pause: 1m}]}",
                "2:39: unknown key 'pause' in cohort.steps[0]\nhint: known here: share, for, approve; "
                    + "keys that begin with x- are free"
            ),
            (
                "notify: []",
                "2:1: unknown key 'notify'\nhint: known here: service, source, platform, traffic, cohort, database, watch, "
                    + "promote, roll_back, trigger, report, deadline; keys that begin with x- are free"
            ),
        ] as [(String, String)])
    func unknownKey(_ text: String, _ expected: String) {
        #expect(complaints(text) == ["shop.yaml:" + expected])
    }

    @Test("keys that begin with x- are free in every section")
    func extensionKeys() {
        let text = """
            x-team: payments
            source: {x-a: [1, {b: c}]}
            cohort: {x-b: 1, steps: [{share: 5%, for: 1m, x-why: because}]}
            watch: {latency: {p99: {max: 1s, x-c: 1}, x-d: 1}}
            """
        #expect(complaints(text) == [])
    }

    @Test("all mistakes of both files are reported at once, the service's own first")
    func allAtOnce() {
        let defaults = (text: complete.text + "\npromote: {bake: soon}\n", file: "default.yaml")
        let text = """
            deadline: never
            watch: {minimum_requests: many}
            traffic: {listen: nowhere}
            """
        let reported = complaints(text, over: defaults).map { $0.prefix { $0 != "\n" } }
        #expect(
            reported == [
                "shop.yaml:2:11: deadline must be a duration, not 'never'",
                "shop.yaml:3:27: minimum_requests must be a whole number, not 'many'",
                "shop.yaml:4:19: listen must be HOST:PORT, not 'nowhere'",
                "default.yaml:6:17: bake must be a duration, not 'soon'",
            ])
    }

    @Test("two files that are no YAML are two mistakes")
    func bothBroken() {
        let reported = complaints("a: [", over: (text: "b: 1\nb: 2", file: "default.yaml")).map {
            $0.prefix { $0 != ":" }
        }
        #expect(reported == ["shop.yaml", "default.yaml"])
    }

    @Test("everything that a service must say is asked for by its path")
    func missingKeys() {
        let paths: [String]
        do {
            _ = try PolicyFile.parse(text: "database: {}\n", file: "-")
            paths = []
        } catch {
            paths = error.mistakes.map(\.path)
        }
        let required = [
            "cohort.steps", "platform.process.command", "service", "source.repository", "traffic.listen",
            "database.canary_role", "database.url",
        ]
        #expect(Set(paths) == Set(required))
        #expect(paths.count == required.count)
    }

    @Test(
        "what is written where a secret belongs is never repeated",
        arguments: [
            "database: {url: \"postgres://shop:hunter2@db/shop\"}",
            "database: {url: {hunter2: 1, b: 2}}",
            "database: {url: [hunter2]}",
            "database: {url: \"env:hunter2 \"}",
            "database: {url: \"file://hunter2\"}",
            "database: {canary_password: hunter2}",
            "database: {admin_url: host=db password=hunter2}",
            "trigger: {secrets: [hunter2]}",
            "trigger: {secrets: hunter2}",
            "source: {repository: \"https://ci:hunter2@git.example.org/a.git\"}",
            "platform: {process: {env: {A: \"postgres://shop:hunter2@db/shop\"}}}",
            "platform: {process: {command: [\"{port}\", \"--dsn=postgres://shop:hunter2@db/shop\"]}}",
        ])
    func secretsStaySecret(_ text: String) {
        let reported = complaints(text)
        #expect(!reported.isEmpty)
        #expect(!reported.joined().contains("hunter2"))
    }

    @Test(
        "a password of any length in a URL is seen, a user alone is none",
        arguments: [
            ("ssh://git@git.example.org/a.git", false), ("https://git.example.org:8443/a@b", false),
            ("https://a:b@c", true), ("x https://a.example https://a:b@c", true), ("git@host:a.git", false),
        ])
    func passwordsInAddresses(_ address: String, _ isRefused: Bool) {
        #expect(complaints("source: {repository: \"\(address)\"}").isEmpty == !isRefused)
    }

    @Test(
        "text that is not YAML is one mistake at the place where reading stopped",
        arguments: [
            ("a: [1, 2", 3), ("\tdeadline: 1h", 2), ("deadline: 1h\ndeadline: 2h", 2), ("a: *nobody", 2),
            ("--- \nb: 1", 2),
            ("a: {? [b] : c}", 2), ("%", 2), ("a: \"\\q\"", 2), ("a: \u{1}", 2),
        ])
    func notYAML(_ text: String, _ line: Int) throws {
        let error = #expect(throws: PolicyRejected.self) {
            try PolicyFile.parse(text: "service: shop\n" + text, file: "shop.yaml", defaults: complete)
        }
        let mistakes = try #require(error?.mistakes)
        #expect(mistakes.count == 1)
        #expect(mistakes.first?.line == line)
        #expect(mistakes.first?.path == "")
    }

    @Test("a file that holds no map is refused", arguments: ["", "# nothing\n", "- a\n", "shop\n"])
    func notAMap(_ text: String) {
        #expect(throws: PolicyRejected.self) { try PolicyFile.parse(text: text, file: "shop.yaml", defaults: complete) }
    }

    @Test("aliases cannot grow a small file into a large one")
    func aliasBomb() throws {
        var text = "x-a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        for level in 1...8 {
            let items = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
            text += "x-a\(level): &a\(level) [\(items)]\n"
        }
        #expect(complaints(text).first?.hasSuffix("the file holds more than 10000 values") == true)
    }

    @Test("nesting without end is refused")
    func deepNesting() {
        #expect(complaints("x-a: " + String(repeating: "[", count: 100_000)).count == 1)
    }

    @Test("the service is called as its file is")
    func nameOfFile() {
        #expect(
            complaints("") == []
                && throwsMistake("service: shop\n", file: "policies/cart.yaml")
                    == "policies/cart.yaml:1:10: service shop is in a file called 'cart'\nhint: call the file shop.yaml"
        )
        #expect(throwsMistake("service: shop\n", file: "<standard input>") == nil)
    }

    private func throwsMistake(_ text: String, file: String) -> String? {
        do {
            _ = try PolicyFile.parse(text: text, file: file, defaults: complete)
            return nil
        } catch {
            return error.description
        }
    }
}
