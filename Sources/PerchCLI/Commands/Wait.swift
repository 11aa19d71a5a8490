// `perch wait`: blocks a CI job until a release is where it should be.

import ArgumentParser
import ControlModel
import Releases

struct Wait: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Waits until a release reaches a phase.",
        discussion: """
            Prints every change of phase. Ends with \(Outcome.ok.rawValue) in a phase waited for, with \
            \(Outcome.failed.rawValue) when the release ends in another one, and with \(Outcome.timedOut.rawValue) when \
            the time runs out. A restart of perchd meanwhile is waited out.
            """)

    struct Phases: ExpressibleByArgument, Sendable {
        let names: [String]
        init(names: [String]) { self.names = names }

        init?(argument: String) {
            names = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard names.allSatisfy(PhaseSign.all.contains) else { return nil }
        }

        var defaultValueDescription: String { names.joined(separator: ",") }
    }

    @Argument(help: "Like shop-42.") var release: ReleaseArgument
    @Option(name: .customLong("for"), help: "Phases, with commas: \(PhaseSign.all.joined(separator: ", ")).")
    var phases = Phases(names: ["promoted"])
    @Option(help: "How long to wait at most, like 30m.") var timeout = DurationArgument(span: .hours(4))
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let deadline = ContinuousClock.now + timeout.span.duration
        var patience = Patience()
        var seen: String?
        while true {
            let detail = try await withTimeout(deadline, seen) {
                try await patience.ask(until: deadline) { try await client.release(release.id) }
            }
            let summary = detail.summary
            if seen != summary.phase, !global.isJSON { say([summaryText(summary, global.style)]) }
            seen = summary.phase
            if phases.names.contains(summary.phase) {
                if global.isJSON { Console.current.out(try ControlJSON.encode(summary) + "\n") }
                return
            }
            if summary.isTerminal {
                throw CommandFailure(
                    .failed, "release \(summary.id) is \(plain(summary.phase)), not \(wanted)",
                    hint: detail.hasReport ? "perch report \(summary.id)" : "perch show \(summary.id)")
            }
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw timedOut(seen) }
            // A phase can change without an event of its own, so no single wait is long.
            let wait = min(Span.seconds(5), .milliseconds(Int64(left / .milliseconds(1))))
            let last = detail.events.last?.sequence ?? 0
            _ = try await withTimeout(deadline, seen) {
                try await patience.ask(until: deadline) {
                    try await client.events(release.id, after: last, wait: wait)
                }
            }
        }
    }

    private var wanted: String { phases.names.joined(separator: " or ") }

    private func timedOut(_ phase: String?) -> CommandFailure {
        CommandFailure(
            .timedOut,
            "release \(release.id) is \(phase.map(plain) ?? "not known") after \(timeout.span), not \(wanted)",
            hint: "perch show \(release.id)")
    }

    /// Not reaching perchd any more when the time is up is running out of time.
    private func withTimeout<Answer>(
        _ deadline: ContinuousClock.Instant, _ phase: String?, _ question: () async throws -> Answer
    ) async throws -> Answer {
        do {
            return try await question()
        } catch let failure as CommandFailure where failure.outcome == .unreachable && ContinuousClock.now >= deadline {
            throw timedOut(phase)
        }
    }
}
