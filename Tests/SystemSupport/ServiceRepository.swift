// The service's git repository: each version is a commit on top of the one before.

import Foundation

package struct ServiceRepository: Sendable {
    package let path: String

    init(at path: String) async throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: Self.file("service.py"), toPath: "\(path)/service.py")
        try await git("init", "--quiet", "--initial-branch=main")
    }

    /// A file of the service's folder in this module.
    static func file(_ name: String) -> String { Bundle.module.resourcePath! + "/Service/" + name }

    /// - Returns: the new commit's id.
    package func commit(_ version: ServiceVersion) async throws -> String {
        try version.source.write(toFile: "\(path)/release.py", atomically: false, encoding: .utf8)
        try await git("add", ".")
        try await git("commit", "--quiet", "--message=Version \(version.name)")
        return try await git("rev-parse", "HEAD").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// With nobody's own settings.
    @discardableResult
    private func git(_ arguments: String...) async throws -> String {
        try await run(
            ["/usr/bin/git", "-C", path] + arguments,
            environment: [
                "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ana Lind",
                "GIT_AUTHOR_EMAIL": "ana@shop.example", "GIT_COMMITTER_NAME": "Ana Lind",
                "GIT_COMMITTER_EMAIL": "ana@shop.example",
            ])
    }
}
