// What the tests of the CLI run it with: a console that keeps what is written, and a live API over a Unix socket.

import ControlSupport
import PerchCLI
import Releases
import Synchronization

struct Run: Sendable {
    var outcome: Outcome
    var out: String
    var err: String
}

/// Keeps what is written, in order.
final class Paper: Sendable {
    private let written = Mutex("")
    var text: String { written.withLock { $0 } }
    func write(_ text: String) { written.withLock { $0 += text } }
}

/// Runs one command line in this process.
func perch(
    _ arguments: [String], environment: [String: String] = [:], isTerminal: Bool = false, paper: Paper = Paper()
) async -> Run {
    let errors = Paper()
    let console = Console(
        out: paper.write, err: errors.write, isTerminal: isTerminal, errIsTerminal: false, size: { (80, 40) },
        environment: { name in name == "USER" ? environment[name] ?? "alice" : environment[name] })
    let outcome = await runPerch(arguments, console: console)
    return Run(outcome: outcome, out: paper.text, err: errors.text)
}

extension LiveAPI {
    func perch(
        _ arguments: String..., environment: [String: String] = [:], isTerminal: Bool = false, paper: Paper = Paper()
    ) async -> Run {
        var environment = environment
        environment["PERCH_SERVER"] = environment["PERCH_SERVER"] ?? "unix://\(socketPath)"
        return await PerchCLITests.perch(arguments, environment: environment, isTerminal: isTerminal, paper: paper)
    }
}

let shop1 = ReleaseID("shop-1")!

/// A controller with the service `shop` and its release `shop-1` in its canary.
func shopControl(_ change: @Sendable (inout InMemoryControl.Held) -> Void = { _ in }) async -> InMemoryControl {
    let control = InMemoryControl()
    await control.add(samplePolicy("shop"), secrets: ["s3cret"])
    await control.hold(sampleDetail(shop1))
    await control.change(shop1, change)
    return control
}

/// Asks again and again until it is so, for ten seconds.
func eventually(_ isSo: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < deadline {
        if try await isSo() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return false
}
