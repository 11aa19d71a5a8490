// What the control socket answers. Pure.

import Foundation
import NIOHTTP1
import Traffic

/// Body of `POST /let-go`.
struct LetGoRequest: Hashable, Sendable, Codable {
    var name: String
}

/// A status and a body, JSON unless it says otherwise.
struct ControlAnswer: Sendable {
    var status: HTTPResponseStatus
    var body: [UInt8]
    var contentType = "application/json"

    static func json(_ status: HTTPResponseStatus, _ value: some Encodable) -> ControlAnswer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return ControlAnswer(status: status, body: Array(try encoder.encode(value)))
        } catch {
            return .problem(.internalServerError, "\(error)")
        }
    }

    /// RFC 9457.
    static func problem(_ status: HTTPResponseStatus, _ detail: String) -> ControlAnswer {
        struct Problem: Encodable {
            var title: String
            var status: UInt
            var detail: String
        }
        var answer = json(status, Problem(title: status.reasonPhrase, status: status.code, detail: detail))
        answer.contentType = "application/problem+json"
        return answer
    }

    /// - Parameter isKept: false when the table is served but could not be written to disk.
    static func accepted(_ table: RoutingTable, isKept: Bool) -> ControlAnswer {
        struct Accepted: Encodable {
            var epoch: UInt64
            var generation: UInt64
            var kept: Bool
        }
        return json(.ok, Accepted(epoch: table.epoch, generation: table.generation, kept: isKept))
    }
}
