// From an incident and what was found to the report. Pure; every value from outside passes the redaction here.

import Ports
import Releases
import Traffic

extension ReportDocument {
    private static let firstRows = 5
    private static let outputLines = 40

    init(_ incident: Incident, _ found: Attribution) {
        let redaction = Redaction(
            headers: incident.policy.report.redactHeaders, fields: incident.policy.report.redactFields)
        let clean = { (text: String) in redaction.text(text) }
        release = incident.release.description
        service = incident.policy.service.rawValue
        outcome = clean(incident.outcome)
        why = incident.why.filter { !$0.isEmpty }.map(clean)
        judgement = incident.judgement.map(Judgement.init)
        stable = incident.stable?.rawValue
        canary = incident.canary.rawValue
        build = incident.build.map { Build(id: $0.id, url: $0.url.map(clean), artifact: $0.artifact.map(clean)) }
        links = incident.links.mapValues(clean)
        exposure = Exposure(incident)
        failingRequests = FailingRequests(incident.samples, redaction)
        frames = found.frames.map(Frame.init)
        attribution = Found(found)
        suspects = found.suspects.map { suspect in
            SuspectCommit(commit: Commit(suspect.commit), evidence: suspect.clues.map { Evidence($0, redaction) })
        }
        data = Outcome(incident, redaction, firstRows: Self.firstRows)
        notUndone = Self.notUndone(incident)
        whatToDo = Self.whatToDo(incident, found)
        timeline = incident.timeline.map { Moment(at: $0.at.iso8601, text: clean($0.text)) }
        output = incident.output.filter { !$0.value.isEmpty }.mapValues { lines in
            // As one text, so that a value which begins on one line and ends on another goes as a whole.
            clean(lines.suffix(Self.outputLines).joined(separator: "\n")).split(
                separator: "\n", omittingEmptySubsequences: false
            ).map(String.init)
        }
    }

    private static func notUndone(_ incident: Incident) -> [String] {
        var kept = [
            "mail, messages and notifications the new version sent",
            "payments and other calls it made to other services",
            "messages it put on queues, files it wrote, caches it filled",
            "what users read: answers it gave cannot be taken back",
        ]
        kept += incident.rewind?.notUndone ?? []
        if incident.rewind?.mode == "keep" { kept.append("the rows it wrote: the policy keeps the data as it is") }
        return kept
    }

    private static func whatToDo(_ incident: Incident, _ found: Attribution) -> [String] {
        var steps = incident.advice
        let id = incident.release
        if steps.isEmpty, incident.shareZeroAt != nil, let stable = incident.stable {
            steps.append("nothing is needed to keep serving: \(stable.short) has all of the traffic")
        }
        switch found.certainty {
        case .certain, .suspected:
            if let commit = found.suspects.first?.commit {
                steps.append("fix or revert \(commit.id.short), then release the new commit")
            }
        case .unknown:
            steps.append(
                "look at the failing requests and the output below; reproduce with `git bisect` if they do not tell")
        }
        let conflicts = incident.quarantine.filter { $0.origin == .stable }.count
        if conflicts > 0 {
            steps.append(
                "decide on \(counted(conflicts, "change")) of stable in quarantine, which real users made: `perch quarantine list \(id)`"
            )
        }
        let canary = incident.quarantine.count - conflicts
        if canary > 0 {
            steps.append(
                "see whether users miss any of \(counted(canary, "change")) of the new version: `perch quarantine list \(id)`"
            )
        }
        return steps
    }
}

/// `1 change`, `2 changes`
func counted(_ count: some BinaryInteger, _ noun: String) -> String {
    count == 1 ? "1 \(noun)" : "\(count) \(noun)s"
}

extension ReportDocument.Exposure {
    init(_ incident: Incident) {
        let first =
            incident.firstBadResponse
            ?? incident.samples.firstFailureAt.map { Instant(millisecondsSince1970: $0) }
        firstBadResponseAt = first?.iso8601
        shareZeroAt = incident.shareZeroAt?.iso8601
        if let first, let zero = incident.shareZeroAt {
            seconds = Double(zero.since(first).milliseconds) / 1_000
        }
    }
}

extension ReportDocument.FailingRequests {
    init(_ report: SampleReport, _ redaction: Redaction) {
        kept = report.samples.count
        notKept = report.dropped
        requests = report.samples.map { .init($0, redaction) }
        struct Key: Hashable {
            var method: String
            var route: String
        }
        byRoute = Dictionary(grouping: report.samples) { sample in
            Key(method: sample.method, route: redaction.text(Self.route(of: sample.target)))
        }.map { key, samples in
            ReportDocument.Route(
                method: key.method, route: key.route, requests: samples.count,
                statuses: samples.reduce(into: [:]) { $0[Self.status(of: $1), default: 0] += 1 })
        }.sorted { ($1.requests, $0.route, $0.method) < ($0.requests, $1.route, $1.method) }
    }

    /// `/orders/4711/lines?x=1` -> `/orders/:id/lines`
    static func route(of target: String) -> String {
        let path = target.prefix { $0 != "?" && $0 != "#" }
        return path.split(separator: "/", omittingEmptySubsequences: false).map { part -> String in
            let isNumber = part.allSatisfy { $0.isASCII && $0.isNumber }
            let isID =
                part.utf8.count >= 8 && part.contains(where: \.isNumber)
                && part.allSatisfy { $0.isASCII && $0.isHexDigit || $0 == "-" }
            return !part.isEmpty && (isNumber || isID) ? ":id" : String(part)
        }.joined(separator: "/")
    }

