// What is said to a router over its Unix socket: HTTP and JSON.
//
//     PUT  /table      RoutingTable             409: it has a newer one
//     GET  /table      -> RoutingTable          404: it has none
//     GET  /report?overdue_after=MICROSECONDS -> RouterReport
//     GET  /samples    -> SampleReport
//     POST /hold       HoldRequest -> HoldState
//     POST /let-go     {"name": ...}
//     GET  /healthz

import AsyncHTTPClient
import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import Ports
import Traffic

struct RouterControl: Sendable {
    let service: String
    let socket: String

    /// The longest path a Unix socket can have: `sun_path` of unix(7), with its zero byte.
    static let longestSocketPath = 107

    enum Problem: Error {
        /// Nobody listens on the socket, or whoever did went away during the question.
        case unreachable(String)
        /// It did not answer in time, or answered what we do not understand.
        case failed(String)
        /// It answered, with this status and text.
        case refused(status: Int, text: String)

        var reason: String {
            switch self {
            case .unreachable(let reason): "does not answer: \(reason)"
            case .failed(let reason): reason
            case .refused(let status, let text): "answered \(status): \(text)"
            }
        }
    }

    private struct Name: Encodable { var name: String }

    func isHealthy() async -> Bool {
        do throws(Problem) {
            _ = try await send(.GET, "/healthz")
            return true
        } catch {
            return false
        }
    }

    func put(_ table: RoutingTable) async throws(Problem) {
        _ = try await send(.PUT, "/table", Self.encode(table))
    }

    func table() async throws(Problem) -> RoutingTable? {
        do throws(Problem) {
            return try decode(try await send(.GET, "/table"))
        } catch .refused(404, _) {
            return nil
        }
    }

    func report(overdueAfter: Duration) async throws(Problem) -> RouterReport {
        let (seconds, attoseconds) = max(overdueAfter, .zero).components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return try decode(try await send(.GET, "/report?overdue_after=\(microseconds)"))
    }

    func samples() async throws(Problem) -> SampleReport { try decode(try await send(.GET, "/samples")) }

    func hold(_ request: HoldRequest) async throws(Problem) -> HoldState {
        try decode(try await send(.POST, "/hold", Self.encode(request)))
    }

    func letGo(_ name: String) async throws(Problem) {
        _ = try await send(.POST, "/let-go", Self.encode(Name(name: name)))
    }

    /// The answer's body. One minute of counts and every sample fit in the limit many times.
    private func send(_ method: HTTPMethod, _ path: String, _ body: [UInt8]? = nil) async throws(Problem) -> [UInt8] {
        var request = HTTPClientRequest(url: "http+unix://\(Self.percentEncoded(socket))\(path)")
        request.method = method
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(body)
        }
        let status: Int
        let answer: [UInt8]
        do {
            let response = try await ReadinessProbe.client.execute(request, timeout: .seconds(5))
            status = Int(response.status.code)
            answer = Array(try await response.body.collect(upTo: 64 << 20).readableBytesView)
        } catch let error as IOError {
            throw .unreachable(String(cString: strerror(error.errnoCode)))
        } catch let error as ChannelError {
            throw .unreachable("\(error)")
        } catch let error as HTTPClientError where error == .remoteConnectionClosed || error == .connectTimeout {
            throw .unreachable(error.shortDescription)
        } catch let error as HTTPClientError {
            throw .failed(error.shortDescription)
        } catch {
            throw .failed("\(error)")
        }
        guard (200..<300).contains(status) else {
            throw .refused(status: status, text: String(decoding: answer.prefix(300), as: UTF8.self))
        }
        return answer
    }

    private func decode<Value: Decodable>(_ bytes: [UInt8]) throws(Problem) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw .failed("its answer is not a \(Value.self): \(error)")
        }
    }

    private static func encode(_ value: some Encodable) throws(Problem) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            throw .failed("cannot encode a \(type(of: value)): \(error)")
        }
    }

    /// A path as the host of an `http+unix` URL: all but unreserved characters of RFC 3986 encoded.
    static func percentEncoded(_ path: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.append(byte)
            default:
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
