// `perch plan`: what a release would need now, before it begins.

import ArgumentParser
import ControlModel
import Releases

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "How long a release takes to catch a bad canary and to prove a good one.",
        discussion: """
            Computed at the service's present traffic, step by step, by playing releases with the judge's own tests. Warns \
            when a step is shorter than its verdict needs.
            """)
    @Argument(help: "Like shop.") var service: ServiceArgument
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let client = try global.client()
        let json = try await client.get("/api/v1/services/\(service.name)/plan", within: .minutes(1))
        if global.isJSON { return Console.current.out(json) }
        say(planText(try client.decoded(ServicePlan.self, json), global.style))
    }
}
