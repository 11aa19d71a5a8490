// What every command that talks to perchd understands.

import ArgumentParser
import Glibc
import Policies
import Releases

enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case text, json
}

/// How results look.
struct OutputOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "How results and errors are written.")
    var output = OutputFormat.text

    @Flag(help: "No colours; also when NO_COLOR is set or the output is not a terminal.")
    var noColor = false

    func style(isTerminal: Bool = Console.current.isTerminal) -> Style {
        let isAsked = noColor || !(Console.current.environment("NO_COLOR") ?? "").isEmpty
        return Style(isColored: isTerminal && !isAsked)
    }
}

struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where perchd answers: http://HOST:PORT, https://... or unix:///PATH.",
            discussion: "Default: PERCH_SERVER, then unix:///run/perch/perchd.sock."))
    var server: String?

    @Option(
        help: ArgumentHelp(
            "Where the token is: env:NAME or file:PATH. Not needed on the socket.", discussion: "Default: PERCH_TOKEN.")
    )
    var token: String?

    @OptionGroup var look: OutputOptions

    var style: Style { look.style() }
    var isJSON: Bool { look.output == .json }

    static let defaultServer = "unix:///run/perch/perchd.sock"

    func client() throws -> ControlClient {
        let environment = Console.current.environment
        let written = server ?? environment("PERCH_SERVER").flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultServer
        return ControlClient(server: try ServerAddress(written), token: try tokenValue(), person: person())
    }

    private func tokenValue() throws -> String? {
        if let token { return try secretValue(token, option: "--token") }
        guard let value = Console.current.environment("PERCH_TOKEN"), !value.isEmpty else { return nil }
        return value
    }
}

/// Reads what `env:NAME` or `file:PATH` points at.
func secretValue(_ text: String, option: String) throws -> String {
    let secret: Secret
    if text.hasPrefix("env:"), text.count > 4 {
        secret = .environment(String(text.dropFirst(4)))
    } else if text.hasPrefix("file:"), text.count > 5 {
        secret = .file(String(text.dropFirst(5)))
    } else {
        throw CommandFailure(
            .usage, "\(option) must be env:NAME or file:PATH",
            hint: "a secret on the command line could be read by everybody on this machine")
    }
    do {
        return try resolve(secret, environment: Console.current.environment)
    } catch {
        throw CommandFailure(.usage, "\(option): \(error.message)")
    }
}

/// Who runs this command, for perchd's record.
private func person() -> String {
    for name in ["PERCH_ACTOR", "USER", "LOGNAME"] {
        if let value = Console.current.environment(name), !value.isEmpty { return value }
    }
    guard let entry = getpwuid(getuid()) else { return "uid \(getuid())" }
    return String(cString: entry.pointee.pw_name)
}

/// A release's id as an argument.
struct ReleaseArgument: ExpressibleByArgument, Sendable {
    let id: ReleaseID
    init?(argument: String) {
        guard let id = ReleaseID(argument) else { return nil }
        self.id = id
    }
}

struct ServiceArgument: ExpressibleByArgument, Sendable {
    let name: ServiceName
    init?(argument: String) {
        guard let name = ServiceName(rawValue: argument) else { return nil }
        self.name = name
    }
}

/// `30s`, `10m`, `2h`, as policies write durations.
struct DurationArgument: ExpressibleByArgument, Sendable {
    let span: Span
    init(span: Span) { self.span = span }

    init?(argument: String) {
        let units: [(ending: String, milliseconds: Int64)] = [
            ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
        ]
        for unit in units where argument.hasSuffix(unit.ending) {
            guard let count = Int64(argument.dropLast(unit.ending.count)) else { continue }
            let (milliseconds, isTooLong) = count.multipliedReportingOverflow(by: unit.milliseconds)
            guard count > 0, !isTooLong, milliseconds <= 366 * 86_400_000 else { return nil }
            span = .milliseconds(milliseconds)
            return
        }
        return nil
    }

    var defaultValueDescription: String { span.description }
}
