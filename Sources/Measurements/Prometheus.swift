// Asks a Prometheus server, or what speaks its API, for the present (HTTP API: instant queries, POST /api/v1/query).

import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Releases

struct Prometheus {
    /// `http://host:port`, perhaps with a path.
    let address: String
    let timeout: Span

    /// More than any answer of use; what is longer is not read to its end.
    private static let longestAnswer = 1 << 20

    /// One for the life of the process. An answer from where a redirect leads is not from who was asked.
    private static let http = HTTPClient(
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
        configuration: {
            var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
            // The metric's timeout is for all of it.
            configuration.connectionPool.retryConnectionEstablishment = false
            return configuration
        }())

    struct Answer {
        var result: PrometheusResult
        /// The server's clock when it answered, milliseconds since 1970, at most one second late.
        var at: Int64
    }

    /// The number that a query answers.
    func number(_ query: String) async throws(NoData) -> Double {
        let text: String
        switch try await ask(query).result {
        case .scalar(let sample): text = sample.value
        case .vector(let series):
            guard let only = series.first else { throw NoData("no series answers the query, one number is needed") }
            guard series.count == 1 else {
                throw NoData("\(series.count) series answer the query, one number is needed")
            }
            guard let sample = only.value else { throw NoData("a histogram answers the query, one number is needed") }
            text = sample.value
        case .matrix: throw NoData("a range answers the query, one number is needed")
        case .text: throw NoData("a text answers the query, one number is needed")
        }
        guard let number = Double(text), number.isFinite else {
            throw NoData("the query answers \(text.prefix(40)), one number is needed")
        }
        return number
    }

    /// - Throws: for anything but a whole and undoubted answer.
    func ask(_ query: String) async throws(NoData) -> Answer {
        let reply = try await send(query)
        let body: PrometheusBody
        do {
            body = try JSONDecoder().decode(PrometheusBody.self, from: reply.body)
        } catch {
            throw NoData("\(address) answers \(reply.status) and not as Prometheus does")
        }
        guard reply.status == 200, body.status == "success", let result = body.data else {
            throw NoData("\(address) answers \(reply.status): \(body.error ?? "no reason given")")
        }
        // With a warning, a part of what was asked may be missing.
        if let warning = body.warnings?.first { throw NoData("\(address) warns: \(warning)") }
        return Answer(result: result, at: reply.at)
    }

    private struct Reply: Sendable {
        var status: Int
        var at: Int64
        var body: Data
    }

    private func send(_ query: String) async throws(NoData) -> Reply {
        var request = HTTPClientRequest(url: address + (address.hasSuffix("/") ? "" : "/") + "api/v1/query")
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "user-agent", value: "perchd")
        request.body = .bytes(
            Array("query=\(Self.formEncoded(query))&timeout=\(timeout.milliseconds)ms".utf8))
        let (asked, limit) = (request, timeout.duration)
        do {
            let reply = try await withThrowingTaskGroup(of: Reply?.self) { group in
                group.addTask {
                    let response = try await Self.http.execute(asked, deadline: .distantFuture)
                    let at = response.headers.first(name: "date").flatMap(HTTPDate.milliseconds)
                    let body = try await response.body.collect(upTo: Self.longestAnswer)
                    return Reply(
                        status: Int(response.status.code), at: at ?? Self.now, body: Data(body.readableBytesView))
                }
                group.addTask {
                    try await Task.sleep(for: limit)
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            guard let reply else { throw NoData("\(address) did not answer within \(timeout)") }
            return reply
        } catch let error as NoData {
            throw error
        } catch is NIOTooManyBytesError {
            throw NoData("\(address) answers with more than \(Self.longestAnswer >> 20) MiB")
        } catch let error as HTTPClientError {
            throw NoData("\(address) cannot be asked: \(error.shortDescription)")
        } catch let error as IOError {
            throw NoData("\(address) cannot be asked: \(String(cString: strerror(error.errnoCode)).lowercased())")
        } catch {
            throw NoData("\(address) cannot be asked: \(error)")
        }
    }

    private static var now: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }

    /// A value of application/x-www-form-urlencoded.
    private static func formEncoded(_ text: String) -> String {
        let plain = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")
        return text.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
    }
}
