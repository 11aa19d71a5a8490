// How answers and problems leave.

import ControlModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Releases

func answer(_ document: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    text(try ControlJSON.encode(document) + "\n", type: "application/json", status: status)
}

func text(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(
        status: status, headers: [.contentType: type, .cacheControl: "no-store"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
}

/// Turns whatever was thrown into problem+json.
struct ProblemMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            var problem = problem(error, request, context)
            problem.instance = "urn:perch:request:" + context.requestID
            let status = HTTPResponse.Status(code: problem.status)
            var response = text(try ControlJSON.encode(problem) + "\n", type: Problem.mediaType, status: status)
            if let seconds = problem.retryAfter { response.headers[.retryAfter] = String(seconds) }
            if problem.kind == .tokenNeeded { response.headers[.wwwAuthenticate] = "Bearer" }
            if leavesBodyUnread(problem) {
                // The rest of the body is thrown away while the caller reads this answer, but not for long.
                response.headers[.connection] = "close"
                context.channel.eventLoop.scheduleTask(in: .seconds(5)) { context.channel.close(promise: nil) }
            }
            return response
        }
    }

    private func problem(_ error: any Error, _ request: Request, _ context: APIContext) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let refusal as Refusal: return Problem(refusal)
        case let failure as any HTTPResponseError where failure.status == .notFound:
            return Problem(.notFound, "\(request.method) \(request.uri.path) is nothing this API has")
        case let failure as any HTTPResponseError where failure.status == .contentTooLarge:
            return Problem(.tooLarge, "the body is larger than this API takes")
        case let failure as any HTTPResponseError where (400..<500).contains(failure.status.code):
            return Problem(.malformed, "the request cannot be read")
        case is CancellationError:
            return Problem(.unavailable, "perchd is stopping", retryAfter: 5)
        default:
            context.logger.error("request failed", metadata: ["error": "\(String(reflecting: error))"])
            return Problem(.failed, "perchd failed to answer", hint: "its log has the reason under this request's id")
        }
    }

    private func leavesBodyUnread(_ problem: Problem) -> Bool {
        switch problem.kind {
        case .tooLarge, .tooManyRequests, .requestTimedOut: true
        default: false
        }
    }
}

/// The whole body, no more than `limit` bytes and no later than the settings allow.
func body(of request: Request, atMost limit: Int, within span: Duration) async throws -> ByteBuffer {
    let tooLarge = Problem(.tooLarge, "the body is larger than \(limit) bytes")
    if let announced = request.headers[.contentLength].flatMap({ Int($0) }), announced > limit { throw tooLarge }
    return try await withThrowingTaskGroup(of: ByteBuffer?.self) { group in
        group.addTask {
            var whole = ByteBuffer()
            for try await part in request.body {
                guard whole.readableBytes + part.readableBytes <= limit else { throw tooLarge }
                whole.writeImmutableBuffer(part)
            }
            return whole
        }
        group.addTask {
            try await Task.sleep(for: span)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let whole = first else {
            throw Problem(.requestTimedOut, "the body did not arrive within \(span)")
        }
        return whole
    }
}

/// A JSON document sent with a command; an empty body is an empty document.
func document<Document: Decodable>(
    _ type: Document.Type, of request: Request, _ settings: APISettings
) async throws -> Document {
    let bytes = try await body(of: request, atMost: settings.largestCommand, within: settings.bodyWithin.duration)
    let json = bytes.readableBytes == 0 ? Array("{}".utf8) : Array(bytes.readableBytesView)
    do {
        return try ControlJSON.decode(type, from: json)
    } catch let error as DecodingError {
        throw Problem(.malformed, "the body is not the JSON this command takes", place: place(of: error))
    }
}

private func place(of error: DecodingError) -> String? {
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
        .dataCorrupted(let context):
        context.codingPath.isEmpty ? nil : "/" + context.codingPath.map(\.stringValue).joined(separator: "/")
    @unknown default: nil
    }
}
