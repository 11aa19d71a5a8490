// No server outlives its tests: not when they fail, crash or are killed.

import Foundation
import Glibc
import Synchronization

/// A shell per server that reads from us. Nobody ever writes; the input ends when this process does, because the
/// kernel closes our end, and then the shell stops the server and removes its folder.
final class Watchdog: Sendable {
    static let shared = Watchdog()

    private struct Guards {
        /// Folder -> our end of its watchdog's input.
        var inputs: [String: Int32] = [:]
        /// Folders whose watchdogs are at work.
        var leaving: [String] = []
    }

    private let guards = Mutex(Guards())

    private static let script = """
        trap '' HUP INT TERM
        read -r nothing
        for attempt in 1 2 3 4 5; do
            "$1" -D "$2/data" -m immediate -t 10 -w stop
            [ -e "$2/data/postmaster.pid" ] || break
        done
        rm -rf "$2"
        """

    private init() {
        // A test run that ends on its own waits until nothing is left of it.
        atexit { Watchdog.shared.releaseAll() }
    }

    func guardFolder(_ folder: String, _ programs: ServerPrograms) throws {
        var ends: [Int32] = [0, 0]
        // A pair of sockets, because it is born close-on-exec: our end in another watchdog would keep this one waiting.
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw SupportError("no pair of sockets: \(String(cString: strerror(errno)))")
        }
        defer { close(ends[0]) }
        guards.withLock { $0.inputs[folder] = ends[1] }
        _ = try ChildProcess(
            programs.prefix + ["/bin/sh", "-c", Self.script, "watchdog", "\(programs.folder)/pg_ctl", folder],
            input: ends[0], output: "/dev/null")
    }

    /// Has the server of this folder ended. Does not wait: tests share few threads.
    func release(_ folder: String) {
        guards.withLock { guards in
            if let input = guards.inputs.removeValue(forKey: folder) { close(input) }
            guards.leaving.append(folder)
        }
    }

    /// Has all servers ended, and returns when their folders are gone, or after twenty seconds.
    private func releaseAll() {
        let folders = guards.withLock { guards in
            for input in guards.inputs.values { close(input) }
            defer { guards = Guards() }
            return guards.leaving + guards.inputs.keys
        }
        let deadline = ContinuousClock.now + .seconds(20)
        while folders.contains(where: { access($0, F_OK) == 0 }), ContinuousClock.now < deadline { usleep(20_000) }
    }
}
