// `perchd check`: what the daemon would use, and what is missing. Changes nothing.

import ArgumentParser
import Controller
import Foundation
import Logging
import Policies
import Ports
import Postgres
import Releases

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the settings in force and what is missing for a release.",
        discussion: "Exit code 0: nothing missing; 1: something is; 2: the settings cannot be read.")

    @OptionGroup var options: SettingOptions
    @Option(help: "text or json.") var output = "text"

    private struct Line: Encodable {
        var level: Finding.Level
        var subject: String
        var check: String
        var message: String
        var hint: String?
    }

    func run() async throws {
        LoggingSystem.bootstrap { LogFormat.text.handler(label: $0, level: .error) }
        let settings: Settings
        do {
            settings = try Settings(options)
        } catch {
            FileHandle.standardError.write(Data("perchd: \(error)\n".utf8))
            throw ExitCode(2)
        }
        var lines: [Line] = settings.listed.map {
            Line(level: .ok, subject: "settings", check: $0.name, message: "\($0.value) (\($0.origin))")
        }
        lines += await storeLines(settings)
        do {
            let wiring = try Wiring(settings, logger: Logger(label: "perchd check"))
            for policy in wiring.policies.values.sorted(by: { $0.service.rawValue < $1.service.rawValue }) {
                lines += await serviceLines(policy, wiring)
            }
        } catch {
            lines.append(
                Line(level: .failure, subject: "policies", check: "policies", message: error.message, hint: error.hint))
        }
        try print(lines)
        if lines.contains(where: { $0.level == .failure }) { throw ExitCode(1) }
    }

    private func storeLines(_ settings: Settings) async -> [Line] {
        do {
            let connection = try await Connection.open(try Wiring.connection(settings.store), timeout: .seconds(5))
            let version = await connection.serverVersion
            await connection.close()
            return [
                Line(
                    level: version >= 150_000 ? .ok : .failure, subject: "store", check: "server version",
                    message: "\(version / 10_000).\(version % 10_000)",
                    hint: version >= 150_000 ? nil : "PostgreSQL 15 or newer")
            ]
        } catch let failure as Failure {
            return [
                Line(
                    level: .failure, subject: "store", check: "reachable", message: failure.message, hint: failure.hint)
            ]
        } catch {
            return [
                Line(
                    level: .failure, subject: "store", check: "reachable", message: "\(error)",
                    hint: "create the database and set \(settings.store)")
            ]
        }
    }

    private func serviceLines(_ policy: Policy, _ wiring: Wiring) async -> [Line] {
        var lines: [Line] = []
        let name = policy.service.rawValue
        do {
            _ = try await wiring.ports.source.resolve("HEAD", repository: policy.source.repository)
            lines.append(Line(level: .ok, subject: name, check: "repository", message: policy.source.repository))
        } catch {
            lines.append(
                Line(level: .failure, subject: name, check: "repository", message: error.message, hint: error.hint))
        }
        for secret in policy.trigger.secrets {
            do {
                _ = try Wiring.value(of: secret)
                lines.append(Line(level: .ok, subject: name, check: "trigger secret", message: "\(secret)"))
            } catch {
                lines.append(
                    Line(
                        level: .failure, subject: name, check: "trigger secret", message: error.message,
                        hint: error.hint))
            }
        }
        guard policy.database != nil else { return lines }
        for finding in await wiring.ports.data.preflight(policy) {
            lines.append(
                Line(
                    level: finding.level, subject: name, check: finding.check, message: finding.message,
                    hint: finding.hint))
        }
        return lines
    }

    private func print(_ lines: [Line]) throws {
        if output == "json" {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            Swift.print(String(decoding: try encoder.encode(lines), as: UTF8.self))
            return
        }
        for line in lines {
            let mark = line.level == .ok ? "ok     " : line.level == .warning ? "warning" : "MISSING"
            Swift.print("\(mark)  \(line.subject): \(line.check): \(line.message)")
            if let hint = line.hint, line.level != .ok { Swift.print("         hint: \(hint)") }
        }
    }
}
