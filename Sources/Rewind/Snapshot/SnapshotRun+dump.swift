// What the snapshot's own sessions read: the dump, and what proves later that a restored database equals it.

import Glibc
import Ports
import Postgres
import Releases
import SystemPackage

import class Foundation.FileManager

extension SnapshotRun {
    /// Keeps the tables from being altered or emptied until the dump is done.
    ///
    /// TRUNCATE and rewriting ALTERs are not MVCC safe: one that committed after the snapshot and before the lock leaves a
    /// table that reads as empty in the snapshot.
    ///
    /// - Throws: when one was rewritten since the snapshot, or a lock cannot be had.
    func holdTables(_ tables: PublishedTables, _ holder: Connection) async throws(Failure) {
        guard !tables.all.isEmpty else { return }
        do {
            let names = tables.all.map(\.quoted).joined(separator: ", ")
            try await holder.execute(
                "set local lock_timeout = \(limits.lock.milliseconds); lock table \(names) in access share mode;"
                    + "set local lock_timeout = 0")
            let rewritten = try await holder.names(
                """
                select format('%I.%I', nspname, relname) from pg_class class
                join pg_namespace namespace on namespace.oid = relnamespace
                where relkind = 'r' and nspname !~ '^pg_' and nspname not in ('information_schema', 'perch')
                  and relfilenode <> 0 and pg_relation_filenode(class.oid) is distinct from relfilenode
                """)
            guard rewritten.isEmpty else {
                throw Failure(
                    "\(listed(rewritten)) was truncated or rewritten while the snapshot was taken", isTransient: true)
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                "tables of database \(admin.database) cannot be held for the dump: \(error)",
                hint: "a migration or maintenance holds a lock: ask again when it is over", isTransient: true)
        }
    }

    /// pg_dump and the fingerprints, side by side.
    func dump(
        _ tables: PublishedTables, _ identity: JournalIdentity, _ holder: Connection, _ snapshot: String
    ) async throws(Failure) -> Manifest {
        let version = await holder.serverVersion
        let programs = PostgresPrograms.fitting(serverVersion: version)
        let jobs = max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        async let dumped = programs.run(
            "pg_dump",
            [
                "--format=directory", "--jobs=\(jobs)", "--file=\(folder.dump)", "--snapshot=\(snapshot)",
                "--lock-wait-timeout=\(limits.lock.milliseconds)", "--exclude-schema=perch", "--no-password",
            ],
            on: admin)
        async let fingerprints = fingerprints(of: tables.leaves, snapshot, lanes: max(1, jobs / 2))
        do {
            let settings = try await DatabaseSettings.read(admin.database, on: holder)
            let schema = try await SchemaFingerprint.lines(on: holder)
            let program = try await programs.version(of: "pg_dump", on: admin)
            _ = try await dumped
            return Manifest(
                release: release, lsn: identity.start, systemIdentifier: "\(identity.systemIdentifier)",
                timeline: identity.timeline, database: admin.database,
                serverVersion: "\(version / 10_000).\(version % 10_000)", dumpProgram: program, settings: settings,
                schema: schema, tables: try await fingerprints, bytes: size(of: folder.dump), tookMilliseconds: 0)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("snapshot of database \(admin.database): \(error)", isTransient: true)
        }
    }

    /// Of the leaves, in their order, read by several sessions on the one snapshot.
    private func fingerprints(
        of tables: [TableName], _ snapshot: String, lanes: Int
    ) async throws -> [TableFingerprint] {
        try await withThrowingTaskGroup(of: [(Int, TableFingerprint)].self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    let connection = try await Connection.open(admin)
                    try await connection.execute("set statement_timeout = 0; \(TableFingerprint.pinnedSettings)")
                    try await connection.execute(
                        "begin isolation level repeatable read read only; "
                            + "set transaction snapshot \(quoteLiteral(snapshot))")
                    var read: [(Int, TableFingerprint)] = []
                    for index in stride(from: lane, to: tables.count, by: lanes) {
                        try Task.checkCancellation()
                        read.append((index, try await TableFingerprint.read(tables[index], on: connection)))
                    }
                    await connection.close()
                    return read
                }
            }
            var all: [(Int, TableFingerprint)] = []
            for try await part in group { all += part }
            return all.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func size(of folder: FilePath) -> Int64 {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        return names.reduce(0) { sum, name in
            var status = stat()
            return stat(folder.appending(name).string, &status) == 0 ? sum + Int64(status.st_size) : sum
        }
    }
}
