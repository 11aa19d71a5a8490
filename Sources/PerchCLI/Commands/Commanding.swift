// Commands that change what a release does: promote, abort, rollback.

import ArgumentParser
import ControlModel
import Releases

struct Promote: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Goes on: ends an approval step, or the current share step early.")
    @Argument(help: "Like shop-42.") var release: ReleaseArgument
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        try show(try await client.post("/api/v1/releases/\(release.id)/promote", json: "{}"), client, global)
    }
}

struct Abort: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Takes the canary away, and its writes as the policy says.")
    @Argument(help: "Like shop-42.") var release: ReleaseArgument
    @Option(help: "Why; kept with the release.") var reason: String?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let body = try ControlJSON.encode(AbortRequest(reason: reason))
        try show(try await client.post("/api/v1/releases/\(release.id)/abort", json: body), client, global)
    }
}

struct Rollback: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Rolls back a service's active release, or its last one while the undo window is open.",
        subcommands: [RollbackService.self, RollbackUndo.self], defaultSubcommand: RollbackService.self)
}

struct RollbackUndo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undo", abstract: "Puts back the rows that a rollback healed in place.",
        discussion: "All of them in one transaction, or nothing. After a switch the database as it was is kept instead."
    )
    @Argument(help: "Like shop-42.") var release: ReleaseArgument
    @Flag(help: "Rows that somebody wrote since stay as they are.") var skipChanged = false
    @Flag(help: "Say what would be done.") var dryRun = false
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let body = try ControlJSON.encode(UndoHealRequest(skipChanged: skipChanged, dryRun: dryRun))
        let json = try await client.post("/api/v1/releases/\(release.id)/rollback/undo", json: body)
        if global.isJSON { return Console.current.out(json) }
        let result = try client.decoded(UndoHealResult.self, json)
        let verb = result.dryRun ? "would be put back" : "put back"
        say(
            ["\(counted(result.rows, "row")) \(verb)"]
                + result.changedSince.map { "written since it was healed, left as it is: \(plain($0))" })
    }
}

struct RollbackService: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service",
        abstract: "Rolls back a service's active release, or its last one while the undo window is open.")

    enum DataChoice: EnumerableFlag {
        case data, keepData

        static func help(for value: Self) -> ArgumentHelp? {
            switch value {
            case .data: "Take the release's writes out of the data. Default: as the policy says."
            case .keepData: "Leave the data as it is."
            }
        }
    }

    @Argument(help: "Like shop.") var service: ServiceArgument
    @Flag(exclusivity: .exclusive) var data: DataChoice?
    @Option(help: "Why; kept with the release.") var reason: String
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let body = try ControlJSON.encode(RollbackRequest(data: data.map { $0 == .data }, reason: reason))
        try show(try await client.post("/api/v1/services/\(service.name)/rollback", json: body), client, global)
    }
}

private func show(_ json: String, _ client: ControlClient, _ global: GlobalOptions) throws {
    if global.isJSON { return Console.current.out(json) }
    say([summaryText(try client.decoded(ReleaseSummary.self, json), global.style)])
}
