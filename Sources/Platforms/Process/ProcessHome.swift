// The folder of one detached process: who it is, what it wrote, how it ended. All that is known of it is here, so that any
// later daemon knows as much as the one that started it.

import FoundationEssentials
import Glibc
import Ports
import Releases
import Synchronization

/// What is written down about a process before it runs its program.
struct ProcessRecord<Subject: Codable & Sendable>: Codable, Sendable {
    var identity: ProcessIdentity
    var command: [String]
    var startedAt: Instant
    /// What it is to us: an instance, a build, a router.
    var subject: Subject
}

/// A record read only for the process behind it.
struct AnySubject: Codable, Sendable {}

/// `record.json` who runs; `output.log`, `output.log.1` what it wrote; `ended` how it ended; `ready` it answered once.
struct ProcessHome: Sendable {
    let path: String
    /// The folder's name, which is also the process's `PERCH_INSTANCE`.
    let name: String

    init(in folder: String, name: String) {
        path = "\(folder)/\(name)"
        self.name = name
    }

    enum Presence: Hashable, Sendable {
        case running
        /// Ended; how, when it is known.
        case ended(String)
        /// Nothing was started here, or it was stopped and its record taken away.
        case absent
    }

    var recordPath: String { "\(path)/record.json" }
    var output: OutputLog { OutputLog(path: "\(path)/output.log") }
    var variable: String { "PERCH_INSTANCE=\(name)" }
    /// Held while something is started or stopped here.
    var lockPath: String { "\(path).lock" }
    private var endedPath: String { "\(path)/ended" }
    private var readyPath: String { "\(path)/ready" }

    /// nil when nothing was started here, or the record is not one of ours.
    func record<Subject>(of subject: Subject.Type) -> ProcessRecord<Subject>? {
        guard let bytes = FileSystem.read(recordPath) else { return nil }
        return try? JSONDecoder().decode(ProcessRecord<Subject>.self, from: Data(bytes))
    }

    var presence: Presence {
        guard let record = record(of: AnySubject.self) else { return .absent }
        Self.reap(record.identity, into: endedPath)
        if let status = record.identity.status, !status.isZombie { return .running }
        let how = FileSystem.read(endedPath).map { String(decoding: $0, as: UTF8.self) }
        return .ended(how ?? "ended, nobody saw how")
    }

    /// It answered its readiness path since it was started.
    var wasReady: Bool { FileSystem.exists(readyPath) }

    func markReady() {
        let file = open(readyPath, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        if file >= 0 { close(file) }
    }

    func forget() throws(Failure) {
        try FileSystem.remove(recordPath)
        FileSystem.syncFolder(of: recordPath)
    }

    private static let reaping = Mutex(())

    /// Takes the exit status of a child of ours that ended, once, and keeps it. Children of an earlier daemon are init's.
    private static func reap(_ identity: ProcessIdentity, into path: String) {
        reaping.withLock { _ in
            guard let status = identity.status, status.isZombie, status.parent == getpid() else { return }
            var word: Int32 = 0
            guard waitpid(identity.pid, &word, WNOHANG) == identity.pid else { return }
            try? FileSystem.replace(path, with: Array(describe(word).utf8))
        }
    }

    /// The status word of wait(2) in words: `exited with status 1`, `killed by signal 9`.
    static func describe(_ word: Int32) -> String {
        let signal = word & 0x7F
        return signal == 0 ? "exited with status \((word >> 8) & 0xFF)" : "killed by signal \(signal)"
    }
}

extension ProcessHome {
    /// What to run, and where.
    struct Launch: Sendable {
        var command: [String]
        var environment: [String: String]
        var folder: String
    }

    /// Starts a process in a session of its own, with its record durable before its program runs: a crash of ours leaves
    /// no process, or one that is found again.
    ///
    /// Callers hold ``lockPath`` and have seen that none runs here.
    func start<Subject>(_ launch: Launch, subject: Subject, now: Instant) throws(Failure) -> ProcessRecord<Subject> {
        guard let name = launch.command.first, !name.isEmpty else {
            throw Failure("the command of \(self.name) is empty", hint: "set platform.process.command in the policy")
        }
        let program = try Self.find(name, environment: launch.environment, folder: launch.folder)
        try FileSystem.makeFolder(path)
        try FileSystem.remove(endedPath)
        try FileSystem.remove(readyPath)
        let log = try output.openForAppending()
        defer { close(log) }

        var environment = launch.environment
        environment["PERCH_INSTANCE"] = self.name
        var child = try DetachedChild(
            program: program, arguments: launch.command, environment: environment, folder: launch.folder, output: log)
        guard let identity = ProcessIdentity(of: child.pid) else {
            child.discard()
            throw Failure("cannot read /proc/\(child.pid)/stat of \(self.name)", isTransient: true)
        }
        let record = ProcessRecord(
            identity: identity, command: launch.command, startedAt: now, subject: subject)
        do throws(Failure) {
            try write(record)
            try child.release(as: self.name, command: launch.command, folder: launch.folder)
        } catch {
            child.discard()
            try forget()
            throw error
        }
        return record
    }

    private func write<Subject>(_ record: ProcessRecord<Subject>) throws(Failure) {
        let bytes: Data
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            bytes = try encoder.encode(record)
        } catch {
            throw Failure("cannot encode the record of \(name): \(error)")
        }
        try FileSystem.replace(recordPath, with: bytes)
    }

    /// The file to execute: a name without a slash is looked up in `PATH`, others are relative to the process's folder.
    static func find(
        _ name: String, environment: [String: String], folder: String
    ) throws(Failure) -> String {
        if name.contains("/") {
            let path = name.hasPrefix("/") ? name : "\(folder)/\(name)"
            guard FileSystem.exists(path) else {
                throw Failure(
                    "program \(name) is not in \(folder)", hint: "check platform.process.command and source.build")
            }
            return path
        }
        let folders = environment["PATH", default: ""].split(separator: ":").filter { $0.hasPrefix("/") }
        for candidate in folders.map({ "\($0)/\(name)" }) where access(candidate, X_OK) == 0 {
            return candidate
        }
        throw Failure(
            "program \(name) is not in PATH (\(folders.joined(separator: ":")))",
            hint: "install it, or give its path in the command")
    }
}