    private static func status(of sample: FailureSample) -> String {
        switch sample.kind {
        case .status: String(sample.status)
        case .connectFailure: "connect failure"
        case .reset: "reset"
        case .timeout: "timeout"
        }
    }
}

extension ReportDocument.Request {
    init(_ sample: FailureSample, _ redaction: Redaction) {
        let headers = { (headers: [FailureSample.Header]) in
            headers.map { ReportDocument.Header(name: $0.name, value: redaction.header($0.name, $0.value)) }
        }
        self.init(
            at: Instant(millisecondsSince1970: sample.at).iso8601, instance: sample.instance,
            kind: sample.kind.rawValue, method: sample.method, target: redaction.text(sample.target),
            status: sample.status, latencyMilliseconds: Double(sample.latencyMicroseconds) / 1_000, trace: sample.trace,
            requestHeaders: headers(sample.requestHeaders), requestBody: redaction.text(sample.requestBody),
            responseHeaders: headers(sample.responseHeaders), responseBody: redaction.text(sample.responseBody))
    }
}

extension ReportDocument.Frame {
    init(_ frame: FoundFrame) {
        self.init(
            language: frame.format.rawValue, file: frame.file, line: frame.line, function: frame.function,
            depth: frame.depth, requests: frame.requests, tracesInOutput: frame.traces, alternatives: frame.alternatives
        )
    }
}

extension ReportDocument.Found {
    init(_ found: Attribution) {
        self.init(
            certainty: found.certainty.rawValue, reason: found.reason,
            commits: found.commits.map(ReportDocument.Commit.init),
            missing: found.missing.map(ReportDocument.Commit.init))
    }
}

extension ReportDocument.Commit {
    init(_ commit: CommitSummary) {
        self.init(
            id: commit.id.rawValue, author: commit.author, subject: commit.subject,
            committedAt: Instant(millisecondsSince1970: commit.committedAt).iso8601)
    }
}

extension ReportDocument.Evidence {
    init(_ clue: Clue, _ redaction: Redaction) {
        self.init(
            touched: clue.nearness.word, place: clue.frame?.place ?? clue.file, function: clue.frame?.function,
            text: clue.text, diff: clue.hunk.map(redaction.text), requests: clue.frame?.requests ?? 0, note: clue.note)
    }
}

extension ReportDocument.Outcome {
    init(_ incident: Incident, _ redaction: Redaction, firstRows: Int) {
        rollback = incident.rewind.map { rewind in
            ReportDocument.Rollback(
                mode: rewind.mode, why: redaction.text(rewind.why), rowsHealed: rewind.rowsHealed,
                stableTransactionsReplayed: rewind.stableTransactionsReplayed,
                changesReplayed: rewind.changesReplayed, canaryTransactionsKeptOut: rewind.canaryTransactionsKeptOut,
                conflictsQuarantined: rewind.conflictsQuarantined, tablesVerified: rewind.tablesVerified,
                rowsVerified: rewind.rowsVerified, requestsHeldMilliseconds: rewind.heldMilliseconds,
                previousDatabase: rewind.previousDatabase.isEmpty ? nil : rewind.previousDatabase)
        }
        recording = incident.recording.map { recording in
            ReportDocument.Recording(
                state: recording.state.rawValue, reason: recording.reason.map(redaction.text),
                stableTransactions: recording.stableTransactions, canaryTransactions: recording.canaryTransactions,
                canaryRows: recording.canaryRows)
        }
        quarantined = incident.quarantine.reduce(into: [:]) { $0[$1.reason.rawValue, default: 0] += 1 }
        let written = incident.quarantine.filter { $0.origin == .canary }
        canaryRows = ReportDocument.CanaryRows(
            total: max(written.count, incident.recording?.canaryRows ?? 0),
            byTable: Dictionary(grouping: written, by: \.table).map { table, changes in
                ReportDocument.TableCount(
                    table: table, rows: changes.count,
                    operations: changes.reduce(into: [:]) { $0[$1.operation, default: 0] += 1 })
            }.sorted { ($1.rows, $0.table) < ($0.rows, $1.table) },
            first: written.prefix(firstRows).map { ReportDocument.Row($0, redaction) })
    }
}

extension ReportDocument.Row {
    init(_ change: QuarantinedChange, _ redaction: Redaction) {
        let clean = { (values: [String: String?]) in
            Dictionary(uniqueKeysWithValues: values.map { ($0.key, redaction.value($0.value, of: $0.key)) })
        }
        self.init(
            table: change.table, operation: change.operation, key: clean(change.key), row: change.row.map(clean),
            at: Instant(millisecondsSince1970: change.committedAt).iso8601)
    }
}

extension ReportDocument.Judgement {
    fileprivate init(_ inputs: VerdictInputs) {
        self.init(
            stableBad: inputs.stable.bad, stableTotal: inputs.stable.total, canaryBad: inputs.canary.bad,
            canaryTotal: inputs.canary.total, evidence: inputs.wealth, limit: inputs.limit, metric: inputs.metric,
            look: inputs.look)
    }
}
