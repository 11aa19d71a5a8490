// Blocking calls kept off the cooperative pool, commands run to their end, and waiting with a deadline.

import Foundation
import Glibc
import Synchronization

/// The system did not do what a test waits for.
package struct SystemFailure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Runs `body` on a thread of its own.
package func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}

/// How a command ended and what it wrote.
package struct Finished: Sendable {
    package let status: Int32
    package let output: String
    package let errors: String
}

/// Runs a command to its end; it is killed when it takes longer than `limit`.
package func finish(
    _ command: [String], environment: [String: String] = [:], folder: String? = nil,
    within limit: Duration = .seconds(60)
) async throws -> Finished {
    try await blocking {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        // A file, not a second pipe: a command that fills one while the other is read would wait for ever.
        let errorPath = "/tmp/perch-errors-\(UInt64.random(in: 0...UInt64.max))"
        defer { try? FileManager.default.removeItem(atPath: errorPath) }
        process.standardError = try fileHandle(appendingTo: errorPath)
        try process.run()
        let pid = process.processIdentifier
        let hasEnded = Mutex(false)
        Thread.detachNewThread {
            let end = ContinuousClock.now + limit
            while ContinuousClock.now < end {
                if hasEnded.withLock({ $0 }) { return }
                usleep(100_000)
            }
            hasEnded.withLock { if !$0 { kill(pid, SIGKILL) } }
        }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        hasEnded.withLock { $0 = true }
        let errors = (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? ""
        return Finished(
            status: process.terminationStatus, output: String(decoding: bytes, as: UTF8.self), errors: errors)
    }
}

/// As ``finish``, and what it wrote.
///
/// - Throws: ``SystemFailure`` when the command ends with another status than 0.
@discardableResult
package func run(
    _ command: [String], environment: [String: String] = [:], folder: String? = nil,
    within limit: Duration = .seconds(60)
) async throws -> String {
    let finished = try await finish(command, environment: environment, folder: folder, within: limit)
    guard finished.status == 0 else {
        throw SystemFailure("\(command.joined(separator: " ")) ended with \(finished.status): \(finished.errors)")
    }
    return finished.output
}

/// Starts a process that goes on, its output at the end of `log`.
func launch(
    _ command: [String], environment: [String: String]? = nil, folder: String = "/", log: String
) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    if let environment { process.environment = environment }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardInput = FileHandle.nullDevice
    let output = try fileHandle(appendingTo: log)
    process.standardOutput = output
    process.standardError = output
    try process.run()
    return process
}

private func fileHandle(appendingTo path: String) throws -> FileHandle {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemFailure("\(path): \(String(cString: strerror(errno)))") }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
}

/// Asks until the answer is true.
///
/// - Throws: ``SystemFailure`` after the deadline, with what `elsewise` says about the state then.
package func until(
    _ what: String, within limit: Duration = .seconds(30), every pause: Duration = .milliseconds(30),
    elsewise: () async -> String = { "" }, _ holds: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while true {
        if try await holds() { return }
        guard ContinuousClock.now < end else {
            throw SystemFailure("\(what): not within \(limit)\n\(await elsewise())")
        }
        try await Task.sleep(for: pause)
    }
}
