// What was kept out of the data, a line of JSON each. The file is data: it holds values as they were written.

import Glibc
import Ports
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// `quarantine.jsonl` in the making: lines go to a file beside it, which takes its name at the end.
///
/// Of one user at a time: it goes from task to task with the clone whose report it is.
final class QuarantineFile: @unchecked Sendable {
    private static let flushBytes = 1 << 16

    private let path: FilePath
    /// Of files that were there already: a finished one, and what came to the disk of one that was not.
    let earlier: [[QuarantinedChange]]
    private let unfinished: FilePath
    private let descriptor: FileDescriptor
    private let encoder = JSONEncoder()
    private var pending: [UInt8] = []

    /// - Parameter path: of the finished file; one that is there stays until ``finish()``.
    init(_ path: FilePath) throws(Failure) {
        self.path = path
        unfinished = FilePath(path.string + ".new")
        earlier = [(try? Self.read(path)) ?? [], (try? Self.read(unfinished)) ?? []]
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            descriptor = try FileDescriptor.open(
                unfinished, .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: .ownerReadWrite)
        } catch {
            throw cannot("write", unfinished, error)
        }
    }

    deinit { try? descriptor.close() }

    /// What people decided about the finished file or an earlier one.
    func decisions() throws(Failure) -> [EntryIdentity: QuarantineDecision] {
        try DecisionFile(reading: path.removingLastComponent().appending(ReleaseFolder.decisionsName)).decisions
    }

    func append(_ entries: [QuarantinedChange]) throws(Failure) {
        for entry in entries {
            do {
                pending += try encoder.encode(entry)
            } catch {
                throw cannot("write", unfinished, error)
            }
            pending.append(UInt8(ascii: "\n"))
        }
        if pending.count >= Self.flushBytes { try flush() }
    }

    /// Returns when the file with all lines is durable under its name.
    func finish() throws(Failure) {
        try flush()
        guard fsync(descriptor.rawValue) == 0, rename(unfinished.string, path.string) == 0 else {
            throw cannot("finish", path, Errno(rawValue: errno))
        }
        do {
            try synchronizeFolder(path.removingLastComponent())
        } catch {
            throw cannot("finish", path, error)
        }
    }

    private func flush() throws(Failure) {
        do {
            try descriptor.writeAll(pending)
        } catch {
            throw cannot("write", unfinished, error)
        }
        pending = []
    }

    /// - Returns: nothing when there is no such file.
    static func read(_ path: FilePath) throws(Failure) -> [QuarantinedChange] {
        var entries: [QuarantinedChange] = []
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            let decoder = JSONDecoder()
            var rest: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: flushBytes)
            while true {
                let count = try chunk.withUnsafeMutableBytes { try file.read(into: $0) }
                if count == 0 { break }
                rest += chunk[..<count]
                var begin = 0
                while let end = rest[begin...].firstIndex(of: UInt8(ascii: "\n")) {
                    entries.append(try decoder.decode(QuarantinedChange.self, from: Data(rest[begin..<end])))
                    begin = end + 1
                }
                rest.removeFirst(begin)
            }
        } catch Errno.noSuchFileOrDirectory {
            return []
        } catch {
            throw cannot("read", path, error)
        }
        return entries
    }
}

private func cannot(_ verb: String, _ path: FilePath, _ error: any Error) -> Failure {
    Failure("cannot \(verb) \(path): \(error)", hint: "look at the space and the permissions of the data folder")
}
