// The report for people, at night: what happened, why, who is suspected and what to do come first. Pure.

enum ReportMarkdown {
    private static let shownRequests = 5
    private static let shownSuspects = 3
    private static let shownFrames = 10

    static func text(of report: ReportDocument) -> String {
        let sections = [
            head(report), requests(report), frames(report), suspects(report), data(report), undone(report),
            timeline(report), output(report), origin(report),
        ]
        return sections.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    private static func head(_ report: ReportDocument) -> [String] {
        var lines = ["# \(report.release): \(Markdown.prose(report.outcome))", ""]
        if report.why.isEmpty {
            lines.append("- **Why:** no verdict was reached")
        } else {
            lines += report.why.map { "- **Why:** \(Markdown.prose($0))" }
        }
        if let judgement = report.judgement { lines.append("- **Judged:** \(judged(judgement, report.release))") }
        lines.append("- \(suspicion(report))")
        lines.append("- **Exposure:** \(exposure(report.exposure))")
        lines.append("- **Data:** \(dataInOneLine(report.data))")
        lines += ["", "**What to do**", ""]
        lines += report.whatToDo.enumerated().map { "\($0.offset + 1). \(advice($0.element))" }
        return lines
    }

    private static func judged(_ judgement: ReportDocument.Judgement, _ release: String) -> String {
        "canary \(judgement.canaryBad) of \(judgement.canaryTotal), stable \(judgement.stableBad) of "
            + "\(judgement.stableTotal); evidence \(evidence(judgement.evidence)) against the canary, "
            + "\(evidence(judgement.limit)) rolls back (look \(judgement.look); `perch simulate --release \(release)` judges it again)"
    }

    private static func evidence(_ value: Double) -> String { value < 1e12 ? decimal(value) : "more than 10^12" }

    private static func suspicion(_ report: ReportDocument) -> String {
        let reason = Markdown.prose(report.attribution.reason)
        guard report.attribution.certainty != "unknown", let first = report.suspects.first else {
            return "**Commit:** not known: \(reason)"
        }
        let word = report.attribution.certainty == "certain" ? "Commit (certain)" : "Suspected commit"
        return "**\(word):** \(commit(first.commit)): \(reason)"
    }

    private static func exposure(_ exposure: ReportDocument.Exposure) -> String {
        guard let first = exposure.firstBadResponseAt else { return "no failed response of the new version was seen" }
        guard let zero = exposure.shareZeroAt, let seconds = exposure.seconds else {
            return "first bad response at \(first); share 0 was not confirmed"
        }
        return "\(decimal(seconds)) s from the first bad response (\(first)) to share 0 (\(zero))"
    }

    private static func dataInOneLine(_ data: ReportDocument.Outcome) -> String {
        let rows = data.canaryRows.total
        guard let rollback = data.rollback else {
            return rows == 0
                ? "no rows of the new version are known" : "\(counted(rows, "row")) of the new version in the data"
        }
        switch rollback.mode {
        case "keep": return "kept as it is, with \(counted(rows, "row")) of the new version"
        case "none": return "untouched: the new version wrote nothing"
        default:
            return "\(counted(rollback.canaryTransactionsKeptOut, "transaction")) of the new version taken out, "
                + "\(rollback.stableTransactionsReplayed) of stable replayed, \(counted(rollback.conflictsQuarantined, "conflict")) in "
                + "quarantine, \(counted(rollback.tablesVerified, "table")) (\(counted(rollback.rowsVerified, "row"))) verified"
        }
    }

    /// Commands in advice are written as code and stay so.
    private static func advice(_ text: String) -> String {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { index, part in
            index % 2 == 1 ? Markdown.code(String(part)) : part.isEmpty ? "" : spaced(part)
        }.joined()
    }

    /// Escaping drops the spaces around a part; between words and code they belong.
    private static func spaced(_ part: Substring) -> String {
        (part.hasPrefix(" ") ? " " : "") + Markdown.prose(String(part)) + (part.hasSuffix(" ") ? " " : "")
    }

    private static func requests(_ report: ReportDocument) -> [String] {
        let failing = report.failingRequests
        guard failing.kept > 0 else {
            return failing.notKept > 0 ? ["## Failing requests", "", "\(failing.notKept) failed; none was kept."] : []
        }
        var lines = ["## Failing requests", "", "\(failing.kept) kept, \(failing.notKept) more failed.", ""]
        lines += ["| requests | route | answers |", "|---:|---|---|"]
        lines += failing.byRoute.prefix(20).map { route in
            let statuses = route.statuses.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
                .map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            return
                "| \(route.requests) | \(Markdown.cell("\(route.method) \(route.route)")) | \(Markdown.cell(statuses)) |"
        }
        for request in distinct(failing.requests).prefix(shownRequests) {
            lines += [""] + shown(request)
        }
        return lines
    }

    /// One of each kind first: forty times the same failure tells what one tells.
    private static func distinct(_ requests: [ReportDocument.Request]) -> [ReportDocument.Request] {
        var seen: Set<String> = []
        return requests.filter { request in
            let route = ReportDocument.FailingRequests.route(of: request.target)
            return seen.insert("\(request.method) \(route) \(request.status) \(request.kind)").inserted
        }
    }

    private static func shown(_ request: ReportDocument.Request) -> [String] {
        let answer = request.status > 0 ? String(request.status) : request.kind
        var lines = [
            "### \(Markdown.code("\(request.method) \(request.target)")) → \(answer)", "",
            "\(request.at), \(decimal(request.latencyMilliseconds)) ms, instance \(Markdown.code(request.instance))"
                + (request.trace.map { ", trace \(Markdown.code($0))" } ?? ""),
        ]
        let asked = text(request.requestHeaders, request.requestBody)
        let answered = text(request.responseHeaders, request.responseBody)
        if !asked.isEmpty { lines += ["", "asked:", "", Markdown.block(asked, lines: 30)] }
        if !answered.isEmpty { lines += ["", "answered:", "", Markdown.block(answered, lines: 40)] }
        return lines
    }

    private static func text(_ headers: [ReportDocument.Header], _ body: String) -> String {
        let head = headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
        return head.isEmpty || body.isEmpty ? head + body : "\(head)\n\n\(body)"
    }

    private static func frames(_ report: ReportDocument) -> [String] {
        guard !report.frames.isEmpty else { return [] }
        var lines = ["## Where it broke", "", "| place | function | requests | in output |", "|---|---|---:|---:|"]
        lines += report.frames.prefix(shownFrames).map { frame in
            let doubt = frame.alternatives.isEmpty ? "" : " or \(frame.alternatives.joined(separator: ", "))"
            return "| \(Markdown.cell("\(frame.file):\(frame.line)\(doubt)")) | "
                + "\(frame.function.map(Markdown.cell) ?? "") | \(frame.requests) | \(frame.tracesInOutput) |"
        }
        if report.frames.count > shownFrames {
            lines += ["", "\(report.frames.count - shownFrames) more in the JSON report."]
        }
        return lines
    }

    private static func suspects(_ report: ReportDocument) -> [String] {
        let found = report.attribution
        guard !found.commits.isEmpty || !found.missing.isEmpty else { return [] }
        var lines = ["## Commits", ""]
        for suspect in report.suspects.prefix(shownSuspects) {
            lines += ["### \(commit(suspect.commit))", ""]
            if suspect.evidence.isEmpty { lines += ["No stack frame leads to it.", ""] }
            for evidence in suspect.evidence { lines += self.evidence(evidence) + [""] }
        }
        lines += ["\(found.commits.count) new with this release, newest first:", ""]
        lines += found.commits.prefix(30).map { "- \(commit($0))" }
        if found.commits.count > 30 { lines.append("- and \(found.commits.count - 30) more") }
        if !found.missing.isEmpty {
            lines += ["", "\(found.missing.count) of stable that this release lacks:", ""]
            lines += found.missing.prefix(10).map { "- \(commit($0))" }
        }
        return lines
    }

    private static func evidence(_ evidence: ReportDocument.Evidence) -> [String] {
        let touched =
            switch evidence.touched {
            case "line": "last changed the line"
            case "function": "changed the function around"
            case "file": "changed the file of"
            default: "changed, and the failures name,"
            }
        var line = "It \(touched) \(Markdown.code(evidence.place))"
        if let function = evidence.function { line += " in \(Markdown.code(function))" }
        if evidence.requests > 0 { line += ", seen in \(counted(evidence.requests, "failing request"))" }
        if let note = evidence.note { line += "; \(Markdown.prose(note))" }
        var lines = [line + "."]
        if let text = evidence.text { lines += ["", Markdown.block(text)] }
        if let diff = evidence.diff, !diff.isEmpty { lines += ["", Markdown.block(diff, language: "diff")] }
        return lines
    }

    private static func data(_ report: ReportDocument) -> [String] {
        let data = report.data
        guard data.rollback != nil || data.recording != nil || data.canaryRows.total > 0 else { return [] }
        var lines = ["## Data", ""]
        if let rollback = data.rollback, rollback.mode != "keep", rollback.mode != "none" {
            lines += [
                "- replayed: \(rollback.stableTransactionsReplayed) transactions of stable (\(rollback.changesReplayed) changes)",
                "- kept out: \(rollback.canaryTransactionsKeptOut) transactions of the new version",
                "- verified: \(rollback.tablesVerified) tables, \(rollback.rowsVerified) rows",
                rollback.mode == "heal"
                    ? "- healed in place: \(rollback.rowsHealed) rows (\(Markdown.prose(rollback.why))); no request waited"
                    : "- requests waited \(rollback.requestsHeldMilliseconds) ms for the switch",
            ]
            if let previous = rollback.previousDatabase {
                lines.append("- the data as it was: database \(Markdown.code(previous))")
            }
        } else {
            lines.append("- \(dataInOneLine(data))")
        }
        if let recording = data.recording {
            let reason = recording.reason.map { ": \(Markdown.prose($0))" } ?? ""
            lines.append(
                "- recording \(recording.state)\(reason): \(recording.stableTransactions) transactions of stable, "
                    + "\(recording.canaryTransactions) of the new version")
        }
        if !data.quarantined.isEmpty {
            let reasons = data.quarantined.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
                .map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            lines.append("- in quarantine: \(reasons)")
        }
        guard !data.canaryRows.byTable.isEmpty else { return lines }
        lines += ["", "Rows the new version wrote:", "", "| table | rows | how |", "|---|---:|---|"]
        lines += data.canaryRows.byTable.map { table in
            let how = table.operations.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(
                separator: ", ")
            return "| \(Markdown.cell(table.table)) | \(table.rows) | \(how) |"
        }
        lines += ["", "The first of them:", ""]
        lines += data.canaryRows.first.map { row in
            let values = (row.row ?? row.key).sorted { $0.key < $1.key }
                .map { "\($0.key)=\($0.value ?? "null")" }.joined(separator: " ")
            return "- \(row.at) \(Markdown.prose(row.operation)) \(Markdown.code(row.table)) \(Markdown.code(values))"
        }
        return lines
    }

    private static func undone(_ report: ReportDocument) -> [String] {
        ["## What cannot be undone", ""] + report.notUndone.map { "- \(Markdown.prose($0))" }
    }

    private static func timeline(_ report: ReportDocument) -> [String] {
        guard !report.timeline.isEmpty else { return [] }
        return ["## Timeline", ""] + report.timeline.map { "- \($0.at) \(Markdown.prose($0.text))" }
    }

    private static func output(_ report: ReportDocument) -> [String] {
        guard !report.output.isEmpty else { return [] }
        var lines = ["## Output"]
        for (instance, output) in report.output.sorted(by: { $0.key < $1.key }) {
            lines += ["", "\(Markdown.code(instance)):", "", Markdown.block(output.joined(separator: "\n"))]
        }
        return lines
    }

    private static func origin(_ report: ReportDocument) -> [String] {
        var lines = ["## Where it came from", "", "- new version: \(Markdown.code(report.canary))"]
        if let stable = report.stable { lines.append("- stable: \(Markdown.code(stable))") }
        if let build = report.build {
            lines.append("- build: \(build.url.map { Markdown.link(build.id, $0) } ?? Markdown.code(build.id))")
            if let artifact = build.artifact { lines.append("- artifact: \(Markdown.code(artifact))") }
        }
        lines += report.links.sorted { $0.key < $1.key }.map { "- \(Markdown.link($0.key, $0.value))" }
        return lines
    }

    private static func commit(_ commit: ReportDocument.Commit) -> String {
        "\(Markdown.code(String(commit.id.prefix(10)))) \(Markdown.code(commit.subject)) by \(Markdown.code(commit.author))"
    }

    /// At most two digits after the point, without those that say nothing.
    private static func decimal(_ value: Double) -> String {
        let hundredths = Int64((value * 100).rounded())
        let (whole, rest) = hundredths.magnitude.quotientAndRemainder(dividingBy: 100)
        let sign = hundredths < 0 ? "-" : ""
        if rest == 0 { return "\(sign)\(whole)" }
        return "\(sign)\(whole).\(rest % 10 == 0 ? "\(rest / 10)" : rest < 10 ? "0\(rest)" : "\(rest)")"
    }
}
