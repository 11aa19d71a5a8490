// What the daemon runs with: flags > environment > file > defaults.

import ArgumentParser
import ControlAPI
import Foundation
import Logging
import Policies
import Ports
import Releases
import Yams

struct SettingOptions: ParsableArguments {
    @Option(help: "Settings file (YAML).")
    var config: String?
    @Option(help: "Folder for checkouts, snapshots, journals and instance output. [PERCH_DATA]")
    var data: String?
    @Option(help: "Folder of policy files. [PERCH_POLICIES]")
    var policies: String?
    @Option(help: "Where the store's URL is found: env:NAME or file:PATH. [PERCH_STORE]")
    var store: String?
    @Option(help: "host:port of the API and the webhooks. [PERCH_LISTEN]")
    var listen: String?
    @Option(help: "Local socket of the API. [PERCH_SOCKET]")
    var socket: String?
    @Option(name: .customLong("public-url"), help: "How people reach the API. [PERCH_PUBLIC_URL]")
    var publicURL: String?
    @Option(name: .customLong("log-format"), help: "text or json. [PERCH_LOG_FORMAT]")
    var logFormat: String?
    @Option(name: .customLong("log-level"), help: "trace, debug, info, notice, warning, error. [PERCH_LOG_LEVEL]")
    var logLevel: String?
}

/// One setting with where its value came from, as `perchd check` prints it.
struct Setting {
    var name: String
    var value: String
    var origin: String
}

struct Settings {
    var data: String
    var policies: String
    var store: Secret
    /// nil: no TCP, only the socket.
    var listen: APISettings.TCPAddress?
    /// Empty: no socket.
    var socket: String
    var publicURL: String
    /// A TLS proxy on this machine stands in front of `listen`.
    var isBehindProxy: Bool
    /// `/metrics` answers without a token.
    var hasOpenMetrics: Bool
    var logFormat: LogFormat
    var logLevel: Logger.Level
    var readTokens: [Secret]
    var operateTokens: [Secret]
    /// In the order of the documentation.
    var listed: [Setting]

    /// The file's shape; unknown keys are mistakes.
    private struct File: Decodable {
        struct Store: Decodable { var url: String? }
        struct Tokens: Decodable {
            var read: [String]?
            var operate: [String]?
        }
        struct Log: Decodable {
            var format: String?
            var level: String?
        }
        var data: String?
        var policies: String?
        var store: Store?
        var listen: String?
        var socket: String?
        var tokens: Tokens?
        var publicURL: String?
        var behindProxy: Bool?
        var openMetrics: Bool?
        var log: Log?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case data, policies, store, listen, socket, tokens, log
            case publicURL = "public_url"
            case behindProxy = "behind_proxy"
            case openMetrics = "open_metrics"
        }
    }

    init(_ options: SettingOptions, environment: [String: String] = ProcessInfo.processInfo.environment) throws(Failure)
    {
        let path = options.config ?? environment["PERCH_CONFIG"]
        let file = try path.map { path throws(Failure) in try Self.read(path) }
        var listed: [Setting] = []
        func pick(_ name: String, _ flag: String?, _ variable: String, _ inFile: String?, _ fallback: String) -> String
        {
            let chosen: (String, String) =
                if let flag {
                    (flag, "flag")
                } else if let value = environment[variable], !value.isEmpty {
                    (value, variable)
                } else if let inFile {
                    (inFile, path ?? "file")
                } else {
                    (fallback, "default")
                }
            listed.append(Setting(name: name, value: chosen.0, origin: chosen.1))
            return chosen.0
        }
        data = pick("data", options.data, "PERCH_DATA", file?.data, "/var/lib/perch")
        policies = pick("policies", options.policies, "PERCH_POLICIES", file?.policies, "/etc/perch/policies")
        let storeText = pick("store.url", options.store, "PERCH_STORE", file?.store?.url, "env:PERCH_STORE_URL")
        let listenText = pick("listen", options.listen, "PERCH_LISTEN", file?.listen, "127.0.0.1:7390")
        socket = pick("socket", options.socket, "PERCH_SOCKET", file?.socket, "/run/perch/perchd.sock")
        publicURL = pick("public_url", options.publicURL, "PERCH_PUBLIC_URL", file?.publicURL, "http://\(listenText)")
        let format = pick("log.format", options.logFormat, "PERCH_LOG_FORMAT", file?.log?.format, "text")
        let level = pick("log.level", options.logLevel, "PERCH_LOG_LEVEL", file?.log?.level, "notice")
        guard let logFormat = LogFormat(rawValue: format) else {
            throw Failure("log.format is '\(format)'", hint: "text or json")
        }
        self.logFormat = logFormat
        guard let logLevel = Logger.Level(rawValue: level) else {
            throw Failure(
                "log.level is '\(level)'", hint: Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))
        }
        self.logLevel = logLevel
        listen = try Self.address(listenText)
        isBehindProxy = file?.behindProxy ?? false
        hasOpenMetrics = file?.openMetrics ?? false
        listed.append(Setting(name: "behind_proxy", value: "\(isBehindProxy)", origin: path ?? "default"))
        listed.append(Setting(name: "open_metrics", value: "\(hasOpenMetrics)", origin: path ?? "default"))
        store = try Self.secret(storeText, "store.url")
        readTokens = try (file?.tokens?.read ?? []).map { text throws(Failure) in try Self.secret(text, "tokens.read") }
        operateTokens = try (file?.tokens?.operate ?? []).map { text throws(Failure) in
            try Self.secret(text, "tokens.operate")
        }
        self.listed = listed
    }

    /// `host:port`, or `none`.
    private static func address(_ text: String) throws(Failure) -> APISettings.TCPAddress? {
        if text == "none" { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            colon != text.startIndex
        else { throw Failure("listen is '\(text)'", hint: "host:port such as 127.0.0.1:7390, or none") }
        return .init(host: String(text[..<colon]), port: Int(port))
    }

    private static func secret(_ text: String, _ name: String) throws(Failure) -> Secret {
        if text.hasPrefix("env:"), text.count > 4 { return .environment(String(text.dropFirst(4))) }
        if text.hasPrefix("file:"), text.count > 5 { return .file(String(text.dropFirst(5))) }
        throw Failure(
            "\(name) is neither env:NAME nor file:PATH", hint: "secrets never stand in the settings themselves")
    }

    private static func read(_ path: String) throws(Failure) -> File {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw Failure("\(path): cannot be read: \(error.localizedDescription)")
        }
        do {
            if let mapping = try Yams.compose(yaml: text)?.mapping {
                let known = Set(File.CodingKeys.allCases.map(\.rawValue))
                for (key, _) in mapping {
                    guard let name = key.string, known.contains(name) || name.hasPrefix("x-") else {
                        let mark = key.mark.map { ":\($0.line):\($0.column)" } ?? ""
                        throw Failure(
                            "\(path)\(mark): unknown key '\(key.string ?? "?")'",
                            hint: "known keys: \(known.sorted().joined(separator: ", "))")
                    }
                }
            }
            return try YAMLDecoder().decode(File.self, from: text)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("\(path): \(error)")
        }
    }
}
