// What the tests of this folder share: an incident to fill in, and a repository made commit by commit.

import Foundation
import Logging
import Ports
import Releases
import Traffic

@testable import Evidence
@testable import Platforms

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
let shop = ServiceName(rawValue: "shop")!

func id(_ digit: Character) -> CommitID { CommitID(rawValue: String(repeating: digit, count: 40))! }

func summary(_ id: CommitID, _ subject: String = "subject") -> CommitSummary {
    CommitSummary(id: id, author: "Ada <ada@example.com>", subject: subject, committedAt: 1_772_366_400_000)
}

func policy(_ repository: String = "/srv/shop.git") -> Policy {
    Policy(
        service: shop, source: .init(repository: repository), platform: .init(process: .init(command: ["shop"])),
        traffic: .init(listen: "127.0.0.1:8080"), cohort: .init(steps: []), database: nil)
}

func incident(
    stable: CommitID? = id("a"), canary: CommitID = id("b"), repository: String = "/srv/shop.git",
    samples: [FailureSample] = [], output: [String: [String]] = [:]
) -> Incident {
    Incident(
        release: ReleaseID(service: shop, number: 42), policy: policy(repository), stable: stable, canary: canary,
        build: nil, links: [:], timeline: [], why: ["failed requests: 12% of 100, the limit is 1%"],
        judgement: VerdictInputs(
            look: 17, stable: .init(bad: 1, total: 1_140), canary: .init(bad: 5, total: 60), wealth: 15_042, limit: 100,
            metric: "errors"),
        outcome: "rolled back: failed requests: 12% of 100, the limit is 1%",
        firstBadResponse: Instant(millisecondsSince1970: 1_772_366_400_000),
        shareZeroAt: Instant(millisecondsSince1970: 1_772_366_401_430),
        samples: SampleReport(release: "shop-42", samples: samples, dropped: 3, firstFailureAt: 1_772_366_400_000),
        output: output, rewind: nil, recording: nil, quarantine: [], advice: [])
}

func sample(_ body: String, method: String = "POST", target: String = "/orders", status: Int = 500) -> FailureSample {
    FailureSample(
        arm: "canary", instance: "shop-42-canary-1", at: 1_772_366_400_000, kind: .status, method: method,
        target: target,
        requestHeaders: [.init(name: "Cookie", value: "session=s3cret")], requestBody: #"{"card":"4111","id":7}"#,
        status: status, responseHeaders: [.init(name: "Content-Type", value: "text/plain")], responseBody: body,
        latencyMicroseconds: 12_340, trace: nil)
}

func traceback(_ file: String, _ line: Int, in function: String) -> String {
    """
    Traceback (most recent call last):
      File "/usr/lib/python3.11/http/server.py", line 421, in handle_one_request
        method()
      File "/app/\(file)", line \(line), in \(function)
        broken()
    ValueError: broken
    """
}

struct Repository: Sendable {
    let path: String
    private let folder: String
    var source: GitSource { GitSource(dataFolder: "\(folder)/data", logger: quiet) }
    var evidence: CommitEvidence { CommitEvidence(source: source, history: source, logger: quiet) }

    static func with(_ body: (Repository) async throws -> Void) async throws {
        let folder = "/tmp/perch-evidence-\(UInt32.random(in: 0...UInt32.max))"
        let repository = Repository(path: "\(folder)/shop", folder: folder)
        try FileManager.default.createDirectory(atPath: repository.path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await repository.git("init", "--quiet", "--initial-branch=main")
        try await repository.git("config", "user.name", "Ada")
        try await repository.git("config", "user.email", "ada@example.com")
        try await body(repository)
    }

    @discardableResult
    func git(_ arguments: String...) async throws -> String {
        try await GitCommand(repository: path, arguments: arguments, deadline: .seconds(60)).output()
    }

    @discardableResult
    func commit(_ message: String, _ files: [String: String?]) async throws -> CommitID {
        for (file, text) in files {
            let target = URL(fileURLWithPath: "\(path)/\(file)")
            guard let text else {
                try FileManager.default.removeItem(at: target)
                continue
            }
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: target)
        }
        try await git("add", "--all")
        try await git("commit", "--quiet", "--allow-empty", "-m", message)
        return try await head()
    }

    func head() async throws -> CommitID {
        let id = try await git("rev-parse", "HEAD").trimmingCharacters(in: .whitespacesAndNewlines)
        return CommitID(rawValue: id)!
    }

    /// The report on this canary, as a value again.
    func report(
        _ stable: CommitID?, _ canary: CommitID, _ samples: [FailureSample], output: [String: [String]] = [:]
    ) async throws -> ReportDocument {
        let documents = await evidence.report(
            on: incident(stable: stable, canary: canary, repository: path, samples: samples, output: output))
        return try decoded(documents.json)
    }
}

func decoded(_ json: String) throws -> ReportDocument {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(ReportDocument.self, from: Data(json.utf8))
}
