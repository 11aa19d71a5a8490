// Commands about what a rollback kept out of a release's data, and what is decided about it.

import ArgumentParser
import ControlModel
import Foundation
import Releases

struct Quarantine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Changes that a rollback kept out of the data, and decisions about them.",
        subcommands: [List.self, ShowChanges.self, Apply.self, Discard.self, Export.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One line a change.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @Flag(help: "Only those that a person has to decide.") var open = false
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let client = try global.client()
            var (json, list) = try await client.quarantine(release.id)
            if open {
                list.changes.removeAll { !$0.isOpen }
                json = try ControlJSON.encode(list) + "\n"
            }
            if global.isJSON { return Console.current.out(json) }
            say(quarantineText(list.changes, global.style))
        }
    }

    struct ShowChanges: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Changes with their rows side by side: before, the canary's, stable's, and in the database now.",
            discussion: "Columns in which the sides differ are marked. With --output json, apply takes it as --seen.")
        @OptionGroup var which: Selection
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let (json, list) = try await global.client().quarantine(which.release.id, which.selection, withRows: true)
            if global.isJSON { return Console.current.out(json) }
            guard !list.changes.isEmpty else { return say(quarantineText([], global.style)) }
            if let unread = list.unread {
                Console.current.err("perch: the rows as they are now are not shown: \(plain(unread))\n")
            }
            say(list.changes.map { quarantineDetail($0, global.style) }.joined(separator: [""]).map { $0 })
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Writes one side's rows to the live database, all of them or none.",
            discussion: """
                An ordinary write of Perch's role, in one transaction. Of a row that is there the columns are written in \
                which the sides differ; of an entry about one column, that one. A row that is no more what was shown is \
                refused.
                """)
        @OptionGroup var which: Selection

        @Option(
            help: ArgumentHelp(
                "Whose: before, canary or stable.",
                discussion: "Default: the canary's own writes are the canary's, transactions kept out are stable's."))
        var take: SideArgument?

        @Option(help: ArgumentHelp("Only this column; again for more.", valueName: "name")) var column: [String] = []
        @Flag(help: "Every column of the row.") var wholeRow = false
        @Flag(help: "Also what was decided before.") var again = false
        @Flag(help: "Tries all of it in the database and keeps nothing.") var dryRun = false

        @Option(
            help: ArgumentHelp(
                "Rows must still be as this output of `show --output json` has them.",
                discussion: "Default: as they are when this command begins.", valueName: "file"))
        var seen: String?

        @Option(help: "Why; kept with the decision.") var reason: String?
        @OptionGroup var global: GlobalOptions

        func validate() throws {
            try which.requireSome()
            if wholeRow, !column.isEmpty { throw ValidationError("--column and --whole-row exclude each other") }
        }

        func run() async throws {
            let client = try global.client()
            let id = which.release.id
            let shown: QuarantineList
            if let seen {
                shown = try read(seen)
            } else {
                shown = try await client.quarantine(id, which.selection, withRows: true).list
                if let unread = shown.unread {
                    throw CommandFailure(.refused, "the rows as they are now cannot be read: \(unread)", release: id)
                }
            }
            let rows = shown.changes.compactMap { line in line.now.map { ApplyRequest.Seen(id: line.id, now: $0) } }
            let request = ApplyRequest(
                items: which.selection.items, transaction: which.transaction, take: take?.rawValue, columns: column,
                wholeRow: wholeRow, again: again, dryRun: dryRun, seen: rows, reason: reason)
            let json = try await client.post(
                "/api/v1/releases/\(id)/quarantine/apply", json: try ControlJSON.encode(request), within: .minutes(5))
            if global.isJSON { return Console.current.out(json) }
            say(decisionText(try client.decoded(DecisionResult.self, json), "applied", global.style))
        }

        private func read(_ path: String) throws -> QuarantineList {
            do {
                return try ControlJSON.decode(QuarantineList.self, from: try Data(contentsOf: URL(filePath: path)))
            } catch {
                throw CommandFailure(
                    .usage, "--seen: \(path) is not what `perch quarantine show --output json` writes")
            }
        }
    }

    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Decides changes and leaves the data as it is.")
        @OptionGroup var which: Selection
        @Option(help: "Why; kept with the decision.") var reason: String?
        @OptionGroup var global: GlobalOptions

        func validate() throws { try which.requireSome() }

        func run() async throws {
            let client = try global.client()
            let request = DiscardRequest(
                items: which.selection.items, transaction: which.transaction, reason: reason)
            let json = try await client.post(
                "/api/v1/releases/\(which.release.id)/quarantine/discard", json: try ControlJSON.encode(request))
            if global.isJSON { return Console.current.out(json) }
            say(decisionText(try client.decoded(DecisionResult.self, json), "discarded", global.style))
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One JSON document a change and line, with all its rows and what was decided.")
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let list = try await global.client().quarantine(release.id).list
            for change in list.changes { Console.current.out(try ControlJSON.encode(change) + "\n") }
        }
    }

    /// Which entries.
    struct Selection: ParsableArguments {
        @Argument(help: "Like shop-42.") var release: ReleaseArgument
        @Argument(help: ArgumentHelp("Numbers, as `perch quarantine list` has them.", valueName: "item"))
        var items: [Int] = []
        @Option(help: ArgumentHelp("All of a transaction: its commit LSN or its number.", valueName: "lsn|xid"))
        var transaction: String?

        var selection: QuarantineSelection {
            QuarantineSelection(items: items.isEmpty ? nil : items, transaction: transaction)
        }

        func requireSome() throws {
            guard selection != .everything else { throw ValidationError("name items, or a --transaction") }
        }
    }
}

enum SideArgument: String, ExpressibleByArgument, CaseIterable, Sendable { case before, canary, stable }

extension ControlClient {
    fileprivate func quarantine(
        _ id: ReleaseID, _ selection: QuarantineSelection = .everything, withRows: Bool = false
    ) async throws -> (json: String, list: QuarantineList) {
        var query: [(name: String, value: String)] = withRows ? [("now", "true")] : []
        if let items = selection.items { query.append(("item", items.map { String($0) }.joined(separator: ","))) }
        if let transaction = selection.transaction { query.append(("transaction", transaction)) }
        let json = try await get("/api/v1/releases/\(id)/quarantine", query, within: .minutes(5))
        return (json, try decoded(QuarantineList.self, json))
    }
}
