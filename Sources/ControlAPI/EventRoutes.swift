// What happens to a release, as it happens: a page at a time, or as server-sent events (HTML standard, section 9.2).

import ControlModel
import HTTPTypes
import Hummingbird
import NIOCore
import Releases
import ServiceLifecycle

struct EventRoutes: Sendable {
    let control: any ControlPlane
    /// Longest wait of one page; also how often a silent stream says that it is alive.
    var longestWait: Span = .seconds(30)
    var keepAlive: Span = .seconds(15)

    func add(to api: RouterGroup<APIContext>) {
        api.get("releases/:release/events") { request, context in
            let id = try releaseID(context)
            var after = try count(request, "after", in: 0...Int.max) ?? 0
            guard request.headers[.accept]?.contains("text/event-stream") == true else {
                let wait = try count(request, "wait", in: 0...3_600) ?? 0
                let events = try await events(id, after: after, wait: min(.seconds(Int64(wait)), longestWait))
                return try answer(EventList(events: events, last: events.last?.sequence ?? after))
            }
            if let seen = request.headers[.lastEventID].flatMap({ Int($0) }), seen >= 0 { after = seen }
            // Unknown releases are refused while there is still a status to say so with.
            _ = try await control.release(id)
            return stream(id, after: after)
        }
    }

    private func stream(_ id: ReleaseID, after start: Int) -> Response {
        let routes = self
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                var last = start
                // Ends with the release, with perchd, or when the other side is gone and a write fails.
                while !Task.isShuttingDownGracefully {
                    let isOver = try await routes.control.release(id).summary.isTerminal
                    let events = try await routes.events(id, after: last, wait: isOver ? .zero : routes.keepAlive)
                    var text = ""
                    for event in events {
                        text += "id: \(event.sequence)\ndata: \(try ControlJSON.encode(event))\n\n"
                        last = event.sequence
                    }
                    if events.isEmpty { text = isOver ? "event: end\ndata: {}\n\n" : ": waiting\n\n" }
                    try await writer.write(ByteBuffer(string: text))
                    if events.isEmpty, isOver { break }
                }
                try await writer.finish(nil)
            })
    }

    /// Asks the controller, and stops waiting when perchd is asked to stop.
    private func events(_ id: ReleaseID, after: Int, wait: Span) async throws -> [EventLine] {
        do {
            return try await cancelWhenGracefulShutdown { try await control.events(id, after: after, wait: wait) }
        } catch let refusal as Refusal {
            if Task.isShuttingDownGracefully { return [] }
            throw refusal
        } catch is CancellationError where Task.isShuttingDownGracefully {
            return []
        }
    }
}
