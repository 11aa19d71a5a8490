// What a process wrote, in two files of bounded size.
//
// The process holds the file open, in append mode, for longer than the daemon lives; nobody can make it open another. So
// the daemon copies the file and empties it in place. What is written between the last read and the truncation is lost:
// microseconds, against a pipe's reader that would have to outlive the daemon too.

import Glibc
import Ports

struct OutputLog: Sendable {
    let path: String
    /// The part before the last rotation.
    var previousPath: String { path + ".1" }

    static let rotationSize: Int64 = 16 << 20
    private static let longestLine = 2_000

    /// The descriptor a process writes to.
    func openForAppending() throws(Failure) -> CInt {
        let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw Failure(
                "cannot open \(path): \(FileSystem.lastError())", hint: "check its folder's owner and the disk's space")
        }
        return file
    }

    /// Bytes in the current file.
    var size: Int64 {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : 0
    }

    /// Seconds since 1970 of the last write.
    var lastWritten: Int? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mtim.tv_sec : nil
    }

    /// Moves what was written aside when it is `limit` or more.
    func rotate(at limit: Int64 = rotationSize) {
        guard size >= limit else { return }
        let source = open(path, O_RDWR | O_CLOEXEC)
        guard source >= 0 else { return }
        defer { close(source) }
        let temporary = previousPath + ".new"
        let target = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard target >= 0 else { return }
        var copied: Int64 = 0
        // A writer faster than the copy must not hold us here: four times the limit is enough of anything.
        while copied < limit * 4, let bytes = FileSystem.read(source, limit: 1 << 20), !bytes.isEmpty {
            guard FileSystem.write(bytes, to: target) else { break }
            copied += Int64(bytes.count)
        }
        ftruncate(source, 0)
        close(target)
        rename(temporary, previousPath)
    }

    /// The last lines, oldest first, fit to be shown: cut, without control characters and passwords of URLs.
    func lastLines(_ count: Int) -> [String] {
        guard count > 0 else { return [] }
        var lines = Self.tail(of: path)
        if lines.count < count { lines = Self.tail(of: previousPath) + lines }
        return lines.suffix(count).map { line in
            let shown = String(
                String.UnicodeScalarView(line.unicodeScalars.prefix(Self.longestLine).filter(Self.isShown)))
            return Redaction.withoutURLPasswords(shown)
        }
    }

    private static func isShown(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "\t" || scalar.properties.generalCategory != .control
    }

    private static func tail(of path: String, bytes: off_t = 256 << 10) -> [String] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        let start = max(0, end - bytes)
        lseek(file, start, SEEK_SET)
        guard let tail = FileSystem.read(file, limit: Int(bytes)) else { return [] }
        var lines = tail.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        // The first line of a cut file is a part of one.
        if start > 0, lines.count > 1 { lines.removeFirst() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}
