// Talks to perchd: one request, one answer, every failure a CommandFailure.

import AsyncHTTPClient
import ControlModel
import NIOCore
import NIOHTTP1
import NIOPosix
import Releases

struct ControlClient: Sendable {
    let server: ServerAddress
    let token: String?
    /// Who gives the commands.
    let person: String

    private static let largestAnswer = 64 << 20

    /// Fails at once where nobody listens, and follows no redirects, which would carry the token elsewhere.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(10)))
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
    }()

    // MARK: - Calls

    /// An answer's text, as perchd wrote it.
    func get(
        _ path: String, _ query: [(name: String, value: String)] = [], within timeout: Span = .seconds(30)
    ) async throws -> String {
        let pairs = query.map { "\($0.name)=\(ServerAddress.escaped($0.value))" }.joined(separator: "&")
        return try await call(request(path + (pairs.isEmpty ? "" : "?" + pairs)), within: timeout)
    }

    func post(
        _ path: String, json: String, headers: [(name: String, value: String)] = [], as actor: String? = nil,
        within timeout: Span = .seconds(60)
    ) async throws -> String {
        var request = request(path)
        request.method = .POST
        request.headers.replaceOrAdd(name: "content-type", value: "application/json")
        request.headers.replaceOrAdd(name: "x-perch-actor", value: plain(actor ?? person))
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(string: json))
        return try await call(request, within: timeout)
    }

    /// A long answer, piece by piece; an answer that breaks off is a failure.
    func stream(_ path: String, to sink: (String) -> Void) async throws {
        do {
            let response = try await Self.http.execute(request(path), timeout: .hours(24))
            guard response.status == .ok else {
                throw try await failure(response)
            }
            // Pieces may end inside a character; only whole lines are passed on.
            var rest = ByteBuffer()
            for try await part in response.body {
                rest.writeImmutableBuffer(part)
                guard let end = rest.readableBytesView.lastIndex(of: UInt8(ascii: "\n")) else { continue }
                let length = end - rest.readerIndex + 1
                sink(rest.readString(length: length) ?? "")
                rest.discardReadBytes()
            }
            if rest.readableBytes > 0 { sink(String(buffer: rest)) }
        } catch {
            throw failure(error)
        }
    }

    func decoded<Document: Decodable>(_ type: Document.Type, _ json: String) throws -> Document {
        do {
            return try ControlJSON.decode(type, from: json.utf8)
        } catch {
            throw CommandFailure(
                .failed, "perchd at \(server.text) answered something this perch does not understand",
                hint: "are both of the same version?")
        }
    }

    // MARK: -

    private func request(_ path: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: server.base + path)
        request.headers.add(name: "user-agent", value: "perch")
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
        return request
    }

    private func call(_ request: HTTPClientRequest, within timeout: Span) async throws -> String {
        do {
            let response = try await Self.http.execute(request, timeout: .milliseconds(timeout.milliseconds))
            guard (200..<300).contains(response.status.code) else {
                throw try await failure(response)
            }
            return String(buffer: try await response.body.collect(upTo: Self.largestAnswer))
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ response: HTTPClientResponse) async throws -> CommandFailure {
        let status = Int(response.status.code)
        let body = try await response.body.collect(upTo: 1 << 20)
        if response.headers.first(name: "content-type")?.hasPrefix(Problem.mediaType) == true,
            let problem = try? ControlJSON.decode(Problem.self, from: body.readableBytesView)
        {
            return CommandFailure(problem)
        }
        return CommandFailure(
            Outcome(status: status), "\(server.text) answered with status \(status), and not as perchd does",
            hint: "is that perchd's address?")
    }

    private func failure(_ error: any Error) -> any Error {
        switch error {
        case is CommandFailure, is CancellationError: return error
        case let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout:
            return CommandFailure(.unreachable, "perchd at \(server.text) did not answer in time")
        case let error as IOError:
            return unreachable(error.errnoCode)
        default:
            return CommandFailure(
                .unreachable, "perchd at \(server.text) cannot be reached: \(plain("\(error)"))", hint: reachHint)
        }
    }

    private func unreachable(_ code: CInt) -> CommandFailure {
        switch code {
        case EACCES, EPERM:
            CommandFailure(
                .notAuthorised, "the socket of \(server.text) may not be opened by this user",
                hint: "who is in the group of the file may use it")
        case ENOENT where server.isSocket:
            CommandFailure(.unreachable, "there is no socket at \(server.text)", hint: reachHint)
        case ECONNREFUSED:
            CommandFailure(.unreachable, "nobody listens at \(server.text)", hint: reachHint)
        default:
            CommandFailure(
                .unreachable,
                "perchd at \(server.text) cannot be reached: \(String(cString: strerror(code)).lowercased())",
                hint: reachHint)
        }
    }

    private var reachHint: String { "is perchd running? --server or PERCH_SERVER says where" }
}

extension ControlClient {
    func release(_ id: ReleaseID) async throws -> ReleaseDetail {
        try decoded(ReleaseDetail.self, try await get("/api/v1/releases/\(id)"))
    }

    /// Events after a sequence number, waiting up to `wait` for one.
    func events(_ id: ReleaseID, after sequence: Int, wait: Span) async throws -> EventList {
        let seconds = max(0, (wait.milliseconds + 999) / 1_000)
        let json = try await get(
            "/api/v1/releases/\(id)/events", [("after", String(sequence)), ("wait", String(seconds))],
            within: .seconds(seconds + 15))
        return try decoded(EventList.self, json)
    }
}
