// Ports for instances: outside of the range the kernel takes its own from, so that no outgoing connection sits on one
// between our choice and the instance's bind.

import Glibc
import Ports

enum FreePort {
    /// A port of 127.0.0.1 that nobody listens on and that is not in `taken`.
    static func find(notIn taken: Set<Int>) throws(Failure) -> Int {
        let candidates = candidates(ephemeral: ephemeralRange)
        guard !candidates.isEmpty else {
            throw Failure(
                "no ports are left outside of net.ipv4.ip_local_port_range", hint: "make that range smaller")
        }
        // A random start keeps a port that was just given back out of use for a while.
        let start = Int.random(in: candidates.indices)
        for offset in candidates.indices {
            let port = candidates[(start + offset) % candidates.count]
            if !taken.contains(port), canBind(port) { return port }
        }
        throw Failure("every port from \(candidates[0]) to \(candidates[candidates.count - 1]) is in use")
    }

    static func candidates(ephemeral: ClosedRange<Int>) -> [Int] {
        (20_000...65_535).filter { !ephemeral.contains($0) }
    }

    private static var ephemeralRange: ClosedRange<Int> {
        let text = FileSystem.read("/proc/sys/net/ipv4/ip_local_port_range").map { String(decoding: $0, as: UTF8.self) }
        let bounds = (text ?? "").split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard bounds.count == 2, bounds[0] <= bounds[1] else { return 32_768...60_999 }
        return bounds[0]...bounds[1]
    }

    private static func canBind(_ port: Int) -> Bool {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        // As servers do; otherwise connections of the last owner that linger would count.
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
