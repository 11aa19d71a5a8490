// The whole comparison: runs every scenario and makes the tables.

/// What is run, and how often.
package struct Comparison: Sendable {
    /// Names of scenarios; empty: all.
    package var names: Set<String> = []
    /// Releases in each line; nil: as many as each line's default.
    package var releases: Int?
    /// Told before each line.
    package var progress: @Sendable (String) -> Void = { _ in }

    package init() {}

    /// Every name that can be asked for.
    package static var allNames: [String] {
        var names: [String] = []
        let all =
            BadCanary.errors.map(\.name) + BadCanary.latency.map(\.name) + FirstStep.all.map(\.name)
            + HarmlessDay.all().map(\.name) + ["cost"]
        for name in all where !names.contains(name) { names.append(name) }
        return names
    }

    package static let preface = """
        Simulated, from fixed seeds: independent requests that arrive as a Poisson stream, a coin for each request (or \
        user), exact counters; latencies are log-normal (median 50 ms, p99 160 ms). Both versions fail 0.1 % unless a line \
        says otherwise; 5 canary requests a second at a share of 5 % likewise; alpha is 1 %. Sticky cohorts: 5,000 users, 50 \
        requests a second. Of what is tried again 50 % fails. What stable has in flight at one look it has answered by the \
        next. Perch looks every 250 ms while a canary is bad, every second in a first step; in the harmless days every 30 s, \
        every 5 s during incidents and every 250 ms in the first half minute of an outage (looking less often only delays). \
        The peers are idealised: exact counts without scrape delay, queries that never fail. Argo Rollouts and Flagger judge \
        the canary's last minute against 1 %, every 60 s (failureLimit 3; threshold 5); Kayenta's judge compares failures a \
        minute with a baseline of the canary's size every hour (98 %, tolerance 0.25, all points so far); naive z is the \
        pooled test at 1 % every 60 s from 30 canary requests on; Lindon-Malek is the sequential test of counts with k = 1 \
        at 1 %. Intervals are exact (Clopper-Pearson, 95 %).
        """

    /// Makes every table that was asked for, in the order of the README.
    ///
    /// - Parameter report: told each table when it is complete.
    package func run(_ report: (Table) -> Void) {
        for make in [errors, latency, advance, falseAlarms, cost] {
            let table = make()
            if !table.lines.isEmpty { report(table) }
        }
    }

    private func isWanted(_ name: String) -> Bool { names.isEmpty || names.contains(name) }

    /// One seed for each release of each line.
    static func seed(_ line: String, _ release: Int) -> UInt64 {
        // FNV-1a.
        let hash = line.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return hash &+ UInt64(release) &* 0xD134_2543_DE82_EF95
    }

    // MARK: Bad canaries

    private func errors() -> Table {
        var table = Table(
            "Canary requests until a bad canary is rolled back, median / p95",
            ["canary's error rate", "releases", "Perch", "failed users, p95"] + JudgedRelease.peerNames)
        for bad in BadCanary.errors where isWanted(bad.name) {
            let count = releases ?? bad.defaultReleases
            progress("\(bad.title): \(count) releases")
            let outcomes = (0..<count).map { bad.judge(seed: Self.seed(bad.title, $0)) }
            let cells = JudgedRelease.peerNames.indices.map { index in
                found(outcomes.map(\.peers[index]), stoppedBefore: outcomes.map(\.stoppedBefore[index + 1]))
            }
            let perch = found(outcomes.map(\.perch?.requests), stoppedBefore: outcomes.map(\.stoppedBefore[0]))
            table.add(
                [bad.title, grouped(UInt64(count)), perch, grouped(quantile(0.95, of: outcomes.map(\.perch?.failed)))]
                    + cells, goal: bad.goal.text, isMet: bad.goal.isMet(by: outcomes.map(\.perch)))
        }
        return table
    }

    /// Releases that were stopped while the canary was healthy are left out, and said.
    private func found(_ requests: [UInt64?], stoppedBefore: [Bool]) -> String {
        let valid = zip(requests, stoppedBefore).filter { !$0.1 }.map(\.0)
        let before = Proportion(requests.count - valid.count, of: requests.count)
        guard before.count > 0 else { return medianAndMost(valid) }
        return "\(medianAndMost(valid)); \(decimal(before.rate * 100)) % stopped before"
    }

    private func latency() -> Table {
        var table = Table(
            "Canary requests until a slow canary is rolled back, median / p95", ["canary", "releases", "Perch"])
        for bad in BadCanary.latency where isWanted(bad.name) {
            let count = releases ?? bad.defaultReleases
            progress("\(bad.title): \(count) releases")
            let outcomes = (0..<count).map { bad.judge(seed: Self.seed(bad.title, $0)).perch }
            table.add(
                [bad.title, grouped(UInt64(count)), medianAndMost(outcomes.map { $0?.requests })], goal: bad.goal.text,
                isMet: bad.goal.isMet(by: outcomes))
        }
        return table
    }

    // MARK: Good canaries

    private func advance() -> Table {
        var table = Table(
            "Canary requests until a step passes, median / p95 (proven good: within 0.5 points)",
            ["canary", "releases", "Perch", "passed within \(grouped(FirstStep.mostRequests)) requests"])
        for step in FirstStep.all where isWanted(step.name) {
            let count = releases ?? FirstStep.defaultReleases
            progress("\(step.title): \(count) releases")
            let passed = (0..<count).map { step.judge(seed: Self.seed(step.title, $0)) }
            let share = Proportion(passed.count { $0 != nil }, of: count)
            let isMet =
                step.medianRequests.map { goal in (quantile(0.5, of: passed) ?? .max) <= UInt64(goal) }
                ?? step.passRate.map { share.rate <= $0 } ?? true
            let goal =
                step.medianRequests.map { "median <= \($0)" }
                ?? step.passRate.map { "passed <= \(decimal($0 * 100)) %" }
            table.add(
                [step.title, grouped(UInt64(count)), medianAndMost(passed), share.text], goal: goal, isMet: isMet)
        }
        return table
    }

    private func falseAlarms() -> Table {
        var table = Table(
            "Rolled back within 24 h though the canary is no worse, % of the releases",
            ["24 h", "releases", "Perch"] + JudgedRelease.peerNames)
        for (index, day) in HarmlessDay.all().enumerated() where isWanted(day.name) {
            let count = releases ?? HarmlessDay.defaultReleases
            progress("\(day.title): \(count) releases")
            var perch = 0
            var peers = JudgedRelease.peerNames.map { _ in 0 }
            for number in 0..<count {
                let seed = Self.seed(day.twin ?? day.name, number)
                let release = HarmlessDay.all(seed: seed)[index].judge(seed: seed)
                if release.perch != nil { perch += 1 }
                for (rule, stop) in release.stops.enumerated() where stop != nil { peers[rule] += 1 }
            }
            let judged = Proportion(perch, of: count)
            table.add(
                [day.title, grouped(UInt64(count)), judged.text] + peers.map { Proportion($0, of: count).text },
                goal: day.goal.map { "<= \(decimal($0 * 100)) %" }, isMet: judged.rate <= day.goal ?? 1)
        }
        return table
    }

    private func cost() -> Table {
        var table = Table("What a look costs", ["`ReleaseTest.judge`", "looks", "CPU microseconds a look and metric"])
        guard isWanted("cost") else { return table }
        progress("cost of a look")
        let cost = JudgingCost.measure()
        table.add(
            [
                "failures and three quantiles of latency, at the third share", grouped(UInt64(cost.looks)),
                decimal(cost.microsecondsPerMetric),
            ], goal: "<= \(decimal(JudgingCost.goalMicroseconds))",
            isMet: cost.microsecondsPerMetric <= JudgingCost.goalMicroseconds)
        return table
    }
}
