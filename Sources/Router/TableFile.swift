// The table on disk: what a router serves after its own restart when no controller answers.

import CPosix
import Foundation
import Glibc
import Logging
import Traffic

/// Keeps the last table so that a crash at any moment leaves a whole one.
///
/// ```
/// {"canary":[],"canaryShare":0,...}        the table, JSON on one line
/// crc32c 9ae0daaf                          of that line without its line feed
/// ```
///
/// A save writes `<path>.new` and syncs it, links the current file as `<path>.previous`, renames the new one over
/// `<path>`, and syncs the folder. At every moment at least one of the two names holds a whole table.
struct TableFile: Sendable {
    let path: String

    private var previous: String { path + ".previous" }

    /// - Throws: ``RouterError/file(path:reason:)``; the kept table is then the one before.
    func save(_ table: RoutingTable) throws(RouterError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json: Data
        do { json = try encoder.encode(table) } catch { throw .file(path: path, reason: "\(error)") }
        let checksum = "\ncrc32c \(Self.hexadecimal(Self.checksum(json)))\n"
        let fresh = path + ".new"
        try write(json + Data(checksum.utf8), to: fresh)
        if access(path, F_OK) == 0 {
            let link = previous + ".new"
            unlink(link)
            guard Glibc.link(path, link) == 0, rename(link, previous) == 0 else { throw failure(previous) }
        }
        guard rename(fresh, path) == 0 else { throw failure(path) }
        try syncFolder()
    }

    /// The last whole table; a file that is not whole is put aside as `<name>.corrupt` and the one before is used.
    func load(logger: Logger) -> RoutingTable? {
        for file in [path, previous] {
            guard access(file, F_OK) == 0 else { continue }
            switch read(file) {
            case .success(let table):
                return table
            case .failure(let reason):
                let aside = file + ".corrupt"
                rename(file, aside)
                logger.error(
                    "routing table file is not whole, put aside",
                    metadata: ["file": "\(file)", "aside": "\(aside)", "reason": "\(reason)"])
            }
        }
        return nil
    }

    private struct Torn: Error, CustomStringConvertible {
        var description: String
    }

    private func read(_ file: String) -> Result<RoutingTable, Torn> {
        guard let content = FileManager.default.contents(atPath: file) else {
            return .failure(Torn(description: "cannot be read"))
        }
        let lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count == 3, lines[2].isEmpty else { return .failure(Torn(description: "is cut off")) }
        let json = Data(lines[0])
        guard String(decoding: lines[1], as: UTF8.self) == "crc32c \(Self.hexadecimal(Self.checksum(json)))" else {
            return .failure(Torn(description: "has a wrong checksum"))
        }
        do {
            let table = try JSONDecoder().decode(RoutingTable.self, from: json)
            if let mistake = table.mistake { return .failure(Torn(description: mistake)) }
            return .success(table)
        } catch {
            return .failure(Torn(description: "\(error)"))
        }
    }

    private func write(_ content: Data, to file: String) throws(RouterError) {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(file) }
        defer { close(descriptor) }
        var rest = content[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 {
                if errno == EINTR { continue }
                throw failure(file)
            }
            rest = rest.dropFirst(written)
        }
        guard fsync(descriptor) == 0 else { throw failure(file) }
    }

    /// A rename is durable only when its folder is.
    private func syncFolder() throws(RouterError) {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(folder) }
    }

    private func failure(_ file: String) -> RouterError { .file(path: file, reason: String(cString: strerror(errno))) }

    private static func checksum(_ bytes: Data) -> UInt32 {
        bytes.withUnsafeBytes { perch_crc32c(0, $0.baseAddress, $0.count) }
    }

    private static func hexadecimal(_ checksum: UInt32) -> String {
        let digits = String(checksum, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
