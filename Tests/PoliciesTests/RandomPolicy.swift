// Random valid policies for the properties that must hold of every policy.

import Releases

/// SplitMix64: small, and the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

func randomPolicy(_ random: inout SeededGenerator) -> Policy {
    func flip(_ random: inout SeededGenerator) -> Bool { Bool.random(using: &random) }
    func number(_ range: ClosedRange<Int>, _ random: inout SeededGenerator) -> Int {
        Int.random(in: range, using: &random)
    }

    var policy = Policy(
        service: ServiceName(
            rawValue: ["a", "shop", "null", "on", "true", "a-0", "x-1"].randomElement(using: &random)!)!,
        source: Policy.Source(repository: "/" + awkwardText(&random)),
        platform: Policy.Platform(process: Policy.Process(command: ["./run", "{port}" + awkwardText(&random)])),
        traffic: Policy.Traffic(
            listen: ["0.0.0.0:80", "[::1]:8080", "localhost:65535", "127.0.0.1:1"].randomElement(using: &random)!),
        cohort: Policy.Cohort(steps: randomSteps(&random)), database: flip(&random) ? randomDatabase(&random) : nil)
    policy.deadline = .hours(24 * 300)
    policy.source.build = flip(&random) ? [] : ["make", awkwardText(&random), awkwardText(&random)]
    policy.source.buildWithin = someSpan(&random)

    policy.platform.process.stableInstances = number(1...1_000, &random)
    policy.platform.process.canaryInstances = number(1...9, &random)
    policy.platform.process.readyPath = "/" + ["", "healthz", "a?b=c&d", "%7E:/"].randomElement(using: &random)!
    policy.platform.process.readyWithin = someSpan(&random)
    policy.platform.process.drain = flip(&random) ? .zero : someSpan(&random)
    for name in ["A", "_b", "NO", "Z9"] where flip(&random) {
        policy.platform.process.environment[name] = awkwardText(&random)
    }
    policy.platform.process.databaseVariable = ["DSN", "y"].randomElement(using: &random)!
    policy.traffic.timeout = someSpan(&random)
    policy.traffic.metrics = flip(&random) ? nil : ["0.0.0.0:9102", "[::1]:65534"].randomElement(using: &random)

    policy.cohort.by = [
        [.request], [.clientAddress], [.cookie("a.b"), .header("X-'1"), .clientAddress], [.header("no"), .request],
    ].randomElement(using: &random)!
    for name in ["x-canary", "null", "accept"] where flip(&random) {
        policy.cohort.includeHeaders[name] = "v" + awkwardText(&random)
    }

    policy.watch = randomWatch(policy, &random)

    policy.promote.maxParallel = number(1...1_000, &random)
    policy.promote.bake = flip(&random) ? .zero : someSpan(&random)
    policy.promote.undoWindow = flip(&random) ? .zero : someSpan(&random)
    policy.rollBack.automatic = flip(&random)
    policy.rollBack.deadline = someSpan(&random)

    policy.trigger.secrets = flip(&random) ? [] : [.environment("A_1"), .file("/run/" + awkwardText(&random))]
    policy.trigger.onNewer = Policy.OnNewer.allCases.randomElement(using: &random)!
    policy.trigger.branch = ["main", "true", "release/1.x", "ümlaut", "a#b", "0x1"].randomElement(using: &random)!
    policy.trigger.workflow = flip(&random) ? nil : "w" + awkwardText(&random)
    policy.trigger.environment = flip(&random) ? nil : ["null", "no", "~", "prod eu"].randomElement(using: &random)!
    policy.trigger.events = Policy.Trigger.Event.allCases.filter { _ in flip(&random) }
    policy.report.redactHeaders = ["cookie", "x-y", "null"].filter { _ in flip(&random) }
    policy.report.redactFields = flip(&random) ? [] : [("f" + awkwardText(&random)).lowercased()]
    return policy
}

