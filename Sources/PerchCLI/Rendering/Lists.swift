// Lists of services and releases. Pure.

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
