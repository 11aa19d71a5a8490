// The Unix socket as a file: who may open it, and whether somebody already serves it.

import Glibc
import Logging
package import Releases

/// Another process answers at the socket's path.
package struct SocketTaken: Error, CustomStringConvertible {
    package let path: String
    package var description: String {
        "socket \(path) is served by another process\nhint: stop it, or give this perchd another socket"
    }
}

/// A socket left by a crash is replaced; one that somebody listens at is not.
func refuseServedSocket(_ path: String) throws {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    // Too long a path fails when it is bound, with the reason.
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
            connect(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    // A full backlog is somebody too.
    if result == 0 || errno == EAGAIN { throw SocketTaken(path: path) }
}

/// Owner and group may use it; until here it had what the umask left, which is no write for others.
func restrictSocket(_ path: String, logger: Logger) {
    if chmod(path, 0o660) != 0 {
        logger.error("socket keeps its mode", metadata: ["path": "\(path)", "errno": "\(errno)"])
    }
}

/// The machine's wall clock.
package func wallClock() -> Instant {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Instant(millisecondsSince1970: Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000)
}
