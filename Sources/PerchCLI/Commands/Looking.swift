// Commands that look once: status, releases, show, report.

import ArgumentParser
import ControlModel
import Releases

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What runs, and what is going on.")
    @Argument(help: "One service only.") var service: ServiceArgument?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let json = try await client.get("/api/v1/services" + (service.map { "/\($0.name)" } ?? ""))
        if global.isJSON { return Console.current.out(json) }
        if service != nil {
            say(serviceText(try client.decoded(ServiceStatus.self, json), global.style))
        } else {
            say(servicesText(try client.decoded(ServiceList.self, json).services, global.style))
        }
    }
}

struct Releases: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Releases, newest first.")
    @Option(help: "Of this service only.") var service: ServiceArgument?
    @Option(help: "At most so many, 1 to 500.") var limit = 20
    @OptionGroup var global: GlobalOptions

    func validate() throws {
        guard (1...500).contains(limit) else { throw ValidationError("--limit must be from 1 to 500") }
    }

    func run() async throws {
        let client = try global.client()
        var query = [(name: "limit", value: String(limit))]
        if let service { query.append(("service", service.name.rawValue)) }
        let json = try await client.get("/api/v1/releases", query)
        if global.isJSON { return Console.current.out(json) }
        say(releasesText(try client.decoded(ReleaseList.self, json).releases, global.style))
    }
}

struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Everything about one release.")
    @Argument(help: "Like shop-42.") var release: ReleaseArgument
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let json = try await client.get("/api/v1/releases/\(release.id)")
        if global.isJSON { return Console.current.out(json) }
        say(ReleaseView(detail: try client.decoded(ReleaseDetail.self, json), style: global.style).lines)
    }
}

struct Report: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Why a release was rolled back or halted: numbers, requests, commits, data.")

    enum Format: String, ExpressibleByArgument, CaseIterable, Sendable { case markdown, json }

    @Argument(help: "Like shop-42.") var release: ReleaseArgument
    @Option(help: "Default: markdown, or json with --output json.") var format: Format?
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let format = format ?? (global.isJSON ? .json : .markdown)
        let report = try await global.client().get(
            "/api/v1/releases/\(release.id)/report", [("format", format.rawValue)])
        let text = Console.current.isTerminal && format == .markdown ? plainLines(report) : report
        Console.current.out(text.hasSuffix("\n") ? text : text + "\n")
    }
}
