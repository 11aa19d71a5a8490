// pg_dump and pg_restore as child processes: of a version that fits the server, ended with us, no password on the command
// line.

import Foundation
import Ports
import Postgres
import Subprocess
import SystemPackage

struct PostgresPrograms: Sendable {
    /// The folder of programs; nil: those in PATH.
    let folder: String?

    /// The oldest installed version that is not older than the server: Debian's folders first, then PATH.
    ///
    /// - Parameter serverVersion: as libpq counts, `150012`.
    static func fitting(serverVersion: Int) -> PostgresPrograms {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
            .sorted()
        let fitting = versions.first { version in
            version >= serverVersion / 10_000
                && FileManager.default.isExecutableFile(atPath: "\(root)/\(version)/bin/pg_restore")
        }
        return PostgresPrograms(folder: fitting.map { "\(root)/\($0)/bin" })
    }

    /// What libpq says, in English, when the server went away or does not take connections for a while.
    private static let isLossOfConnection = [
        "server closed the connection unexpectedly", "could not receive data from server",
        "could not send data to server", "SSL SYSCALL error", "no connection to the server", "Connection refused",
        "the database system is", "terminating connection", "crash of another server process",
    ]

    /// Runs one of them to its end.
    ///
    /// - Parameters:
    ///   - settings: where it connects; its password goes through the environment.
    ///   - complaintsAreFailures: false: only the exit status counts.
    /// - Returns: what it wrote on standard output, the last 64 KiB of it at most.
    /// - Throws: with the last lines of its standard error.
    @discardableResult
    func run(_ program: String, _ arguments: [String], on settings: ConnectionSettings) async throws(Failure) -> String
    {
        var options = PlatformOptions()
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: .seconds(3)),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1)),
        ]
        let executable: Executable = folder.map { .path(FilePath("\($0)/\(program)")) } ?? .name(program)
        let status: TerminationStatus
        let output: String
        let complaint: String
        do {
            let result = try await Subprocess.run(
                executable, arguments: Arguments(arguments),
                environment: .inherit.updating(Self.environment(settings, program)),
                platformOptions: options, output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
            status = result.terminationStatus
            output = result.standardOutput
            complaint = result.standardError
        } catch {
            throw Failure(
                "cannot run \(program): \(error)",
                hint: "install PostgreSQL's client programs of the server's version: apt-get install postgresql-client")
        }
        if Task.isCancelled { throw Failure("\(program) was cancelled", isTransient: true) }
        guard status.isSuccess else {
            let lines = complaint.split(separator: "\n").suffix(4).joined(separator: "; ")
            throw Failure(
                "\(program) ended with \(status): \(lines)",
                isTransient: Self.isLossOfConnection.contains(where: complaint.contains))
        }
        return output
    }

    /// The version's own words: `pg_dump (PostgreSQL) 15.14`.
    func version(of program: String, on settings: ConnectionSettings) async throws(Failure) -> String {
        try await run(program, ["--version"], on: settings).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// libpq reads these; what the settings do not say must not come from perchd's own environment.
    private static func environment(_ settings: ConnectionSettings, _ program: String) -> [Environment.Key: String?] {
        let variables = [
            "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER",
            "password": "PGPASSWORD", "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE", "sslcert": "PGSSLCERT",
            "sslkey": "PGSSLKEY", "sslrootcert": "PGSSLROOTCERT", "connect_timeout": "PGCONNECT_TIMEOUT",
            "channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE", "options": "PGOPTIONS",
        ]
        var changes: [Environment.Key: String?] = [:]
        for (keyword, variable) in variables {
            changes[Environment.Key(stringLiteral: variable)] = .some(settings.parameters[keyword])
        }
        changes["PGAPPNAME"] = "perchd \(program)"
        changes["LC_ALL"] = "C"
        return changes
    }
}
