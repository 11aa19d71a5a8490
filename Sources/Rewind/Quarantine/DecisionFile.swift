// What people decided about a release's quarantine, a line of JSON each, durable line by line.
//
//     written      before the commit: what is about to be written, by which transaction
//     committed    it is in the data      \  of the number that the first line has; without one of them the
//     abandoned    it is not              /  server tells what became of the transaction
//     discarded    decided without a write
//
// So a crash never leaves a write that the file does not know of, and none that is done a second time.

import Glibc
import Ports
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

struct DecisionLine: Hashable, Sendable, Codable {
    enum Step: String, Hashable, Sendable, Codable { case written, committed, abandoned, discarded }
    var step: Step
    /// Of the decision, from 1.
    var number: Int
    /// Of `written` and `discarded`, as all that follows.
    var entries: [EntryIdentity]?
    var side: QuarantinedChange.Side?
    var person: String?
    var reason: String?
    /// Milliseconds since 1970.
    var at: Int64?
    /// Of `written`: PostgreSQL's 64 bit number of the transaction.
    var transaction: String?
    var writes: [QuarantineWrite]?
}

/// `decisions.jsonl` beside the quarantine. One daemon writes it, one decision at a time.
struct DecisionFile: Sendable {
    let path: FilePath
    private(set) var lines: [DecisionLine] = []

    /// A torn last line was never acted upon: it is passed over, and cut before the next one.
    init(reading path: FilePath) throws(Failure) {
        self.path = path
        do {
            let bytes = try Self.whole(path)
            let decoder = JSONDecoder()
            for line in bytes[..<Self.end(bytes)].split(separator: UInt8(ascii: "\n")) {
                lines.append(try decoder.decode(DecisionLine.self, from: Data(line)))
            }
        } catch {
            throw cannot("read", error)
        }
    }

    var nextNumber: Int { (lines.map(\.number).max() ?? 0) + 1 }

    /// Writes that nobody has said the end of.
    var unsettled: [DecisionLine] {
        let settled = Set(lines.filter { $0.step == .committed || $0.step == .abandoned }.map(\.number))
        return lines.filter { $0.step == .written && !settled.contains($0.number) }
    }

    /// The last decision about each entry.
    var decisions: [EntryIdentity: QuarantineDecision] {
        var ends: [Int: DecisionLine.Step] = [:]
        for line in lines where line.step == .committed || line.step == .abandoned { ends[line.number] = line.step }
        var decisions: [EntryIdentity: QuarantineDecision] = [:]
        for line in lines where line.step == .written || line.step == .discarded {
            if ends[line.number] == .abandoned { continue }
            let how: QuarantineDecision.How =
                line.step == .discarded ? .discarded : ends[line.number] == .committed ? .applied : .unsettled
            let decision = QuarantineDecision(
                how: how, side: line.side, person: line.person ?? "", reason: line.reason, at: line.at ?? 0)
            for entry in line.entries ?? [] { decisions[entry] = decision }
        }
        return decisions
    }

    /// Durable when it returns.
    mutating func append(_ line: DecisionLine) throws(Failure) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let isNew = lines.isEmpty
            let file = try FileDescriptor.open(
                path, .readWrite, options: [.create, .closeOnExec], permissions: .ownerReadWrite)
            try file.closeAfter {
                let end = Self.end(try Self.whole(path))
                guard ftruncate(file.rawValue, off_t(end)) == 0 else { throw Errno(rawValue: errno) }
                try file.seek(offset: 0, from: .end)
                try file.writeAll(try encoder.encode(line) + [UInt8(ascii: "\n")])
                guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
            }
            if isNew { try synchronizeFolder(path.removingLastComponent()) }
        } catch {
            throw cannot("write", error)
        }
        lines.append(line)
    }

    /// Behind the last whole line.
    private static func end(_ bytes: [UInt8]) -> Int {
        bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    }

    /// Nothing where there is no such file.
    private static func whole(_ path: FilePath) throws -> [UInt8] {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            return try file.closeAfter {
                var bytes: [UInt8] = []
                var chunk = [UInt8](repeating: 0, count: 1 << 16)
                while case let count = try chunk.withUnsafeMutableBytes({ try file.read(into: $0) }), count > 0 {
                    bytes += chunk[..<count]
                }
                return bytes
            }
        } catch Errno.noSuchFileOrDirectory {
            return []
        }
    }

    private func cannot(_ verb: String, _ error: any Error) -> Failure {
        Failure("cannot \(verb) \(path): \(error)", hint: "look at the space and the permissions of the data folder")
    }
}

extension [EntryIdentity: QuarantineDecision] {
    /// Of an entry that is about a write in the data: its place in the list does not matter.
    func isDecided(_ finding: QuarantinedChange) -> Bool {
        guard let how = self[EntryIdentity.all(of: [finding])[0]]?.how else { return false }
        return how != .unsettled
    }
}

/// Names an entry in every list that is made of the same recording, whatever its number there.
struct EntryIdentity: Hashable, Sendable, Codable {
    private var text: String

    private init(_ text: String) { self.text = text }

    init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }

    /// Of a whole list: a write by its place in its transaction, a finding by what it is about.
    static func all(of entries: [QuarantinedChange]) -> [EntryIdentity] {
        var places: [String: Int] = [:]
        return entries.map { entry in
            if entry.isKeptOut {
                places[entry.commitLSN, default: 0] += 1
                return EntryIdentity("\(entry.commitLSN) \(places[entry.commitLSN]!)")
            }
            let key = entry.key.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value ?? "")" }
            let parts = [entry.reason.rawValue, entry.table, entry.column ?? ""] + key
            return EntryIdentity(parts.joined(separator: "\u{1F}"))
        }
    }
}