private func randomSteps(_ random: inout SeededGenerator) -> [Policy.Step] {
    let shares = Set(
        (0...Int.random(in: 0...4, using: &random)).map { _ in Int.random(in: 1...10_000, using: &random) })
    var steps: [Policy.Step] = []
    for basisPoints in shares.sorted() {
        if Bool.random(using: &random) { steps.append(.approve) }
        steps.append(.share(Share(basisPoints: basisPoints)!, for: someSpan(&random)))
    }
    return steps
}

private func randomDatabase(_ random: inout SeededGenerator) -> Policy.Database {
    var database = Policy.Database(
        url: .environment("URL_" + String(Int.random(in: 0...9, using: &random))),
        adminURL: .file("/" + awkwardText(&random)),
        canaryRole: ["shop_canary", "_", "no", "n"].randomElement(using: &random)!)
    database.canaryPassword = Bool.random(using: &random) ? nil : .file("secrets/" + awkwardText(&random))
    database.recordingBudgetBytes =
        Int64.random(in: 1...(1 << 50), using: &random) << Int64.random(in: 0...10, using: &random)
    database.rollback.mode = Policy.DataRollback.Mode.allCases.randomElement(using: &random)!
    database.snapshot =
        database.rollback.mode != .keep
        ? [.dump, .clone].randomElement(using: &random)! : Policy.SnapshotMode.allCases.randomElement(using: &random)!
    database.rollback.writes = Policy.DataRollback.Writes.allCases.randomElement(using: &random)!
    database.rollback.merge = Policy.DataRollback.Conflicts.allCases.randomElement(using: &random)!
    database.rollback.unattributed = Policy.DataRollback.Unattributed.allCases.randomElement(using: &random)!
    database.rollback.canaryRow = Policy.DataRollback.CanaryRow.allCases.randomElement(using: &random)!
    for table in ["public.accounts", "Odd Schema.ta:ble", "no.on"] where Bool.random(using: &random) {
        for column in ["balance", "null", "a \"b\""] {
            let rule = Policy.DataRollback.ColumnRule.allCases.randomElement(using: &random)!
            database.rollback.columns[table, default: [:]][column] = rule
        }
    }
    database.rollback.healLimit = Int.random(in: 1...10_000_000, using: &random)
    database.rollback.destructiveDDL = Policy.DataRollback.DestructiveDDL.allCases.randomElement(using: &random)!
    if Bool.random(using: &random) {
        database.pgbouncer = .init(adminURL: .environment("PGBOUNCER"))
        database.pgbouncer?.database = Bool.random(using: &random) ? nil : "p" + awkwardText(&random)
    }
    database.rollback.freeze = .milliseconds(Int64.random(in: 1...60_000, using: &random))
    database.rollback.reconnect = Policy.DataRollback.Reconnect.allCases.randomElement(using: &random)!
    database.rollback.keepBefore = Bool.random(using: &random) ? .zero : someSpan(&random)
    return database
}

func someSpan(_ random: inout SeededGenerator) -> Span {
    let unit: Span = [.milliseconds(1), .seconds(1), .minutes(1), .hours(1), .hours(24)].randomElement(using: &random)!
    return Span(milliseconds: unit.milliseconds * Int64.random(in: 1...20, using: &random))
}

/// Text that a careless writer of YAML would break.
func awkwardText(_ random: inout SeededGenerator) -> String {
    let pieces = [
        "", "a", " ", "  ", "null", "~", "yes", "1", "0x1F", "1e3", ":", ": ", "- ", " #", "#", "{", "}", "[", "]", ",",
        "'",
        "\"", "\\", "\n", "\r\n", "\t", "|", ">", "&a", "*a", "!t", "%", "@", "`", "é", "\u{85}", "\u{2028}",
        "a\u{FEFF}", "\u{7F}",
        "\u{1}", "😀", "\u{10FFFF}", "---", "...", "?", "=", "<<",
    ]
    return (0..<Int.random(in: 0...5, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
}
