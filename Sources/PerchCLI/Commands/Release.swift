// `perch release`: a trigger by hand, signed as a CI would sign it.

import ArgumentParser
import ControlModel
import Releases
import Triggers

struct Release: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts a release as a webhook does.",
        discussion:
            "Prints the release's id and URL once perchd has stored it. The same --delivery twice is one release.")

    @Argument(help: "Like shop.") var service: ServiceArgument
    @Argument(help: "A commit id, tag or branch of the service's repository.") var commit: String
    @Option(help: "The commit it replaces. Default: what runs as stable.") var previous: String?
    @Option(help: "The CI run that built it.") var buildID: String?
    @Option(name: .customLong("build-url"), help: "Where that run can be seen.") var buildURL: String?
    @Option(help: "What that run made.") var artifact: String?
    @Option(help: "NAME=URL for the report; may be repeated.") var link: [String] = []
    @Option(
        help: "What signs the trigger: env:NAME or file:PATH. Not needed on the socket of a service without secrets.")
    var secret: String?
    @Option(help: "The delivery's id. Default: a new one.") var delivery: String?
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard buildID != nil || (buildURL == nil && artifact == nil) else {
            throw ValidationError("--build-url and --artifact need --build-id")
        }
        _ = try links()
    }

    func run() async throws {
        let client = try global.client()
        let key = try secret.map { Array(try secretValue($0, option: "--secret").utf8) }
        let id = delivery ?? "cli-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        let body = try ControlJSON.encode(
            Body(
                commit: commit, previous: previous,
                build: buildID.map { Body.Build(id: $0, url: buildURL, artifact: artifact) },
                links: link.isEmpty ? nil : try links()))
        let headers = key.map { sign(body: Array(body.utf8), id: id, secret: $0, at: now()) } ?? [("webhook-id", id)]
        let json: String
        do {
            json = try await client.post(
                "/hooks/\(service.name)", json: body, headers: headers, as: "cli:\(client.person)")
        } catch var failure as CommandFailure {
            // Whether it arrived is unknown; the same id can be sent again without harm.
            if failure.outcome == .unreachable {
                failure.hint = [failure.hint, "to try again safely, add --delivery \(id)"].compactMap(\.self)
                    .joined(separator: "; ")
            }
            throw failure
        }
        if global.isJSON { return Console.current.out(json) }
        let accepted = try client.decoded(Accepted.self, json)
        say(["\(accepted.release)  \(plain(accepted.url))"])
        if accepted.duplicate { Console.current.err("perch: this delivery was known already\n") }
        if let notice = accepted.notice { Console.current.err("perch: \(plain(notice))\n") }
    }

    private func links() throws -> [String: String] {
        var links: [String: String] = [:]
        for text in link {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw ValidationError("--link must be NAME=URL, not '\(text)'")
            }
            links[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return links
    }

    /// The body of a trigger, as docs/api.md has it.
    private struct Body: Encodable {
        struct Build: Encodable {
            var id: String
            var url: String?
            var artifact: String?
        }
        var commit: String
        var previous: String?
        var build: Build?
        var links: [String: String]?
    }
}
