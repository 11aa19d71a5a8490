// Where a release came from, as CI said it.

/// The CI run that built a release.
package struct BuildReference: Hashable, Sendable, Codable {
    package var id: String
    package var url: String?
    package var artifact: String?

    package init(id: String, url: String? = nil, artifact: String? = nil) {
        self.id = id
        self.url = url
        self.artifact = artifact
    }
}

/// What a webhook asks for, whatever its format was.
package struct ReleaseRequest: Hashable, Sendable, Codable {
    /// A commit id, an abbreviation, a tag or a branch; resolved when the release is accepted.
    package var commit: String
    /// The version it replaces; nil: what runs as stable.
    package var previous: String?
    package var build: BuildReference?
    /// Name -> URL, shown in the report.
    package var links: [String: String]
    /// The delivery's id; the same id twice is one release.
    package var delivery: String
    /// Who asked: `github:deployment`, `webhook`, `cli:alice`.
    package var sender: String

    package init(
        commit: String, previous: String? = nil, build: BuildReference? = nil, links: [String: String] = [:],
        delivery: String, sender: String
    ) {
        self.commit = commit
        self.previous = previous
        self.build = build
        self.links = links
        self.delivery = delivery
        self.sender = sender
    }
}
