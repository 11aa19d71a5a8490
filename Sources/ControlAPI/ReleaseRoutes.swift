// Releases and services over REST.

import ControlModel
import HTTPTypes
import Hummingbird
import NIOCore
import Releases

struct ReleaseRoutes: Sendable {
    let control: any ControlPlane
    let settings: APISettings

    func add(to api: RouterGroup<APIContext>) {
        addServices(to: api)
        addReleases(to: api)
        addCommands(to: api)
        addQuarantine(to: api)
    }

    private func addServices(to api: RouterGroup<APIContext>) {
        api.get("services") { _, _ in try answer(ServiceList(services: try await control.services())) }
        api.get("services/:service") { _, context in
            try answer(try await control.status(of: try serviceName(context)))
        }
        api.get("services/:service/policy") { _, context in
            text(try await control.policyText(of: try serviceName(context)), type: "application/yaml")
        }
        api.get("services/:service/plan") { _, context in
            try answer(try await control.plan(of: try serviceName(context)))
        }
        api.post("services/:service/rollback") { request, context in
            let service = try serviceName(context)
            let wanted = try await document(RollbackRequest.self, of: request, settings)
            return try answer(try await control.rollback(service, wanted, by: actorName(request, context)))
        }
    }

    private func addReleases(to api: RouterGroup<APIContext>) {
        api.get("releases") { request, _ in
            let limit = try count(request, "limit", in: 1...500) ?? 20
            var service: ServiceName?
            if let name = request.uri.queryParameters["service"] {
                service = ServiceName(rawValue: String(name))
                if service == nil { throw Problem(.malformed, "service must be a service's name", place: "service") }
            }
            return try answer(ReleaseList(releases: try await control.releases(service: service, limit: limit)))
        }
        api.get("releases/:release") { _, context in try answer(try await control.release(try releaseID(context))) }
        api.get("releases/:release/report") { request, context in
            let format = request.uri.queryParameters["format"].map { String($0) } ?? "json"
            guard format == "json" || format == "markdown" else {
                throw Problem(.malformed, "format must be json or markdown", place: "format")
            }
            let report = try await control.report(try releaseID(context), format: format)
            return text(report, type: format == "json" ? "application/json" : "text/markdown; charset=utf-8")
        }
        api.get("releases/:release/recording") { _, context in
            try await recording(of: try releaseID(context))
        }
    }

    private func addCommands(to api: RouterGroup<APIContext>) {
        api.post("releases/:release/simulate") { request, context in
            let id = try releaseID(context)
            let wanted = try await document(SimulationRequest.self, of: request, settings)
            return try answer(try await control.simulate(id, wanted))
        }
        api.post("releases/:release/promote") { request, context in
            try answer(try await control.promote(try releaseID(context), by: actorName(request, context)))
        }
        api.post("releases/:release/abort") { request, context in
            let id = try releaseID(context)
            let wanted = try await document(AbortRequest.self, of: request, settings)
            return try answer(
                try await control.abort(id, by: actorName(request, context), reason: wanted.reason))
        }
    }

    /// JSON lines, as the controller reads them. A failure on the way cuts the connection: an answer that ends well is whole.
    private func recording(of id: ReleaseID) async throws -> Response {
        // Whether there is a recording shows at its first line, before anything of the answer is sent.
        struct Begun: Error {}
        let begun = Flag()
        do {
            try await control.exportRecording(id) { _ in
                begun.raise()
                throw Begun()
            }
        } catch  where begun.isRaised {}
        let control = control
        return Response(
            status: .ok, headers: [.contentType: "application/jsonl", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                let lines = LineWriter(writer)
                try await control.exportRecording(id) { line in try await lines.write(line) }
                try await lines.finish()
            })
    }
}

func serviceName(_ context: APIContext) throws -> ServiceName {
    let text = try context.parameters.require("service")
    guard let service = ServiceName(rawValue: text) else {
        throw Problem(.notFound, "no service can be called '\(text.prefix(60))'")
    }
    return service
}

func releaseID(_ context: APIContext) throws -> ReleaseID {
    let text = try context.parameters.require("release")
    guard let id = ReleaseID(text) else {
        throw Problem(.notFound, "'\(text.prefix(60))' is no release", hint: "releases are called like shop-42")
    }
    return id
}

/// A number in the query; nil when it is not there.
func count(_ request: Request, _ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let text = request.uri.queryParameters[name[...]] else { return nil }
    guard let number = Int(text), range.contains(number) else {
        throw Problem(
            .malformed, "\(name) must be a number from \(range.lowerBound) to \(range.upperBound)", place: name)
    }
    return number
}
