// The root of the command line, and how its end becomes an exit code.

import ArgumentParser

struct PerchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perch",
        abstract: "Watches and steers releases: canary, promotion, rollback with the data.",
        discussion: """
            Exit codes:
            \(Outcome.allCases.map { "  \($0.rawValue)  \($0.meaning)" }.joined(separator: "\n"))

            Errors are two lines on standard error, `perch: ...` and `hint: ...`; with --output json one JSON document.
            """,
        subcommands: [
            Status.self, Releases.self, Show.self, Watch.self, Wait.self, Promote.self, Abort.self, Rollback.self,
            Report.self, Quarantine.self, Recording.self, PolicyCommand.self, Simulate.self, Release.self,
            Completions.self,
        ])

    init() {}
}

/// Runs one command line.
///
/// - Parameter arguments: without the program's name.
package func runPerch(_ arguments: [String], console: Console = .process) async -> Outcome {
    await Console.$current.withValue(console) {
        do {
            var command = try PerchCommand.parseAsRoot(arguments)
            if var waiting = command as? any AsyncParsableCommand {
                try await waiting.run()
            } else {
                try command.run()
            }
            return .ok
        } catch {
            return told(error, arguments)
        }
    }
}

/// Says why a command ended.
private func told(_ error: any Error, _ arguments: [String]) -> Outcome {
    let console = Console.current
    let failure: CommandFailure
    switch error {
    case let known as CommandFailure: failure = known
    case is CancellationError: failure = CommandFailure(.failed, "interrupted")
    case let end as Ended: return end.outcome
    default:
        // ArgumentParser's: help, or a command line it cannot read.
        guard PerchCommand.exitCode(for: error) != .success else {
            console.out(PerchCommand.fullMessage(for: error) + "\n")
            return .ok
        }
        let isUsage = PerchCommand.exitCode(for: error) == .validationFailure
        if isUsage, !wantsJSON(arguments) {
            console.err(usageText(PerchCommand.fullMessage(for: error)))
            return .usage
        }
        failure = CommandFailure(isUsage ? .usage : .failed, plain(PerchCommand.message(for: error)))
    }
    if wantsJSON(arguments) {
        console.err(failure.json)
    } else {
        let isColored =
            console.errIsTerminal && !arguments.contains("--no-color")
            && (console.environment("NO_COLOR") ?? "").isEmpty
        console.err(failure.text(Style(isColored: isColored)))
    }
    return failure.outcome
}

/// ArgumentParser's `Error: ...`, `Usage: ...` and `See ...`, with our first and last words.
private func usageText(_ message: String) -> String {
    message.split(separator: "\n").map { line in
        if line.hasPrefix("Error: ") {
            let text = line.dropFirst("Error: ".count)
            return "perch: \(text.prefix(1).lowercased())\(text.dropFirst())\n"
        }
        return line.hasPrefix("  See ") ? "hint: see \(line.dropFirst("  See ".count))\n" : "\(line)\n"
    }.joined()
}

/// Known before the command line could be parsed.
private func wantsJSON(_ arguments: [String]) -> Bool {
    arguments.contains("--output=json") || arguments.contains("-ojson")
        || zip(arguments, arguments.dropFirst()).contains { ["--output", "-o"].contains($0) && $1 == "json" }
}

/// A command that has said everything and ends with this code.
struct Ended: Error { var outcome: Outcome }

func say(_ lines: [String]) { Console.current.out(lines.joined(separator: "\n") + "\n") }
