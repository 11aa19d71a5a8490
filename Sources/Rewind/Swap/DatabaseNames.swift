// What a rollback's databases are called, and the comment by which each is known again after a crash.

import Releases

struct DatabaseNames: Hashable, Sendable {
    /// The service's database.
    let live: String
    let release: ReleaseID

    /// The snapshot restored, until it takes the live database's name: `shop_perch_shop_42`.
    var restored: String { name("_perch_") }
    /// The live database as it was, from the switch on: `shop_before_shop_42`.
    var previous: String { name("_before_") }

    /// PostgreSQL cuts names after 63 bytes without a word; the release must not be what is lost.
    private func name(_ middle: String) -> String {
        let end = middle + release.sqlName
        var start = live
        while start.utf8.count + end.utf8.count > 63 { start.removeLast() }
        return start + end
    }
}

/// What Perch says about a database in its comment.
enum DatabaseMark: Hashable, Sendable {
    /// Half made: to be dropped and made again.
    case restoring(ReleaseID)
    /// Whole; its own tables say how far replay got.
    case restored(ReleaseID)
    /// The live database is fenced, or about to be.
    case switching(ReleaseID)
    /// What was live until then.
    case previous(ReleaseID, since: Instant)

    var comment: String {
        switch self {
        case .restoring(let release): "perch: \(release) restoring"
        case .restored(let release): "perch: \(release) restored"
        case .switching(let release): "perch: \(release) switching"
        case .previous(let release, let since): "perch: \(release) previous \(since.millisecondsSince1970)"
        }
    }

    /// - Returns: nil for every other comment.
    init?(comment: String?) {
        guard let comment, comment.hasPrefix("perch: ") else { return nil }
        let words = comment.dropFirst("perch: ".count).split(separator: " ")
        guard words.count >= 2, let release = ReleaseID(String(words[0])) else { return nil }
        switch (words[1], words.count) {
        case ("restoring", 2): self = .restoring(release)
        case ("restored", 2): self = .restored(release)
        case ("switching", 2): self = .switching(release)
        case ("previous", 3):
            guard let since = Int64(words[2]) else { return nil }
            self = .previous(release, since: Instant(millisecondsSince1970: since))
        default: return nil
        }
    }
}
