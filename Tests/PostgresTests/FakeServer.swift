// A server that says what a test wants it to say, for what the real one at hand does not do.

import Foundation
import Glibc
import Testing

/// A port of 127.0.0.1. The kernel accepts connections; nobody says a word on them before ``serve(_:)``.
final class FakeServer: Sendable {
    private let socket: Int32
    let port: Int

    init() throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(socket, address, length) == 0 && listen(socket, 5) == 0
                    && getsockname(socket, address, &length) == 0
            }
        }
        try #require(isListening)
        self.socket = socket
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(socket) }

    /// Takes one client without a password, gives each of its queries the next answer, and says no more until it goes
    /// away.
    func serve(_ answers: [[UInt8]]) {
        let socket = socket
        Thread.detachNewThread {
            let client = accept(socket, nil, nil)
            defer { close(client) }
            let startup = Self.read(4, from: client)
            _ = Self.read(Self.number(startup) - 4, from: client)
            let ok = Self.message("R", [0, 0, 0, 0])
            let version = Self.message("S", Array("server_version\0".utf8) + Array("18.0\0".utf8))
            Self.write(
                ok + version + Self.message("K", [0, 0, 0, 1, 0, 0, 0, 2]) + Self.message("Z", Array("I".utf8)),
                to: client)
            for answer in answers {
                let head = Self.read(5, from: client)
                _ = Self.read(Self.number(head.dropFirst()) - 4, from: client)
                Self.write(answer, to: client)
            }
            while !Self.read(1, from: client).isEmpty {}
        }
    }

    /// What follows a command that is done: `CommandComplete`, `ReadyForQuery`.
    static let done = message("C", Array("SET\0".utf8)) + message("Z", Array("I".utf8))

    /// A protocol message (PostgreSQL: 55.7): type, length with itself, body.
    static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        let length = withUnsafeBytes(of: UInt32(body.count + 4).bigEndian) { Array($0) }
        return [type.asciiValue ?? 0] + length + body
    }

    private static func number(_ bytes: some Sequence<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    /// Fewer bytes than asked for when the client has gone.
    private static func read(_ count: Int, from client: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: max(count, 0))
        while bytes.count < count {
            let received = recv(client, &buffer, count - bytes.count, 0)
            if received <= 0 { break }
            bytes += buffer[..<received]
        }
        return bytes
    }

    private static func write(_ bytes: [UInt8], to client: Int32) {
        _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }
}
