// One perchd: started, asked, killed. What it starts lives on without it and is ended by the system's folder.

package import ControlModel
import Crypto
import Foundation
import Glibc
package import Releases
import Synchronization

package final class Daemon: Sendable {
    package let port: Int
    package let socket: String
    package let log: String
    private let command: [String]
    private let environment: [String: String]
    private let secret: [UInt8]
    private let process = Mutex<Process?>(nil)

    init(port: Int, socket: String, log: String, command: [String], environment: [String: String], secret: [UInt8]) {
        self.port = port
        self.socket = socket
        self.log = log
        self.command = command
        self.environment = environment
        self.secret = secret
    }

    // MARK: Its process

    /// - Parameter isReady: wait until it leads; else only until it answers at all.
    package func start(isReady: Bool = true) async throws {
        try process.withLock { process in
            precondition(process?.isRunning != true, "it runs already")
            process = try launch(command, environment: environment, log: log)
        }
        try await until("perchd \(isReady ? "leads" : "answers")", elsewise: { self.lastLines(30) }) {
            guard isRunning else { throw SystemFailure("perchd ended:\n\(lastLines(30))") }
            return await status(of: isReady ? "/readyz" : "/healthz") == 200
        }
    }

    package var isRunning: Bool { process.withLock { $0?.isRunning ?? false } }
    package var pid: Int32 { process.withLock { $0?.processIdentifier ?? 0 } }

    package func signal(_ signal: Int32) { _ = Glibc.kill(pid, signal) }

    /// kill -9, and waits until it is gone.
    package func kill() async throws {
        signal(SIGKILL)
        try await until("perchd is gone") { !isRunning }
    }

    /// SIGTERM, and waits until it is gone.
    package func stop() async throws {
        guard isRunning else { return }
        signal(SIGTERM)
        do {
            try await until("perchd stops", within: .seconds(15)) { !isRunning }
        } catch {
            try await kill()
            throw error
        }
    }

    /// What it logged last, without the requests it answered.
    package func lastLines(_ count: Int) -> String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").filter { !$0.hasSuffix("[ControlAPI] request") }.suffix(count)
            .joined(separator: "\n")
    }

    // MARK: Asking it

    /// A webhook signed as Standard Webhooks ask.
    package func trigger(_ commit: String, delivery: String = "msg_\(UUID().uuidString)") async throws -> WireAnswer {
        let body = Array(#"{"commit":"\#(commit)","build":{"id":"build-\#(delivery)"}}"#.utf8)
        let moment = String(Int(Date().timeIntervalSince1970))
        let signed = HMAC<SHA256>.authenticationCode(
            for: Array("\(delivery).\(moment).".utf8) + body, using: SymmetricKey(data: secret))
        let signature = "v1," + Data(signed).base64EncodedString()
        return try await blocking { [port] in
            try Wire(.port(port)).exchange(
                "POST", "/hooks/shop",
                [
                    ("Content-Type", "application/json"), ("webhook-id", delivery), ("webhook-timestamp", moment),
                    ("webhook-signature", signature),
                ], body: body)
        }
    }

    package func status(of path: String) async -> Int? {
        try? await blocking { [port] in try Wire(.port(port), timeoutSeconds: 5).exchange("GET", path).status }
    }

    package func show(_ release: ReleaseID) async throws -> ReleaseDetail {
        try await get("/api/v1/releases/\(release)")
    }

    package func service() async throws -> ServiceStatus { try await get("/api/v1/services/shop") }

    package func quarantine(_ release: ReleaseID) async throws -> [QuarantineLine] {
        let list: QuarantineList = try await get("/api/v1/releases/\(release)/quarantine")
        return list.changes
    }

    private func get<Document: Decodable & Sendable>(_ path: String) async throws -> Document {
        let answer = try await blocking { [socket] in try Wire(.socket(socket)).exchange("GET", path) }
        guard answer.status == 200 else { throw SystemFailure("\(path) was answered \(answer.status): \(answer.text)") }
        return try ControlJSON.decode(Document.self, from: answer.body)
    }
}
