// Where segments are kept. The seam at which tests make the Nth write fail.

import Glibc
package import SystemPackage

package enum JournalError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The recording cannot be trusted: it has a gap or belongs to another server. Never continued.
    case broken(String)
    /// The disk refused. Nothing was acknowledged; trying again may help.
    case storage(operation: String, path: String, code: CInt)
    /// The journal is whole but does not reach the position that was asked for.
    case endsBefore(wanted: String, end: String)

    package var description: String {
        switch self {
        case .broken(let reason): reason
        case .storage(let operation, let path, let code):
            "cannot \(operation) \(path): \(Errno(rawValue: code).description.lowercased())"
        case .endsBefore(let wanted, let end): "the journal ends at \(end), before \(wanted)"
        }
    }
}

/// A folder of segments. Calls block.
package protocol JournalStorage: Sendable {
    /// Numbers of the segments, ascending.
    func segments() throws(JournalError) -> [Int]
    /// For reading and writing.
    func open(_ segment: Int) throws(JournalError) -> any JournalFile
    /// Makes a segment that holds exactly `bytes`: whole and durable, or not there at all.
    func create(_ segment: Int, _ bytes: [UInt8]) throws(JournalError) -> any JournalFile
    /// Keeps other writers out until the result is let go.
    func lock() throws(JournalError) -> any Sendable
    func path(_ segment: Int) -> String
}

package protocol JournalFile: AnyObject, Sendable {
    func size() throws(JournalError) -> Int
    /// Up to `count` bytes; fewer only at the end of the file.
    func read(at offset: Int, count: Int) throws(JournalError) -> [UInt8]
    /// All bytes or an error, after which any part of them may be in the file.
    func write(_ bytes: [UInt8], at offset: Int) throws(JournalError)
    func truncate(to size: Int) throws(JournalError)
    /// Returns when everything written is on the disk. After an error nothing since the last success is.
    func synchronize() throws(JournalError)
}

/// Segments as files `000001.seg`, `000002.seg`, … of one folder.
package struct FolderStorage: JournalStorage {
    private let folder: FilePath

    package init(_ folder: FilePath) { self.folder = folder }

    package func path(_ segment: Int) -> String { file(segment).string }

    private func file(_ segment: Int) -> FilePath {
        let digits = String(segment)
        return folder.appending(String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits + ".seg")
    }

    package func segments() throws(JournalError) -> [Int] {
        guard let directory = opendir(folder.string) else {
            if errno == ENOENT { return [] }
            throw .storage(operation: "read folder", path: folder.string, code: errno)
        }
        defer { closedir(directory) }
        var numbers: [Int] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasSuffix(".seg"), let number = Int(name.dropLast(4)), number > 0 else { continue }
            numbers.append(number)
        }
        return numbers.sorted()
    }

    package func open(_ segment: Int) throws(JournalError) -> any JournalFile {
        try DiskFile(file(segment), .readWrite)
    }

    package func create(_ segment: Int, _ bytes: [UInt8]) throws(JournalError) -> any JournalFile {
        try makeDurableFolder(folder)
        let temporary = file(segment).string + ".new"
        let new = try DiskFile(FilePath(temporary), .readWrite, options: [.create, .truncate])
        try new.write(bytes, at: 0)
        try new.synchronize()
        guard rename(temporary, path(segment)) == 0 else {
            throw .storage(operation: "rename", path: temporary, code: errno)
        }
        try synchronizeFolder(folder)
        return try open(segment)
    }

    package func lock() throws(JournalError) -> any Sendable {
        try makeDurableFolder(folder)
        let file = try DiskFile(folder.appending("lock"), .readWrite, options: [.create])
        guard flock(file.descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            if errno == EWOULDBLOCK {
                throw .storage(operation: "lock, another process records into", path: folder.string, code: errno)
            }
            throw .storage(operation: "lock", path: folder.string, code: errno)
        }
        return file
    }
}

/// Makes the folder and its parents, each entry durable in its parent.
func makeDurableFolder(_ folder: FilePath) throws(JournalError) {
    var status = stat()
    if stat(folder.string, &status) == 0 { return }
    let parent = folder.removingLastComponent()
    if !parent.isEmpty, parent != folder { try makeDurableFolder(parent) }
    guard mkdir(folder.string, 0o700) == 0 || errno == EEXIST else {
        throw .storage(operation: "make folder", path: folder.string, code: errno)
    }
    try synchronizeFolder(parent.isEmpty ? "." : parent)
}

/// Makes names created, renamed or removed in the folder durable.
func synchronizeFolder(_ folder: FilePath) throws(JournalError) {
    let descriptor = Glibc.open(folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .storage(operation: "open folder", path: folder.string, code: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else {
        throw .storage(operation: "synchronize folder", path: folder.string, code: errno)
    }
}

private final class DiskFile: JournalFile {
    let path: FilePath
    let descriptor: FileDescriptor

    init(
        _ path: FilePath, _ mode: FileDescriptor.AccessMode, options: FileDescriptor.OpenOptions = []
    ) throws(JournalError) {
        self.path = path
        do {
            descriptor = try FileDescriptor.open(
                path, mode, options: options.union(.closeOnExec), permissions: .ownerReadWrite)
        } catch {
            throw .storage(operation: "open", path: path.string, code: (error as? Errno)?.rawValue ?? EIO)
        }
    }

    deinit { close(descriptor.rawValue) }

    func size() throws(JournalError) -> Int {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw failure("look at") }
        return Int(status.st_size)
    }

    func read(at offset: Int, count: Int) throws(JournalError) -> [UInt8] {
        var code: CInt = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(
                    descriptor.rawValue, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got == 0 { return }
                if got < 0 {
                    if errno == EINTR { continue }
                    code = errno
                    return
                }
                filled += got
            }
        }
        guard code == 0 else { throw .storage(operation: "read", path: path.string, code: code) }
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(JournalError) {
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes { buffer in
                pwrite(descriptor.rawValue, buffer.baseAddress! + done, bytes.count - done, off_t(offset + done))
            }
            if put < 0 {
                if errno == EINTR { continue }
                throw failure("write")
            }
            done += put
        }
    }

    func truncate(to size: Int) throws(JournalError) {
        while ftruncate(descriptor.rawValue, off_t(size)) != 0 {
            guard errno == EINTR else { throw failure("truncate") }
        }
    }

    func synchronize() throws(JournalError) {
        while fdatasync(descriptor.rawValue) != 0 {
            guard errno == EINTR else { throw failure("synchronize") }
        }
    }

    private func failure(_ operation: String) -> JournalError {
        .storage(operation: operation, path: path.string, code: errno)
    }
}
