// One at a time, between tasks, objects and processes: flock(2) on a file that stays.

import Glibc
import Ports

/// Runs `body` while nobody else holds the lock file `path`. The kernel lets go of it when this process dies.
///
/// - Throws: a transient failure when others hold it for longer than `patience`.
func withFileLock<Result>(
    _ path: String, patience: Duration, _ body: () async throws(Failure) -> Result
) async throws(Failure) -> Result {
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else {
        throw Failure("cannot open lock \(path): \(FileSystem.lastError())", hint: "check its folder's owner")
    }
    defer { close(file) }
    let deadline = ContinuousClock.now + patience
    while flock(file, LOCK_EX | LOCK_NB) != 0 {
        guard errno == EWOULDBLOCK || errno == EINTR else {
            throw Failure("cannot lock \(path): \(FileSystem.lastError())")
        }
        guard ContinuousClock.now < deadline else {
            throw Failure("\(path) is locked by somebody else for \(patience)", isTransient: true)
        }
        try await pause(for: .milliseconds(25))
    }
    // Before the close: a process being born holds a copy of the descriptor until it runs its program.
    defer { flock(file, LOCK_UN) }
    return try await body()
}

/// Sleeps; a cancelled task gets a failure at once instead of a loop that no longer waits.
func pause(for duration: Duration) async throws(Failure) {
    do {
        try await Task.sleep(for: duration)
    } catch {
        throw Failure("cancelled while waiting", isTransient: true)
    }
}
