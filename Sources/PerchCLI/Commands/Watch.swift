// `perch watch`: a release while it happens.

import ArgumentParser
import ControlModel
import Releases

struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows a release while it happens, until it ends.",
        discussion: """
            On a terminal the view of `perch show` is redrawn in place; otherwise, and with --plain, every event is a line; \
            with --output json every event is a JSON document. Ends with \(Outcome.ok.rawValue) when the release is \
            promoted, with \(Outcome.failed.rawValue) when it ends otherwise. A restart of perchd meanwhile is waited out.
            """)

    @Argument(help: "Like shop-42. Default: the active release, when there is just one.") var release: ReleaseArgument?
    @Flag(help: "Lines, not a screen; so it is too when NO_COLOR is set.") var plain = false
    @OptionGroup var global: GlobalOptions

    /// Between two frames.
    private static let shortestFrame = Duration.milliseconds(200)

    func run() async throws {
        let client = try global.client()
        let id: ReleaseID
        if let release { id = release.id } else { id = try await onlyActive(client) }
        let isScreen = Console.current.isTerminal && !plain && !global.isJSON && global.style.isColored
        let end = isScreen ? try await onScreen(id, client) : try await inLines(id, client)
        guard end.phase == "promoted" else { throw Ended(outcome: .failed) }
    }

    private func onScreen(_ id: ReleaseID, _ client: ControlClient) async throws -> ReleaseSummary {
        let console = Console.current
        var patience = Patience()
        var redraw = Redraw()
        while true {
            let drawn = ContinuousClock.now
            let detail = try await patience.ask { try await client.release(id) }
            let (columns, rows) = console.size()
            let lines = ReleaseView(detail: detail, style: global.style).lines
            console.out(redraw.frame(lines, columns: columns, rows: rows))
            if detail.summary.isTerminal { return detail.summary }
            let last = detail.events.last?.sequence ?? 0
            _ = try await patience.ask { try await client.events(id, after: last, wait: .seconds(1)) }
            try await Task.sleep(until: drawn + Self.shortestFrame, clock: .continuous)
        }
    }

    private func inLines(_ id: ReleaseID, _ client: ControlClient) async throws -> ReleaseSummary {
        let console = Console.current
        var patience = Patience()
        var last = 0
        while true {
            // Asked before the events: whatever happened until it ended is among those that follow.
            let detail = try await patience.ask { try await client.release(id) }
            let wait = detail.summary.isTerminal ? Span.zero : .seconds(20)
            let after = last
            let page = try await patience.ask { try await client.events(id, after: after, wait: wait) }
            for event in page.events {
                console.out(global.isJSON ? try ControlJSON.encode(event) + "\n" : eventText(event) + "\n")
            }
            last = page.last
            if detail.summary.isTerminal, page.events.isEmpty {
                if !global.isJSON { say([summaryText(detail.summary, global.style)]) }
                return detail.summary
            }
        }
    }

    private func onlyActive(_ client: ControlClient) async throws -> ReleaseID {
        let all = try client.decoded(ServiceList.self, try await client.get("/api/v1/services")).services
        let active = all.compactMap(\.active)
        guard active.count < 2 else {
            throw CommandFailure(
                .usage, "several releases are active: \(active.map(\.id.description).joined(separator: ", "))",
                hint: "name one of them")
        }
        guard let only = active.first else {
            throw CommandFailure(.notFound, "no release is active", hint: "perch releases lists those that were")
        }
        return only.id
    }
}
