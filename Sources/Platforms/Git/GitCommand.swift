// git as a child process: with a deadline, no terminal, and no environment that points it elsewhere.

import Glibc
import Ports
import Subprocess
import SystemPackage

struct GitCommand: Sendable {
    /// The repository; nil for commands that need none.
    var repository: String?
    var arguments: [String]
    var deadline: Duration

    /// More than this from one command is an error, not a memory problem.
    static let outputLimit = 64 << 20

    private enum Outcome: Sendable {
        case ended(status: TerminationStatus, output: String, complaint: String)
        case notRun(String)
        case late
    }

    /// What a command wrote, whatever its exit status.
    struct Answer: Sendable {
        var isSuccess: Bool
        var output: String
        /// The last lines of standard error, without passwords.
        var complaint: String
    }

    /// - Throws: when git cannot be run, or does not end before the deadline; not for its exit status.
    func answer() async throws(Failure) -> Answer {
        let outcome = await withTaskGroup(of: Outcome.self) { group in
            group.addTask { await launch() }
            group.addTask {
                try? await Task.sleep(for: deadline)
                return .late
            }
            let first = await group.next() ?? .late
            // Ends git's whole session when it is the one still running.
            group.cancelAll()
            return first
        }
        switch outcome {
        case .ended(let status, let output, let complaint):
            let lines = complaint.split(separator: "\n").suffix(3).joined(separator: "; ")
            return Answer(
                isSuccess: status.isSuccess, output: output, complaint: Redaction.withoutURLPasswords(lines))
        case .notRun(let reason):
            throw Failure("cannot run git \(name): \(reason)", hint: "install git and check that it is in PATH")
        case .late where Task.isCancelled:
            throw Failure("git \(name) was cancelled", isTransient: true)
        case .late:
            throw Failure("git \(name) did not end within \(deadline)", isTransient: true)
        }
    }

    /// What a command that must succeed wrote.
    func output() async throws(Failure) -> String {
        let answer = try await answer()
        guard answer.isSuccess else { throw Failure("git \(name) failed: \(answer.complaint)") }
        return answer.output
    }

    private var name: String { arguments.first ?? "" }

    private func launch() async -> Outcome {
        var options = PlatformOptions()
        // No terminal, so that neither git nor ssh can wait for somebody to type a password.
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: .seconds(2)),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1)),
        ]
        let place = repository.map { ["-C", $0] } ?? []
        do {
            let result = try await Subprocess.run(
                .name("git"), arguments: Arguments(place + Self.settings + arguments),
                environment: .inherit.updating(Self.environment), platformOptions: options,
                output: .string(limit: Self.outputLimit), error: .string(limit: 1 << 20))
            return .ended(
                status: result.terminationStatus, output: result.standardOutput, complaint: result.standardError)
        } catch {
            return .notRun("\(error)")
        }
    }

    /// Hooks of a template or of the user's settings are not run, paths mean themselves, output is for programs.
    private static let settings = [
        "--literal-pathspecs", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false", "-c", "color.ui=false",
        "-c", "advice.detachedHead=false", "-c", "log.showSignature=false", "-c", "gc.auto=0",
        // Whoever wrote the policy named the repository; that another user owns it is no surprise.
        "-c", "safe.directory=*",
    ]

    /// What `git rev-parse --local-env-vars` lists would send git to another repository.
    private static let environment: [Environment.Key: String?] = {
        var changes: [Environment.Key: String?] = [
            "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh", "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        ]
        let local: [Environment.Key] = [
            "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE",
            "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS",
            "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE",
            "GIT_EXTERNAL_DIFF",
        ]
        for key in local { changes[key] = .some(nil) }
        return changes
    }()
}
