// Commands about a release's data: what was kept out of it, and what was recorded.

import ArgumentParser
import ControlModel
import Releases

struct Quarantine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Changes that a rollback kept out of the data.",
        subcommands: [List.self, ShowChanges.self, Export.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One line a change.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let (json, changes) = try await fetch(release.id, try global.client())
            if global.isJSON { return Console.current.out(json) }
            say(quarantineText(changes, global.style))
        }
    }

    struct ShowChanges: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "show", abstract: "Changes with their rows.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @Option(help: "One change only.") var id: Int?
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            var (_, changes) = try await fetch(release.id, try global.client())
            if let id {
                changes = changes.filter { $0.id == id }
                guard !changes.isEmpty else {
                    throw CommandFailure(
                        .notFound, "release \(release.id) has no change \(id) in quarantine",
                        hint: "perch quarantine list \(release.id)")
                }
            }
            if global.isJSON {
                return Console.current.out(try ControlJSON.encode(QuarantineList(changes: changes)) + "\n")
            }
            guard !changes.isEmpty else { return say(quarantineText([], global.style)) }
            say(changes.map { quarantineDetail($0, global.style) }.joined(separator: [""]).map { $0 })
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One JSON document a change and line.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let (_, changes) = try await fetch(release.id, try global.client())
            for change in changes { Console.current.out(try ControlJSON.encode(change) + "\n") }
        }
    }
}

private func fetch(_ id: ReleaseID, _ client: ControlClient) async throws -> (String, [QuarantineLine]) {
    let json = try await client.get("/api/v1/releases/\(id)/quarantine", within: .minutes(5))
    return (json, try client.decoded(QuarantineList.self, json).changes)
}

struct Recording: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes recorded since the snapshot.", subcommands: [Export.self])

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One JSON document a transaction and line: commit LSN, origin, changes.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let out = Console.current.out
            try await global.client().stream("/api/v1/releases/\(release.id)/recording") { out($0) }
        }
    }
}
