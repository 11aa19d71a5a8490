// The control socket as a file: who may use it, and whether somebody else has it.

import Glibc

enum ControlSocket {
    /// A path for the new socket, in the same folder; it is renamed into place once only its owner may use it, so that
    /// there is never a moment in which others could connect.
    static func temporary(_ path: String) -> String { path + ".n" }

    /// - Throws: ``RouterError/controlSocketInUse(path:)`` when somebody answers there, ``RouterError/file(path:reason:)``
    ///   when there is a file that is no socket.
    static func checkFree(_ path: String) throws(RouterError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw .file(path: path, reason: "is there and is no socket")
        }
        if isAnswered(path) { throw .controlSocketInUse(path: path) }
    }

    static func publish(_ path: String) throws(RouterError) {
        let fresh = temporary(path)
        guard chmod(fresh, 0o600) == 0, rename(fresh, path) == 0 else {
            throw .file(path: path, reason: String(cString: strerror(errno)))
        }
    }

    static func remove(_ path: String) { unlink(path) }

    private static func isAnswered(_ path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
