// Commands about what was recorded of a release's data.

import ArgumentParser
import ControlModel
import Releases

struct Recording: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes recorded since the snapshot.", subcommands: [Export.self])

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "JSON lines: what is merged and how, the tables, then every recorded change in commit order.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let out = Console.current.out
            try await global.client().stream("/api/v1/releases/\(release.id)/recording") { out($0) }
        }
    }
}
