// Files the way a supervisor needs them: read without trust in sizes, written so that a crash leaves the old or the new.

import FoundationEssentials
import Glibc
import Ports

enum FileSystem {
    /// At most `limit` bytes from the start of a file; also of `/proc`, whose files say they are empty.
    ///
    /// - Returns: nil when it cannot be read.
    static func read(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return read(file, limit: limit)
    }

    /// At most `limit` bytes from where `file` stands.
    static func read(_ file: CInt, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: min(limit, 65_536))
        while bytes.count < limit {
            let wanted = min(buffer.count, limit - bytes.count)
            let count = Glibc.read(file, &buffer, wanted)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return bytes
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Names in a folder, sorted; empty when there is no such folder.
    static func names(in folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    /// Makes the folder and those above it, for this user only.
    static func makeFolder(_ path: String) throws(Failure) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure("cannot make folder \(path): \(lastError())", hint: "check its owner and the disk's space")
        }
    }

    /// Removes a file or a folder with all it holds; nothing happens when there is none.
    static func remove(_ path: String) throws(Failure) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw Failure("cannot remove \(path): \(error)", hint: "check its owner")
        }
    }

    /// Replaces the file's content: after a crash it has the old or the new one, and after return it has the new one.
    static func replace(_ path: String, with bytes: some Collection<UInt8>) throws(Failure) {
        let temporary = "\(path).\(getpid()).new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw cannotWrite(temporary) }
        guard write(Array(bytes), to: file), fsync(file) == 0, close(file) == 0, rename(temporary, path) == 0 else {
            let failure = cannotWrite(path)
            unlink(temporary)
            throw failure
        }
        syncFolder(of: path)
    }

    /// Makes what happened to the names in the folder of `path` durable.
    static func syncFolder(of path: String) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let folder = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    /// - Returns: whether every byte was written; `errno` says why not.
    static func write(_ bytes: [UInt8], to file: CInt) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + done, bytes.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    static func lastError() -> String { String(cString: strerror(errno)) }

    private static func cannotWrite(_ path: String) -> Failure {
        Failure(
            "cannot write \(path): \(lastError())", hint: "check its folder's owner and the disk's space",
            isTransient: errno == ENOSPC)
    }
}

extension FileSystem {
    /// Children run in other folders: what they are told must not depend on ours.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }
}
