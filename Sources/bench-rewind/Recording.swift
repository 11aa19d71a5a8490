// A database that Perch records, with everything a policy needs to say about it.

import Foundation
import Logging
import Ports
import Postgres
import PostgresSupport
import Releases
import Rewind
import SystemPackage

struct Recording: Sendable {
    let stage: Stage
    let database: String
    let release: ReleaseID
    let data: PostgresData
    let policy: Policy

    /// Takes the snapshot and starts to record. Nobody may be writing yet.
    static func start(_ stage: Stage, _ database: String, number: Int) async throws -> Recording {
        let url = stage.server.url(database: database)
        try await stage.run("CREATE ROLE \(database)_canary LOGIN")
        let secret = Secret.environment("BENCH_URL")
        let service = ServiceName(rawValue: "bench")!
        var settings = Policy.Database(url: secret, adminURL: secret, canaryRole: "\(database)_canary")
        settings.recordingBudgetBytes = 64 << 30
        let recording = Recording(
            stage: stage, database: database, release: ReleaseID(service: service, number: number),
            data: PostgresData(
                dataFolder: stage.folder, secrets: { _ throws(Failure) in url },
                logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }),
            policy: Policy(
                service: service, source: .init(repository: stage.folder),
                platform: .init(process: .init(command: ["true"])), traffic: .init(listen: "127.0.0.1:0"),
                cohort: .init(steps: []), database: settings))
        _ = try await recording.data.snapshot(release: recording.release, policy: recording.policy) { _ in }
        return recording
    }

    /// Returns when everything committed so far is in the journal.
    func catchUp() async throws {
        try await data.fenceCanary(release: release, policy: policy)
    }

    /// What was recorded: number of transactions with changes, and where the last of them ends.
    func contents() async throws -> (transactions: Int, end: LogSequenceNumber) {
        let journal = FilePath(stage.folder).appending("releases").appending(release.description).appending("journal")
        var reader = try JournalReader(folder: journal)
        var transactions = 0
        var end = LogSequenceNumber.zero
        try await reader.forEachTransaction(upTo: nil) { transaction in
            if transaction.changes.isEmpty { return }
            transactions += 1
            end = transaction.endLSN
        }
        return (transactions, end)
    }

    func resume() async throws { try await data.resumeRecording(release: release, policy: policy) }
    func stop() async { await data.stopRecording() }
    func remove() async throws { try await data.cleanUp(release: release, policy: policy) }
}
