// How a command ends: its exit code, and what it says when it did not go well.

import ControlModel
package import Releases

/// Exit codes; part of the CLI's contract.
package enum Outcome: Int32, Hashable, Sendable, CaseIterable {
    case ok = 0
    /// It did not work, or ended otherwise than waited for.
    case failed = 1
    case usage = 2
    /// perchd does not answer, or does not lead.
    case unreachable = 3
    /// perchd refuses: a conflict, or the policy.
    case refused = 4
    case notFound = 5
    case notAuthorised = 6
    case timedOut = 7

    var meaning: String {
        switch self {
        case .ok: "done"
        case .failed: "it failed, or ended otherwise than waited for"
        case .usage: "the command line is wrong"
        case .unreachable: "perchd cannot be reached, or does not lead"
        case .refused: "perchd refuses: a conflict, or the policy"
        case .notFound: "no such service, release or report"
        case .notAuthorised: "the token or the signature is missing, wrong or too weak"
        case .timedOut: "the time given ran out"
        }
    }

    /// Of an answer's status.
    init(status: Int) {
        self =
            switch status {
            case 401, 403: .notAuthorised
            case 404: .notFound
            case 400, 409, 413, 422, 429: .refused
            case 502, 503, 504: .unreachable
            default: .failed
            }
    }
}

package struct CommandFailure: Error, Hashable, Sendable {
    package var outcome: Outcome
    /// Lower case, no full stop.
    package var message: String
    package var hint: String?
    /// The release in the way.
    package var release: ReleaseID?

    init(_ outcome: Outcome, _ message: String, hint: String? = nil, release: ReleaseID? = nil) {
        self.outcome = outcome
        self.message = message
        self.hint = hint
        self.release = release
    }

    init(_ problem: Problem) {
        outcome = Outcome(status: problem.status)
        message = problem.place.map { "\(problem.detail) (at \($0))" } ?? problem.detail
        hint = problem.hint
        release = problem.release
    }

    /// Two lines for people.
    func text(_ style: Style) -> String {
        var text = style.red("perch:") + " \(plain(message))\n"
        if let hint { text += style.dim("hint:") + " \(plain(hint))\n" }
        return text
    }

    /// One line for programs.
    var json: String {
        struct Body: Encodable {
            var exitCode: Int32
            var message: String
            var hint: String?
            var release: ReleaseID?
        }
        struct Document: Encodable { var error: Body }
        let body = Body(exitCode: outcome.rawValue, message: message, hint: hint, release: release)
        return ((try? ControlJSON.encode(Document(error: body))) ?? "{}") + "\n"
    }
}
