// Goal: a caller that sends half a request, too large a one, or nothing, does not hold the server.
// Method: bare TCP sockets against the real servers.

import ControlAPI
import ControlSupport
import Glibc
import Releases
import Testing

@Suite struct SlowCallerTests {
    @Test func aConnectionThatSaysNothingMoreIsClosed() async throws {
        try await withLiveAPI(configure: { $0.idleTimeout = .milliseconds(200) }) { (api: LiveAPI) async throws in
            let caller = try BareCaller(port: api.port)
            try caller.send("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: ")
            #expect(try await caller.receive(within: 10) == .closed)
        }
    }

    @Test func headersPastTheLimitAreRefused() async throws {
        try await withLiveAPI { (api: LiveAPI) async throws in
            let caller = try BareCaller(port: api.port)
            try caller.send(
                "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: \(String(repeating: "x", count: 20 << 10))\r\n\r\n")
            let answer = try await caller.receive(within: 10)
            guard case .bytes(let text) = answer else {
                Issue.record("\(answer)")
                return
            }
            #expect(text.hasPrefix("HTTP/1.1 400"))
        }
    }

    @Test func callersPastTheMostConnectionsWaitForOthersToLeave() async throws {
        try await withLiveAPI(configure: { $0.mostConnections = 1 }) { (api: LiveAPI) async throws in
            let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            var first: BareCaller? = try BareCaller(port: api.port)
            try first?.send(request)
            #expect(try await first?.receive(within: 10).isOK == true)
            let second = try BareCaller(port: api.port)
            try second.send(request)
            #expect(try await second.receive(within: 0.2) == .nothing)
            first = nil
            #expect(try await second.receive(within: 10).isOK)
        }
    }
}

/// A TCP connection without any HTTP in it; closed when it goes.
private final class BareCaller {
    enum Received: Equatable {
        case bytes(String)
        case nothing, closed
        var isOK: Bool { if case .bytes(let text) = self { text.hasPrefix("HTTP/1.1 200") } else { false } }
    }

    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                connect(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw SocketCallFailed(errno: errno) }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw SocketCallFailed(errno: errno)
        }
    }

    /// What comes first; asks again and again, so that no thread of the servers' is held.
    func receive(within seconds: Double) async throws -> Received {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var bytes = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count > 0 { return .bytes(String(decoding: bytes[..<count], as: UTF8.self)) }
            guard count < 0, errno == EAGAIN else { return .closed }
            if ContinuousClock.now >= deadline { return .nothing }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
