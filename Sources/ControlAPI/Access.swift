// Who may do what: the socket everything, TCP what its bearer token says.

import ControlModel
import HTTPTypes
import Hummingbird

/// What a caller may do.
enum Right: Int, Comparable, Sendable {
    case none, read, operate
    static func < (left: Right, right: Right) -> Bool { left.rawValue < right.rawValue }
}

struct Access: Sendable {
    private let operate: [[UInt8]]
    private let read: [[UInt8]]

    init(_ settings: APISettings) {
        operate = settings.operateTokens.filter { !$0.isEmpty }.map { Array($0.utf8) }
        read = settings.readTokens.filter { !$0.isEmpty }.map { Array($0.utf8) }
    }

    func right(of request: Request, from peer: Peer) -> Right {
        guard case .tcp = peer else { return .operate }
        guard let token = bearerToken(request) else { return .none }
        // Every token is compared, whole, so that the time taken says nothing about any of them.
        let mayOperate = operate.reduce(false) { isEqualInConstantTime($1, token) || $0 }
        let mayRead = read.reduce(false) { isEqualInConstantTime($1, token) || $0 }
        return mayOperate ? .operate : mayRead ? .read : .none
    }

    /// - Throws: ``Problem`` 401 or 403.
    func require(_ needed: Right, of request: Request, from peer: Peer) throws {
        let has = right(of: request, from: peer)
        guard has < needed else { return }
        if has == .read {
            throw Problem(
                .tokenTooWeak, "this token may read but not operate", hint: "use one of perchd's operate tokens")
        }
        guard !operate.isEmpty || !read.isEmpty else {
            throw Problem(
                .tokenNeeded, "perchd has no tokens, so nothing is answered here",
                hint: "use the Unix socket, or give perchd a token")
        }
        throw Problem(
            .tokenNeeded, request.headers[.authorization] == nil ? "no token was sent" : "the token is not known",
            hint: "send Authorization: Bearer TOKEN; `perch` takes it from --token or PERCH_TOKEN")
    }

    private func bearerToken(_ request: Request) -> [UInt8]? {
        guard let value = request.headers[.authorization], value.prefix(7).lowercased() == "bearer " else { return nil }
        return Array(value.dropFirst(7).trimmed.utf8)
    }
}

/// Takes as long for a wrong `candidate` as for the right one of the same length.
func isEqualInConstantTime(_ secret: [UInt8], _ candidate: [UInt8]) -> Bool {
    var difference = secret.count ^ candidate.count
    for (index, byte) in candidate.enumerated() {
        difference |= Int(byte ^ (secret.isEmpty ? 0 : secret[index % secret.count]))
    }
    return difference == 0 && !secret.isEmpty
}

/// Lets a group of routes through for a right; commands need `operate`, looking needs `read`.
struct AccessMiddleware: RouterMiddleware {
    let access: Access

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let isLook = request.method == .get || request.method == .head
        try access.require(isLook ? .read : .operate, of: request, from: context.peer)
        return try await next(request, context)
    }
}

/// Who gives a command: what `X-Perch-Actor` says, as it says it, or how the command came in.
func actorName(_ request: Request, _ context: APIContext) -> String {
    let given = request.headers[.actor]?.filter { !$0.isNewline && $0 >= " " } ?? ""
    guard given.isEmpty else { return String(given.prefix(200)) }
    return context.peer == .socket ? "socket" : "token"
}
