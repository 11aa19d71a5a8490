// Who a process is for longer than its number is: pid, start time and boot together never come again.

import Glibc
import Ports

/// A process that cannot be mistaken for a later one with the same pid.
struct ProcessIdentity: Hashable, Codable, Sendable {
    var pid: Int32
    /// Clock ticks from boot to its start: field 22 of `/proc/<pid>/stat`, proc(5).
    var startTicks: UInt64
    /// `/proc/sys/kernel/random/boot_id`
    var boot: String

    /// - Returns: nil when no such process exists.
    init?(of pid: Int32) {
        guard let status = ProcessStatus(of: pid), let boot = Self.currentBoot else { return nil }
        self.init(pid: pid, startTicks: status.startTicks, boot: boot)
    }

    init(pid: Int32, startTicks: UInt64, boot: String) {
        self.pid = pid
        self.startTicks = startTicks
        self.boot = boot
    }

    /// The process as it is now; nil when it is gone, whoever has its number today.
    var status: ProcessStatus? {
        guard boot == Self.currentBoot, let status = ProcessStatus(of: pid), status.startTicks == startTicks else {
            return nil
        }
        return status
    }

    static let currentBoot: String? = FileSystem.read("/proc/sys/kernel/random/boot_id").map { bytes in
        String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }
}

/// What the kernel says about a process.
struct ProcessStatus: Hashable, Sendable {
    var state: UInt8
    var parent: Int32
    var group: Int32
    var session: Int32
    var startTicks: UInt64

    /// Ended, but its parent has not asked how.
    var isZombie: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }

    init?(of pid: Int32) {
        guard let bytes = FileSystem.read("/proc/\(pid)/stat", limit: 4_096) else { return nil }
        self.init(parsing: bytes)
    }

    /// `pid (name) state ppid pgrp session ... starttime ...`; the name may hold spaces, parentheses and line ends.
    init?(parsing stat: [UInt8]) {
        guard let nameEnd = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = stat[(nameEnd + 1)...].split(separator: UInt8(ascii: " ")).map {
            String(decoding: $0, as: UTF8.self)
        }
        // fields[0] is field 3 of proc(5).
        guard fields.count > 19, let state = fields[0].utf8.first, let parent = Int32(fields[1]),
            let group = Int32(fields[2]), let session = Int32(fields[3]), let startTicks = UInt64(fields[19])
        else { return nil }
        self.state = state
        self.parent = parent
        self.group = group
        self.session = session
        self.startTicks = startTicks
    }
}

extension ProcessIdentity {
    /// Every living process of the session that `leader` began, the leader included.
    ///
    /// The session's number outlives its leader, and once the last member is gone it may be another's. So without the
    /// leader only processes with `variable` (as `NAME=value`) in their environment count.
    static func session(of leader: ProcessIdentity, variable: String) -> [ProcessIdentity] {
        guard leader.boot == currentBoot else { return [] }
        let isLed = leader.status != nil
        // The number is somebody else's: a session keeps its number from being given away, so ours is over.
        guard isLed || ProcessStatus(of: leader.pid) == nil else { return [] }
        return FileSystem.names(in: "/proc").compactMap { name in
            guard let pid = Int32(name), let status = ProcessStatus(of: pid), status.session == leader.pid,
                !status.isZombie, isLed || hasInEnvironment(pid, variable)
            else { return nil }
            return ProcessIdentity(pid: pid, startTicks: status.startTicks, boot: leader.boot)
        }
    }

    private static func hasInEnvironment(_ pid: Int32, _ variable: String) -> Bool {
        guard let environment = FileSystem.read("/proc/\(pid)/environ") else { return false }
        return environment.split(separator: 0).contains { $0.elementsEqual(variable.utf8) }
    }

    /// Signals this process and no other that may have its number by now.
    func signal(_ signal: Int32) {
        guard status != nil else { return }
        kill(pid, signal)
    }
}
