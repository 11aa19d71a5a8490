// The daemon's command line. The only executable that knows concrete adapters.

import ArgumentParser

@main
struct Perchd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perchd",
        abstract: "Canary and snapshot releases for services on PostgreSQL.",
        discussion: """
            Settings come from flags, then PERCH_* variables, then the file of --config, then defaults.
            """,
        version: "0.1.0",
        subcommands: [Serve.self, RouterCommand.self, Check.self],
        defaultSubcommand: Serve.self)
}
