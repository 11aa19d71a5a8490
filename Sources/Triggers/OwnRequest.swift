// Our own webhook, for any CI:
//
//   {"commit": "8d1f...", "previous": "77ab...", "build": {"id": "4711", "url": "https://...", "artifact": "..."},
//    "links": {"pull request": "https://..."}}
//
// Only `commit` is needed, and of a build only its `id`.

import Releases

func ownRequest(_ body: Member, delivery: String) throws(TriggerRejection) -> ReleaseRequest {
    try body.allow(only: ["commit", "previous", "build", "links"])
    var request = ReleaseRequest(
        commit: try revision(try body.required("commit", hint: "{\"commit\": \"<commit id, tag or branch>\"}")),
        delivery: delivery, sender: "webhook")
    if let previous = try body.optional("previous") { request.previous = try revision(previous) }
    if let build = try body.optional("build") { request.build = try buildReference(build) }
    if let links = try body.optional("links") {
        let members = try links.members()
        guard members.count <= 20 else { throw links.refused("has \(members.count) members, more than 20") }
        for name in members.keys.sorted() {
            guard (1...64).contains(name.utf8.count) else {
                throw links.refused("has a name that is empty or longer than 64 bytes")
            }
            request.links[name] = try webAddress(try links.required(name, hint: "leave it out, or give it a URL"))
        }
    }
    return request
}

private func buildReference(_ build: Member) throws(TriggerRejection) -> BuildReference {
    try build.allow(only: ["id", "url", "artifact"])
    let id = try build.required("id")
    var reference = BuildReference(id: try shortText(id))
    if let url = try build.optional("url") { reference.url = try webAddress(url) }
    if let artifact = try build.optional("artifact") { reference.artifact = try shortText(artifact) }
    return reference
}

private func shortText(_ member: Member) throws(TriggerRejection) -> String {
    let text = try member.text()
    guard (1...512).contains(text.utf8.count), !text.unicodeScalars.contains(where: isControl) else {
        throw member.refused("must be 1 to 512 bytes of plain text")
    }
    return text
}

/// A link that a report may show: nothing but http and https.
private func webAddress(_ member: Member) throws(TriggerRejection) -> String {
    let text = try member.text()
    guard isWebAddress(text) else { throw member.refused("must be an http or https URL, not \(quoted(text))") }
    return text
}

func isWebAddress(_ text: String) -> Bool {
    let start = text.lowercased().prefix(8)
    return (start.hasPrefix("https://") || start.hasPrefix("http://")) && text.utf8.count <= 2_048
        && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") }
}

/// A commit id, an abbreviation, a tag or a branch: what git allows in a name of its own (git-check-ref-format), and
/// nothing that git could take for an option or a range.
private func revision(_ member: Member) throws(TriggerRejection) -> String {
    let text = try member.text()
    let isPlain =
        !text.unicodeScalars.contains { isControl($0) || $0.properties.isWhitespace }
        && !text.utf8.contains { "~^:?*[\\".utf8.contains($0) }
    guard isPlain, (1...255).contains(text.utf8.count), !text.hasPrefix("-"), !text.contains(".."), !text.contains("@{")
    else { throw member.refused("must be a commit id, a tag or a branch, not \(quoted(text))") }
    return text
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.generalCategory == .control
}
