// PostgreSQL's own programs, run as a user that they accept.

import Foundation
import Glibc

/// What kept a test's server from doing its work.
package struct SupportError: Error, CustomStringConvertible {
    package let message: String
    package var description: String { message }

    package init(_ message: String) { self.message = message }
}

/// Where initdb and pg_ctl are, and how to run them.
struct ServerPrograms: Sendable {
    /// A folder with `initdb`, `pg_ctl`, `postgres`.
    let folder: String
    /// Words before every command: out of the tests' folder, where the server's user may have no right to be, and as
    /// root the change of user.
    let prefix: [String]

    /// PERCH_TEST_PG_BIN, or the newest version in /usr/lib/postgresql.
    init() throws {
        folder = try Self.find()
        let asPostgres = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        prefix = ["/usr/bin/env", "--chdir=/"] + (getuid() == 0 ? asPostgres : [])
    }

    private static func find() throws -> String {
        if let given = ProcessInfo.processInfo.environment["PERCH_TEST_PG_BIN"], !given.isEmpty { return given }
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        guard let newest = versions.compactMap({ Int($0) }).max() else {
            throw SupportError("no PostgreSQL in \(root)\nhint: install it, or set PERCH_TEST_PG_BIN to its programs")
        }
        return "\(root)/\(newest)/bin"
    }

    /// A new folder that the server's user owns. In /tmp itself: a socket's path has at most 107 bytes.
    func makeFolder() throws -> String {
        var template = Array("/tmp/perch-pg-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw SupportError("no folder in /tmp: \(String(cString: strerror(errno)))")
        }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if getuid() == 0 {
            guard let user = getpwnam("postgres"), chown(path, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
                throw SupportError("\(path): could not be given to user postgres, whom the server must run as")
            }
        }
        return path
    }

    /// - Parameter evidence: a file whose end tells why the program failed, beside its own `output`.
    func run(_ program: String, _ arguments: [String], output: String, evidence: String? = nil) async throws {
        let process = try ChildProcess(prefix + ["\(folder)/\(program)"] + arguments, output: output)
        let status = await process.wait()
        if status == 0 { return }
        let said = [output, evidence].compactMap { $0 }.map(Self.end(of:)).joined(separator: "\n")
        throw SupportError("\(program) \(arguments.joined(separator: " ")) ended with \(status):\n\(said)")
    }

    private static func end(of file: String) -> String {
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(15).joined(separator: "\n")
    }
}
