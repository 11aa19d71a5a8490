// A commit made runnable: its files in a folder of their own, built there once.
//
//     checkouts/<service>/<commit>/        the files, and what the build made of them
//     checkouts/<service>/<commit>.built   written last: from what, with which command
//     checkouts/<service>/<commit>.lock    held while any of this is made
//
// Built where it will run, because builds write their folder into what they make. Files appear at once, by rename; a
// folder without its marker is of a build that failed or died, and is made again from nothing.

import FoundationEssentials
import Glibc
import Logging
import Ports
import Releases

struct Checkouts: Sendable {
    let dataFolder: String
    let logger: Logger

    /// What a checkout was made with; another command or repository makes it stale.
    private struct Marker: Codable, Hashable {
        var repository: String
        var build: [String]
    }

    func folder(of commit: CommitID, service: ServiceName) -> String {
        "\(dataFolder)/checkouts/\(service)/\(commit)"
    }

    /// The folder of a commit that was prepared.
    func prepared(_ commit: CommitID, service: ServiceName) throws(Failure) -> String {
        let folder = folder(of: commit, service: service)
        guard FileSystem.exists("\(folder).built") else {
            throw Failure("commit \(commit.short) of \(service) is not prepared in \(folder)", hint: "prepare it first")
        }
        return folder
    }

    /// - Parameter isInUse: whether an instance runs from the commit's folder.
    func prepare(
        _ commit: CommitID, policy: Policy, isInUse: @Sendable () -> Bool
    ) async throws(Failure) {
        let folder = folder(of: commit, service: policy.service)
        let wanted = Marker(
            repository: Redaction.withoutURLPasswords(policy.source.repository), build: policy.source.build)
        if marker(of: folder) == wanted { return }
        try FileSystem.makeFolder("\(dataFolder)/checkouts/\(policy.service)")
        let patience = policy.source.buildWithin.duration + .seconds(600)
        try await withFileLock("\(folder).lock", patience: patience) { () throws(Failure) in
            let found = marker(of: folder)
            if found == wanted { return }
            guard !isInUse() else {
                throw Failure(
                    "commit \(commit.short) of \(policy.service) runs from a build made differently",
                    hint: "stop its instances, or release a new commit, before source.build changes take effect")
            }
            let home = ProcessHome(in: "\(dataFolder)/builds", name: "build-\(policy.service)-\(commit.short)")
            // What a daemon that died left building.
            try await home.stop(drain: .zero)
            try FileSystem.remove("\(folder).built")
            try FileSystem.remove(folder)
            try await checkOut(commit, repository: policy.source.repository, into: folder)
            try await build(policy, commit: commit, in: folder, home: home)
            try write(wanted, of: folder)
        }
    }

    private func marker(of folder: String) -> Marker? {
        guard let bytes = FileSystem.read("\(folder).built"), FileSystem.exists(folder) else { return nil }
        return try? JSONDecoder().decode(Marker.self, from: Data(bytes))
    }

    private func write(_ marker: Marker, of folder: String) throws(Failure) {
        let bytes: Data
        do {
            bytes = try JSONEncoder().encode(marker)
        } catch {
            throw Failure("cannot encode the marker of \(folder): \(error)")
        }
        // The marker must not outlive, after a loss of power, what it stands for.
        sync()
        try FileSystem.replace("\(folder).built", with: bytes)
    }

    private func checkOut(_ commit: CommitID, repository: String, into folder: String) async throws(Failure) {
        let mirror = try GitMirror(of: repository, in: dataFolder)
        try await mirror.ensure(commit)
        let temporary = "\(folder).new"
        try FileSystem.remove(temporary)
        // A clone that borrows the mirror's objects: cheap, and builds that ask git for their version get an answer.
        _ = try await mirror.git([
            "clone", "--quiet", "--shared", "--no-checkout", "--template=", "--", mirror.path, temporary,
        ])
        .output()
        let clone = { (arguments: [String]) in
            GitCommand(repository: temporary, arguments: arguments, deadline: .seconds(300))
        }
        _ = try await clone(["remote", "set-url", "origin", mirror.shownName]).output()
        _ = try await clone(["checkout", "--quiet", "--force", "--detach", commit.rawValue]).output()
        if FileSystem.exists("\(temporary)/.gitmodules") {
            logger.warning(
                "submodules are not checked out",
                metadata: ["commit": "\(commit)", "repository": "\(mirror.shownName)"])
        }
        guard rename(temporary, folder) == 0 else {
            throw Failure("cannot rename \(temporary): \(FileSystem.lastError())")
        }
        FileSystem.syncFolder(of: folder)
    }

    private func build(_ policy: Policy, commit: CommitID, in folder: String, home: ProcessHome) async throws(Failure) {
        guard !policy.source.build.isEmpty else { return }
        try FileSystem.remove(home.path)
        var environment = ProcessEnvironment.inherited
        environment.merge(policy.platform.process.environment) { _, ours in ours }
        environment["PERCH_SERVICE"] = policy.service.rawValue
        environment["PERCH_COMMIT"] = commit.rawValue
        let launch = ProcessHome.Launch(command: policy.source.build, environment: environment, folder: folder)
        _ = try home.start(launch, subject: AnySubject(), now: .now)
        logger.info("build started", metadata: ["service": "\(policy.service)", "commit": "\(commit)"])

        let deadline = ContinuousClock.now + policy.source.buildWithin.duration
        do throws(Failure) {
            while home.presence == .running {
                guard ContinuousClock.now < deadline else {
                    throw Failure(
                        described("the build of \(commit.short) did not end within \(policy.source.buildWithin)", home),
                        hint: "raise source.build_within, or look at \(home.output.path)")
                }
                try await pause(for: .milliseconds(50))
            }
        } catch {
            // A cancelled task cannot wait; SIGKILL needs no patience.
            await Task.detached { try? await home.stop(drain: .zero) }.value
            throw error
        }
        let presence = home.presence
        // What it left behind in its session, as a compiler's server.
        try await home.stop(drain: .zero)
        guard presence == .ended("exited with status 0") else {
            throw Failure(
                described("the build of \(commit.short) failed: \(presence.words)", home),
                hint:
                    "run \(policy.source.build.joined(separator: " ")) in a clean checkout; output: \(home.output.path)"
            )
        }
    }

    private func described(_ message: String, _ home: ProcessHome) -> String {
        let lines = home.output.lastLines(20)
        return lines.isEmpty
            ? message : message + "; its last lines:\n" + lines.map { "    \($0)" }.joined(separator: "\n")
    }
}
