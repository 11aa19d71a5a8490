// Where it was measured, in one line.

import Foundation
import Glibc

enum Machine {
    static func described(_ stage: Stage, scale: Int) async throws -> String {
        let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        let processors = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = processors.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
        let memory = (sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))) >> 30
        let version = try await stage.run("SHOW server_version") ?? ""
        return "\(cores) cores\(model.map { " of" + $0 } ?? ""), \(memory) GB; PostgreSQL \(version), fsync on, "
            + "pgbench scale \(scale); both peers on one server, each alone, synchronous_commit off, "
            + "new WAL files not zeroed"
    }
}
