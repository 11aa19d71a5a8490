// What must be done now and then while instances run: output kept bounded, ended children taken notice of.

import Glibc
import Logging
import Releases

extension ProcessPlatform {
    /// Rotates the output of every process in the data folder and takes the exit status of those that ended, until it is
    /// cancelled. Output of processes that were stopped is removed after a week.
    package func run() async {
        while !Task.isCancelled {
            keepHouse()
            try? await Task.sleep(for: .seconds(5))
        }
    }

    /// One round of ``run()``.
    func keepHouse(rotationSize: Int64 = OutputLog.rotationSize, keep: Span = .hours(24 * 7), now: Instant = .now) {
        for kind in ["instances", "builds", "routers"] {
            let folder = "\(dataFolder)/\(kind)"
            for name in FileSystem.names(in: folder) where !name.hasSuffix(".lock") && !name.hasSuffix(".sock") {
                let home = ProcessHome(in: folder, name: name)
                home.output.rotate(at: rotationSize)
                guard home.presence == .absent, let written = home.output.lastWritten else { continue }
                let writtenAt = Instant(millisecondsSince1970: Int64(written) * 1_000)
                if now.since(writtenAt) > keep { try? FileSystem.remove(home.path) }
            }
        }
    }
}
