// One HTTP/1.1 connection with blocking calls, written for tests: nothing is retried, nothing is hidden.

import Foundation
import Glibc

/// No complete answer came.
package struct WireError: Error, CustomStringConvertible {
    package let description: String
}

package struct WireAnswer: Sendable {
    package var status: Int
    /// Lower-case names.
    package var headers: [String: String]
    package var body: [UInt8]
    package var text: String { String(decoding: body, as: UTF8.self) }
}

/// For threads, never for the cooperative pool. Not shared between threads.
package final class Wire {
    package enum Address: Sendable {
        /// On 127.0.0.1.
        case port(Int)
        case socket(String)
    }

    private var descriptor: Int32 = -1
    private var buffer: [UInt8] = []
    /// The server lets the connection be used again.
    package private(set) var isOpen = true

    package init(_ address: Address, timeoutSeconds: Int = 30) throws(WireError) {
        switch address {
        case .port(let port):
            var to = sockaddr_in()
            to.sin_family = sa_family_t(AF_INET)
            to.sin_port = in_port_t(UInt16(port).bigEndian)
            to.sin_addr.s_addr = inet_addr("127.0.0.1")
            try connect(family: AF_INET, timeoutSeconds, &to)
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        case .socket(let path):
            var to = sockaddr_un()
            to.sun_family = sa_family_t(AF_UNIX)
            let fits = path.utf8.count < MemoryLayout.size(ofValue: to.sun_path)
            guard fits else { throw WireError(description: "\(path) is too long for a socket") }
            withUnsafeMutableBytes(of: &to.sun_path) { $0.copyBytes(from: path.utf8) }
            try connect(family: AF_UNIX, timeoutSeconds, &to)
        }
    }

    private func connect<To>(family: Int32, _ timeoutSeconds: Int, _ to: inout To) throws(WireError) {
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        let result = withUnsafePointer(to: &to) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<To>.size))
            }
        }
        if result != 0 {
            let reason = String(cString: strerror(errno))
            close()
            throw WireError(description: "connect: \(reason)")
        }
    }

    deinit { close() }

    package func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
        isOpen = false
    }

    /// One request and its whole answer.
    package func exchange(
        _ method: String, _ path: String, _ headers: [(String, String)] = [], body: [UInt8] = []
    ) throws(WireError) -> WireAnswer {
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.count)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        do throws(WireError) {
            try send(Array((head + "\r\n").utf8) + body)
            return try receive()
        } catch {
            close()
            throw error
        }
    }

    private func send(_ bytes: [UInt8]) throws(WireError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw WireError(description: "send: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    private func receive() throws(WireError) -> WireAnswer {
        let head = String(decoding: try take(through: Array("\r\n\r\n".utf8)), as: UTF8.self)
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: true)
        guard let first = lines.first, first.hasPrefix("HTTP/1."), first.utf8.count >= 12,
            let status = Int(first.dropFirst(9).prefix(3))
        else { throw WireError(description: "not an answer: \(head.prefix(60))") }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces) }
        }
        var body: [UInt8] = []
        if headers["transfer-encoding"] == "chunked" {
            while true {
                let size = String(decoding: try take(through: Array("\r\n".utf8)), as: UTF8.self)
                guard let count = Int(size.dropLast(2).prefix { $0 != ";" }, radix: 16) else {
                    throw WireError(description: "not a chunk: \(size)")
                }
                body += try take(count)
                _ = try take(2)
                if count == 0 { break }
            }
        } else if let length = headers["content-length"].flatMap({ Int($0) }) {
            body = try take(length)
        } else if status != 204, status != 304 {
            while try fill() {}
            body = buffer
            buffer = []
            close()
        }
        if headers["connection"]?.lowercased() == "close" { close() }
        return WireAnswer(status: status, headers: headers, body: body)
    }

    private func take(through mark: [UInt8]) throws(WireError) -> [UInt8] {
        while true {
            if let range = buffer.firstRange(of: mark) {
                let found = Array(buffer[..<range.upperBound])
                buffer.removeFirst(range.upperBound)
                return found
            }
            guard try fill() else { throw WireError(description: "closed before the answer was whole") }
        }
    }

    private func take(_ count: Int) throws(WireError) -> [UInt8] {
        while buffer.count < count {
            guard try fill() else { throw WireError(description: "closed before the answer was whole") }
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    /// - Returns: false at the end of the stream.
    private func fill() throws(WireError) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count >= 0 else { throw WireError(description: "receive: \(String(cString: strerror(errno)))") }
        buffer += chunk[..<count]
        return count > 0
    }
}
