// One line of log and one count for every request: the route, never the query, a header or a body.

import Metrics
import HTTPTypes
import Hummingbird
import Logging

struct ObservingMiddleware: RouterMiddleware {
    let metrics: PrometheusRegistry

    init(_ metrics: PrometheusRegistry) {
        self.metrics = metrics
        metrics.describe(counter: "perch_http_requests", "Requests to the API, by route and status.")
        metrics.describe(timer: "perch_http_request_duration", "Time from a request's head to its answer's.")
    }

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let response = try await next(request, context)
        let duration = start.duration(to: .now)
        let route = context.endpointPath ?? "NotFound"
        // Any method can be written; only those of the API are told apart.
        let method = [.get, .head, .post].contains(request.method) ? request.method.rawValue : "other"
        let labels = [("route", route), ("method", method), ("status", String(response.status.code))]
        Counter(label: "perch_http_requests", dimensions: labels, factory: metrics).increment()
        Timer(
            label: "perch_http_request_duration", dimensions: [("route", route), ("method", method)], factory: metrics
        )
        .recordNanoseconds(duration.nanoseconds)
        let isProbe = route == "/healthz" || route == "/readyz" || route == "/metrics"
        context.logger.log(
            level: isProbe ? .debug : .info, "request",
            metadata: [
                "method": "\(method)", "path": "\(request.uri.path.prefix(200))", "status": "\(response.status.code)",
                "ms": "\(duration.nanoseconds / 1_000_000)", "peer": "\(context.peer.text)",
            ])
        return response
    }
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
