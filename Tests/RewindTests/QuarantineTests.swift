// Goal: what was kept out of the data can be read again, whole or not at all. Method: the file itself, in a folder.

import Foundation
import Ports
import Releases
import SystemPackage
import Testing

@testable import Rewind

private func entry(_ id: Int, _ value: String?) -> QuarantinedChange {
    QuarantinedChange(
        id: id, reason: .bothWrote, origin: .stable, table: "public.t", operation: "UPDATE", key: ["id": "\(id)"],
        row: ["id": "\(id)", "value": value], commitLSN: "0/1", xid: 7, committedAt: 1_700_000_000_000, detail: "both")
}

@Suite struct QuarantineTests {
    private let folder = FilePath(
        "\(FileManager.default.temporaryDirectory.path)/perch-quarantine-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true) }

    @Test func `What is written is read, line ends and NULL in values included`() throws {
        let entries =
            [entry(1, "two\nlines"), entry(2, nil), entry(3, "ünïcødé \u{0}")]
            + (4...900).map { entry($0, String(repeating: "x", count: 300)) }
        let path = folder.appending("quarantine.jsonl")
        let file = try QuarantineFile(path)
        try file.append(entries)
        try file.finish()
        #expect(try QuarantineFile.read(path) == entries)
        try FileManager.default.removeItem(atPath: folder.string)
    }

    @Test func `Only Perch's user may read it`() throws {
        let path = folder.appending("quarantine.jsonl")
        let file = try QuarantineFile(path)
        try file.finish()
        let mode = try FileManager.default.attributesOfItem(atPath: path.string)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try FileManager.default.removeItem(atPath: folder.string)
    }

    @Test func `An unfinished one changes nothing, and without any there is nothing in quarantine`() throws {
        let path = folder.appending("quarantine.jsonl")
        #expect(try QuarantineFile.read(path) == [])
        let file = try QuarantineFile(path)
        try file.append([entry(1, "a")])
        try file.finish()
        let second = try QuarantineFile(path)
        try second.append([entry(1, "b"), entry(2, "c")])
        #expect(try QuarantineFile.read(path) == [entry(1, "a")])
        try FileManager.default.removeItem(atPath: folder.string)
    }

    @Test func `A damaged file is named`() throws {
        let path = folder.appending("quarantine.jsonl")
        try "{\"id\": 1}\n".write(toFile: path.string, atomically: true, encoding: .utf8)
        let failure = #expect(throws: Failure.self) { try QuarantineFile.read(path) }
        #expect(failure?.message.contains("quarantine.jsonl") == true)
        try FileManager.default.removeItem(atPath: folder.string)
    }
}
