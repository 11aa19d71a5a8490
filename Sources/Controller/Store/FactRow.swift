// Between a fact and its row.

import Foundation
import Releases

enum FactRow {
    static func parameters(_ fact: Fact, release: ReleaseID, epoch: UInt64) -> [String?] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let body = try? encoder.encode(fact.body) else {
            preconditionFailure("\(release): fact \(fact.sequence) cannot be encoded")
        }
        return [
            release.description, "\(fact.sequence)", "\(epoch)", "\(fact.at.millisecondsSince1970)",
            String(decoding: body, as: UTF8.self),
        ]
    }

    static func fact(_ row: [String?], release: ReleaseID) throws(StoreError) -> Fact {
        guard let sequence = row[0].flatMap({ Int($0) }), let at = row[1].flatMap({ Int64($0) }), let body = row[2]
        else {
            throw .damaged("\(release): a fact lacks its sequence, time or body")
        }
        do {
            return Fact(
                sequence: sequence, at: Instant(millisecondsSince1970: at),
                body: try JSONDecoder().decode(Fact.Body.self, from: Data(body.utf8)))
        } catch {
            throw .damaged("\(release): fact \(sequence): \(error)")
        }
    }
}
