// The snapshot as a database beside the live one: created, filled by pg_restore, held against the snapshot's fingerprints.

import Glibc
import Ports
import Postgres
import Releases

struct Restore: Sendable {
    let names: DatabaseNames
    /// Of the live database.
    let admin: ConnectionSettings
    let manifest: Manifest
    /// pg_dump's folder.
    let dump: String
    let programs: PostgresPrograms
    let faultPoint: FaultPoint

    private var settings: ConnectionSettings { admin.with(database: names.restored) }

    /// Makes sure that the restored database is there and whole; what is half made is made again.
    func ensure(_ cluster: Cluster, progress: @Sendable (String) async -> Void) async throws(Failure) {
        if let found = try await cluster.find(names.restored) {
            switch found.mark {
            case .restored(names.release), .switching(names.release): return
            case .restoring(names.release): break
            case nil where found.comment == nil: break
            case nil, .restoring, .restored, .switching, .previous:
                throw Failure(
                    "database \(names.restored) is in the way and is not this release's",
                    hint: "rename or drop it, then ask for the rollback again")
            }
            await progress("dropping the half-restored database \(names.restored)")
            try await cluster.drop(names.restored)
        }
        await progress("restoring the snapshot of \(manifest.lsn) into database \(names.restored)")
        let name = quoteIdentifier(names.restored)
        _ = try await cluster.query(
            manifest.settings.creation(of: names.restored), [], "create database \(names.restored)")
        try await cluster.mark(names.restored, .restoring(names.release))
        // Nobody but Perch has business in it before the switch.
        _ = try await cluster.query(
            "REVOKE CONNECT ON DATABASE \(name) FROM PUBLIC", [], "close database \(names.restored) to others")
        try await reach(faultPoint, "restore.created")
        try await programs.run(
            "pg_restore",
            [
                "--exit-on-error", "--jobs=\(max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))",
                "--dbname=\(names.restored)", dump,
            ],
            on: settings.with(
                "options", (admin.parameters["options"].map { $0 + " " } ?? "") + "-c synchronous_commit=off"))
        try await reach(faultPoint, "restore.loaded")
        do {
            let connection = try await Connection.open(settings)
            try await connection.execute(Replay.session)
            try await removeMarks(connection)
            try await compareWithManifest(connection)
            try await connection.execute(
                "ANALYZE; SET synchronous_commit = on; \(CloneState.creation(position: manifest.lsn))")
            await connection.close()
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("cannot prepare database \(names.restored): \(error)", isTransient: true)
        }
        try await cluster.mark(names.restored, .restored(names.release))
        try await reach(faultPoint, "restore.marked")
    }

    /// The dump was made while the recording was set up: what Perch put into the database may be in it.
    private func removeMarks(_ connection: Connection) async throws {
        try await Attribution.remove(of: names.release, on: connection, deadline: .seconds(10))
        let publications = try await connection.query("SELECT pubname FROM pg_publication WHERE pubname ~ '^perch_'")
        for row in publications.rows {
            try await connection.execute("DROP PUBLICATION \(quoteIdentifier(row[0]!))")
        }
    }

    private func compareWithManifest(_ connection: Connection) async throws {
        let tables = try await RestoredTables.read(connection)
        let found = Dictionary(uniqueKeysWithValues: tables.withRows.map { ($0.name.description, $0.name) })
        for expected in manifest.tables {
            guard let name = found[expected.table] else {
                throw Failure("table \(expected.table) of the snapshot was not restored", hint: Self.damage)
            }
            let found = try await TableFingerprint.read(name, on: connection)
            guard found == expected else {
                throw Failure(
                    "table \(expected.table) was restored with \(found.rows) rows that are not the \(expected.rows) of the "
                        + "snapshot", hint: Self.damage)
            }
        }
        let lines = try await SchemaFingerprint.lines(on: connection)
        if let line = Set(lines).symmetricDifference(manifest.schema).min() {
            throw Failure("the restored schema is not the snapshot's: \(line.prefix(200))", hint: Self.damage)
        }
    }

    private static let damage = "the dump is damaged: a data rollback is not possible; live data is untouched"
}
