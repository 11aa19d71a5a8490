// `perch completions`: what shells need to complete command lines.

import ArgumentParser

struct Completions: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints a completion script.",
        discussion: """
            bash: perch completions bash > /etc/bash_completion.d/perch
            zsh:  perch completions zsh > "${fpath[1]}/_perch"
            fish: perch completions fish > ~/.config/fish/completions/perch.fish
            """)

    enum Shell: String, ExpressibleByArgument, CaseIterable, Sendable { case bash, zsh, fish }

    @Argument(help: "The shell.") var shell: Shell

    func run() {
        let kind: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        Console.current.out(PerchCommand.completionScript(for: kind) + "\n")
    }
}
