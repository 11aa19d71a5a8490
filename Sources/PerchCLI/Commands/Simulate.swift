// `perch simulate`: a past release, judged again by another policy.

import ArgumentParser
import ControlModel
import Policies
import Releases

struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Judges a past release again, by another policy's watch section.",
        discussion: """
            Replays what was recorded of the release, look by look, and says what would have been decided and when. Steps \
            and their times stay those that the release went through. Ends with \(Outcome.failed.rawValue) when the \
            policy would have rolled the release back.
            """)

    @Option(help: "Like shop-42.") var release: ReleaseArgument
    @Option(
        help: "A policy file, read over default.yaml in its folder. Default: the policy that the release ran under.",
        completion: .file(extensions: ["yaml", "yml"])) var policy: String?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        var request = SimulationRequest()
        if let policy {
            do {
                request.policy = PolicyFile.render(try PolicyFile.load(policy))
            } catch {
                let first = error.mistakes[0]
                throw CommandFailure(
                    .usage, "\(first.file):\(first.line):\(first.column): \(first.message)",
                    hint: "perch policy check \(policy) shows every mistake")
            }
        }
        let json = try await client.post(
            "/api/v1/releases/\(release.id)/simulate", json: try ControlJSON.encode(request), within: .minutes(5))
        let simulation = try client.decoded(Simulation.self, json)
        if global.isJSON { Console.current.out(json) } else { say(simulationText(simulation, global.style)) }
        if simulation.rolledBackAt != nil { throw Ended(outcome: .failed) }
    }
}
