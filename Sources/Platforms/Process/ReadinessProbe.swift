// Does an instance answer its readiness path.

import AsyncHTTPClient
import NIOCore
import NIOHTTP1

enum ReadinessProbe {
    enum Answer: Hashable, Sendable {
        case ready
        /// Why not: `503`, `connection refused`.
        case notReady(String)
    }

    /// One client for the life of the process, like `HTTPClient.shared`, which follows redirects: a redirect to a login
    /// page is no sign of readiness.
    static let client = HTTPClient(
        eventLoopGroupProvider: .singleton,
        configuration: .init(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(1)),
            connectionPool: {
                var pool = HTTPClient.Configuration.ConnectionPool()
                // Whoever asks has its own deadline and its own patience.
                pool.retryConnectionEstablishment = false
                return pool
            }()))

    /// 2xx is ready; anything else, and nothing within two seconds, is not.
    static func ask(host: String, port: Int, path: String) async -> Answer {
        var request = HTTPClientRequest(url: "http://\(host):\(port)\(path.hasPrefix("/") ? path : "/" + path)")
        // A connection kept open would count as one more client to drain.
        request.headers.add(name: "connection", value: "close")
        request.headers.add(name: "user-agent", value: "perch-readiness")
        do {
            let response = try await client.execute(request, timeout: .seconds(2))
            return (200..<300).contains(Int(response.status.code))
                ? .ready : .notReady("\(path) answered \(response.status.code)")
        } catch let error as HTTPClientError {
            return .notReady("\(path) did not answer: \(error.shortDescription)")
        } catch {
            return .notReady("\(path) did not answer: \(error)")
        }
    }
}
