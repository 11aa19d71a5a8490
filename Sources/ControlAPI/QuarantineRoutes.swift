// What a rollback kept out of the data, and decisions about it, over REST.

import ControlModel
import Hummingbird

extension ReleaseRoutes {
    /// A decision carries the rows as they were seen.
    private static let largestDecision = 16 << 20

    func addQuarantine(to api: RouterGroup<APIContext>) {
        api.get("releases/:release/quarantine") { request, context in
            let query = request.uri.queryParameters
            var selection = QuarantineSelection(items: nil, transaction: query["transaction"].map { String($0) })
            if let text = query["item"] {
                selection.items = try text.split(separator: ",").map { part throws(Problem) in
                    guard let number = Int(part) else {
                        throw Problem(.malformed, "item must be numbers with commas between them", place: "item")
                    }
                    return number
                }
            }
            let withRows = selection != .everything || query["now"] == "true"
            return try answer(
                try await control.quarantine(try releaseID(context), selection, withRows: withRows))
        }
        var wide = settings
        wide.largestCommand = Self.largestDecision
        let settings = wide
        api.post("releases/:release/quarantine/apply") { request, context in
            let id = try releaseID(context)
            let wanted = try await document(ApplyRequest.self, of: request, settings)
            return try answer(try await control.applyQuarantine(id, wanted, by: actorName(request, context)))
        }
        api.post("releases/:release/quarantine/discard") { request, context in
            let id = try releaseID(context)
            let wanted = try await document(DiscardRequest.self, of: request, settings)
            return try answer(try await control.discardQuarantine(id, wanted, by: actorName(request, context)))
        }
        api.post("releases/:release/rollback/undo") { request, context in
            let id = try releaseID(context)
            let wanted = try await document(UndoHealRequest.self, of: request, settings)
            return try answer(try await control.undoHeal(id, wanted, by: actorName(request, context)))
        }
    }
}
