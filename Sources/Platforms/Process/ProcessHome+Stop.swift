// How a detached process ends: asked, given time, killed with everything it started.

import CPosix
import Glibc
import Ports
import Releases

extension ProcessHome {
    /// SIGTERM to the whole group, `drain` to leave, then SIGKILL to every process of its session. The record goes last.
    ///
    /// Callers hold ``lockPath``. Nothing happens when nothing runs. Only processes that are surely ours are signalled.
    func stop(drain: Duration) async throws(Failure) {
        guard let record = record(of: AnySubject.self) else { return }
        try await end(record.identity, drain: drain)
        try forget()
    }

    private func end(_ leader: ProcessIdentity, drain: Duration) async throws(Failure) {
        guard !isGone(leader) else { return }
        signal(leader, SIGTERM)
        if try await isGone(leader, within: drain) { return }
        signal(leader, SIGKILL)
        guard try await isGone(leader, within: .seconds(10)) else {
            throw Failure(
                "\(name) (pid \(leader.pid)) still runs 10 s after SIGKILL",
                hint: "look for a process in state D: its disk or network file system does not answer",
                isTransient: true)
        }
    }

    private func signal(_ leader: ProcessIdentity, _ signal: Int32) {
        let isLed = leader.status != nil
        // Those that left the group but not the session, and everybody once the leader is gone.
        let strays = ProcessIdentity.session(of: leader, variable: variable).filter { member in
            !isLed || member.status?.group != leader.pid
        }
        if isLed { _ = perch_signal_group(leader.pid, signal) }
        for stray in strays { stray.signal(signal) }
    }

    private func isGone(_ leader: ProcessIdentity) -> Bool {
        // Also takes the status of a child of ours, which would stay a zombie.
        presence != .running && ProcessIdentity.session(of: leader, variable: variable).isEmpty
    }

    private func isGone(_ leader: ProcessIdentity, within patience: Duration) async throws(Failure) -> Bool {
        let deadline = ContinuousClock.now + patience
        var wait = Duration.milliseconds(5)
        while !isGone(leader) {
            guard ContinuousClock.now < deadline else { return false }
            try await pause(for: min(wait, max(.zero, deadline - ContinuousClock.now)))
            wait = min(wait * 2, .milliseconds(100))
        }
        return true
    }
}
