// After the rename: only forward. The data is switched whatever happens here, and each step can be done again.

import Logging
import Ports
import Postgres
import Releases
import SystemPackage

import struct Foundation.Data
import class Foundation.FileManager
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// What a rollback did, written before the rename so that it is known after a crash.
struct Outcome: Codable {
    var summary: RewindSummary
    /// Requests were held from about then on.
    var heldSince: Instant

    func write(to path: FilePath) throws(Failure) {
        do {
            try writeDurably(try JSONEncoder().encode(self), to: path.string)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot write \(path): \(error)")
        }
    }

    /// - Returns: nil when it is not there or cannot be read: the switch has happened all the same.
    static func read(_ path: FilePath) -> Outcome? {
        guard let bytes = FileManager.default.contents(atPath: path.string) else { return nil }
        return try? JSONDecoder().decode(Outcome.self, from: bytes)
    }

    /// Until then requests or clients may still wait.
    var isFinished: Bool { summary.heldMilliseconds > 0 }

    /// Another run's requests were let go by the router at the latest when their deadline came.
    mutating func finish(heldSince: ContinuousClock.Instant?, freeze: Span) {
        guard !isFinished else { return }
        let held = heldSince.map { (ContinuousClock.now - $0).milliseconds }
        summary.heldMilliseconds =
            held ?? min(wallClock().since(self.heldSince).milliseconds, freeze.milliseconds)
    }

    static func unknown(_ names: DatabaseNames) -> Outcome {
        Outcome(
            summary: RewindSummary(
                mode: "swap", previousDatabase: names.previous,
                notUndone: ["the data was switched, but the numbers of what was done are lost"]),
            heldSince: wallClock())
    }
}

struct Aftermath: Sendable {
    let run: RewindRun

    /// - Parameter heldSince: nil when this is not the run that held the requests.
    func finish(_ cluster: Cluster, heldSince: ContinuousClock.Instant?) async throws(Failure) -> RewindSummary {
        try await reach(run.faultPoint, "switch.renamed")
        var outcome = Outcome.read(run.outcome) ?? .unknown(run.names)
        // First, for instances may use the pooler as well.
        var stillPaused: Failure?
        do throws(Failure) {
            try await run.pooler?.letGo(anew: true)
        } catch {
            stillPaused = error
        }
        do throws(Failure) {
            try await run.gate.reconnect()
        } catch {
            outcome.summary.notUndone.append("instances did not come back to the switched database: \(error.message)")
            run.log.error("instances did not reconnect", metadata: ["reason": "\(error.message)"])
        }
        await run.gate.letGo()
        if let stillPaused {
            throw Failure(
                "the data is switched, but \(stillPaused.message)", hint: stillPaused.hint, isTransient: true)
        }
        if !outcome.isFinished {
            outcome.finish(heldSince: heldSince, freeze: run.policy.freeze)
            try outcome.write(to: run.outcome)
        }
        try await reach(run.faultPoint, "switch.letGo")
        await tidy(cluster)
        return outcome.summary
    }

    /// The slot, which belongs to the previous database, and replay's own tables. Cleaning up later does it as well.
    private func tidy(_ cluster: Cluster) async {
        await run.recording.suspend()
        do {
            let previous = try await run.source.session(run.names.previous, "")
            _ = try await previous.query(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active",
                [run.recording.slot])
            await previous.close()
            let live = try await run.source.session(run.names.live, "SET client_min_messages = warning")
            try await live.execute(
                """
                \(CloneState.removal)
                DO $perch$
                BEGIN
                    DROP SCHEMA IF EXISTS perch;
                EXCEPTION WHEN dependent_objects_still_exist THEN NULL;
                END
                $perch$
                """)
            await live.close()
        } catch {
            run.log.warning("leftovers of the rollback stay", metadata: ["reason": "\(error)"])
        }
    }
}
