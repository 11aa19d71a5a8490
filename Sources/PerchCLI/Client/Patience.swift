// A command that waits outlives a restart of perchd.

import ControlModel

/// Asks again while perchd cannot be reached, once it has been reached before.
struct Patience {
    /// How long perchd may be gone.
    var longest = Duration.seconds(60)
    /// Between two attempts.
    var pause = Duration.seconds(1)
    private var wasReached = false

    init() {}

    /// - Parameter deadline: no attempt begins after it.
    mutating func ask<Answer>(
        until deadline: ContinuousClock.Instant? = nil, _ question: () async throws -> Answer
    ) async throws -> Answer {
        let start = ContinuousClock.now
        var hasTold = false
        while true {
            do {
                let answer = try await question()
                wasReached = true
                return answer
            } catch let failure as CommandFailure where failure.outcome == .unreachable && wasReached {
                let now = ContinuousClock.now
                if start.duration(to: now) >= longest { throw failure }
                if let deadline, now >= deadline { throw failure }
                if !hasTold {
                    Console.current.err(
                        "perch: \(plain(failure.message)); trying again for \(longest.components.seconds)s\n")
                    hasTold = true
                }
                try await Task.sleep(for: pause)
            }
        }
    }
}
