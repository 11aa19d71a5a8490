// `perch policy`: checking files without a daemon, and what the daemon has in force.

import ArgumentParser
import ControlModel
import Policies
import Releases

struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Policy files.", subcommands: [Check.self, ShowPolicy.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks files, without a daemon; every mistake with its line.",
            discussion: """
                A file is read over default.yaml in its folder; default.yaml itself can be checked too. \
                Ends with \(Outcome.failed.rawValue) when there are mistakes.
                """)
        @Argument(help: "Policy files.", completion: .file(extensions: ["yaml", "yml"])) var files: [String]
        @OptionGroup var look: OutputOptions

        func run() throws {
            let mistakes = files.flatMap(check)
            if look.output == .json {
                struct Document: Encodable { var mistakes: [PolicyMistake] }
                Console.current.out(try ControlJSON.encode(Document(mistakes: mistakes)) + "\n")
            } else {
                let style = look.style(isTerminal: Console.current.errIsTerminal)
                for mistake in mistakes { Console.current.err(text(mistake, style)) }
            }
            guard mistakes.isEmpty else { throw Ended(outcome: .failed) }
            if look.output == .text { say(["\(counted(files.count, "policy file")) without a mistake"]) }
        }

        private func check(_ file: String) -> [PolicyMistake] {
            if file.split(separator: "/").last.map(String.init) == PolicyFile.defaultsName {
                return PolicyFile.check(defaults: file)
            }
            do {
                _ = try PolicyFile.load(file)
                return []
            } catch {
                return error.mistakes
            }
        }

        private func text(_ mistake: PolicyMistake, _ style: Style) -> String {
            let place = "\(mistake.file):\(mistake.line):\(mistake.column):"
            var text = "\(style.bold(plain(place))) \(plain(mistake.message))\n"
            if let hint = mistake.hint { text += "\(style.dim("hint:")) \(plain(hint))\n" }
            return text
        }
    }

    struct ShowPolicy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "The policy in force, with every default, as YAML.")
        @Argument(help: "Like shop.") var service: ServiceArgument
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let text = try await global.client().get("/api/v1/services/\(service.name)/policy")
            guard global.isJSON else { return Console.current.out(text) }
            struct Document: Encodable { var policy: String }
            Console.current.out(try ControlJSON.encode(Document(policy: text)) + "\n")
        }
    }
}
