// Lists of services, releases and quarantined changes. Pure.

import ControlModel
import Releases

func servicesText(_ services: [ServiceStatus], _ style: Style) -> [String] {
    guard !services.isEmpty else { return ["no services"] }
    let rows = services.map { status in
        let shown = status.active ?? status.last
        return [
            status.service.rawValue, short(status.stable), shown?.id.description ?? "-",
            shown.map { PhaseSign.text($0.phase, style) } ?? "-", status.active?.share.description ?? "-",
            status.queued.isEmpty ? "-" : String(status.queued.count), shown.map { plain($0.message) } ?? "",
        ]
    }
    return table([["SERVICE", "STABLE", "RELEASE", "STATUS", "SHARE", "QUEUED", "MESSAGE"]] + rows)
}

func serviceText(_ status: ServiceStatus, _ style: Style) -> [String] {
    var pairs: [(name: String, value: String)] = [
        ("Service", style.bold(status.service.rawValue)), ("Stable", short(status.stable)),
        ("Listens", plain(status.listen)),
    ]
    func line(_ release: ReleaseSummary) -> String {
        "\(release.id)  \(PhaseSign.text(release.phase, style))  \(release.commit.short)  \(plain(release.message))"
    }
    pairs.append(("Active", status.active.map(line) ?? "none"))
    for (index, release) in status.queued.enumerated() { pairs.append((index == 0 ? "Queued" : "", line(release))) }
    if let last = status.last { pairs.append(("Last", line(last))) }
    return keyValues(pairs)
}

func releasesText(_ releases: [ReleaseSummary], _ style: Style) -> [String] {
    guard !releases.isEmpty else { return ["no releases"] }
    let rows = releases.map { release in
        [
            release.id.description, release.commit.short, PhaseSign.text(release.phase, style),
            release.share.description, plain(release.acceptedAt), plain(release.message),
        ]
    }
    return table([["RELEASE", "COMMIT", "STATUS", "SHARE", "ACCEPTED", "MESSAGE"]] + rows)
}

/// What a command did, in a line.
func summaryText(_ release: ReleaseSummary, _ style: Style) -> String {
    "\(release.id)  \(PhaseSign.text(release.phase, style))  \(plain(release.message))"
}

func quarantineText(_ changes: [QuarantineLine], _ style: Style) -> [String] {
    guard !changes.isEmpty else { return ["nothing in quarantine"] }
    let rows = changes.map { change in
        [
            String(change.id), plain(change.reason), plain(change.origin), plain(change.operation),
            plain(change.table), columns(change.key), plain(change.commitLSN),
        ]
    }
    return table(
        [["ID", "REASON", "ORIGIN", "CHANGE", "TABLE", "KEY", "COMMITTED AT"]] + rows, [.right])
}

/// One change with its row.
func quarantineDetail(_ change: QuarantineLine, _ style: Style) -> [String] {
    var pairs: [(name: String, value: String)] = [
        ("Change", style.bold(String(change.id)) + "  \(plain(change.operation)) of \(plain(change.table))"),
        ("Reason", "\(plain(change.reason)): \(plain(change.detail))"), ("Origin", plain(change.origin)),
        ("Committed", "\(plain(change.committedAt)) at \(plain(change.commitLSN))"), ("Key", columns(change.key)),
    ]
    for (index, column) in (change.row ?? [:]).sorted(by: { $0.key < $1.key }).enumerated() {
        pairs.append((index == 0 ? "Row" : "", "\(plain(column.key)) = \(column.value.map(plain) ?? "null")"))
    }
    return keyValues(pairs)
}

private func columns(_ values: [String: String?]) -> String {
    values.sorted { $0.key < $1.key }.map { "\(plain($0.key))=\($0.value.map(plain) ?? "null")" }
        .joined(separator: ",")
}
