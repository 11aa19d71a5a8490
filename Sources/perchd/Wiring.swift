// Which concrete types stand behind the controller's ports.

import Controller
import Evidence
import Foundation
import Logging
import Measurements
import Platforms
import Policies
import Ports
import Postgres
import Releases
import Rewind

struct Wiring {
    let policies: [ServiceName: Policy]
    let ports: ControllerPorts
    let store: ConnectionSettings
    /// Rotates the instances' output and reaps those that ended, beside everything else.
    let platform: ProcessPlatform

    init(_ settings: Settings, logger: Logger) throws(Failure) {
        let (policies, mistakes) = PolicyFile.loadFolder(settings.policies)
        guard mistakes.isEmpty else {
            throw Failure(mistakes.map(\.description).joined(separator: "\n"))
        }
        guard !policies.isEmpty else {
            throw Failure(
                "\(settings.policies) has no policy file", hint: "one YAML file a service; see policies/shop.yaml")
        }
        self.policies = policies
        store = try Self.connection(settings.store)
        let source = GitSource(dataFolder: settings.data, logger: logger)
        platform = ProcessPlatform(dataFolder: settings.data, logger: logger)
        ports = ControllerPorts(
            platform: platform,
            traffic: EmbeddedRouter(dataFolder: settings.data, perchdPath: Self.executable, logger: logger),
            source: source,
            data: PostgresData(
                dataFolder: settings.data, secrets: { secret throws(Failure) in try Self.value(of: secret) },
                logger: logger),
            evidence: CommitEvidence(source: source, history: source, logger: logger),
            metrics: MetricSources { secret throws(Failure) in try Self.value(of: secret) })
    }

    static func value(of secret: Secret) throws(Failure) -> String {
        do {
            return try Policies.resolve(secret)
        } catch {
            throw Failure(error.message, hint: error.hint)
        }
    }

    static func connection(_ secret: Secret) throws(Failure) -> ConnectionSettings {
        do {
            return try ConnectionSettings(url: try value(of: secret))
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure("\(secret): \(error)", hint: "a libpq URI: postgres://user@host:5432/perch")
        }
    }

    /// This very program, for the routers it starts.
    static var executable: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }
}
