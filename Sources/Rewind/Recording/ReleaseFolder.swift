// Where the data of one release lies on disk.

import Ports
import Releases
import SystemPackage

/// `<data>/releases/<release>/`, readable by perchd's user only.
///
///     journal/000001.seg ...   what was recorded; kept after cleaning up
///     dump/                    pg_dump's folder
///     manifest.json            what the snapshot is; there when it is whole
///     recording.json           what the recording is and how it ended
///     quarantine.jsonl         what was kept out of the data; kept after cleaning up
///     decisions.jsonl          what people decided about it; kept as well
///     rewind.json              what a switch did, for a run that finds the databases switched
struct ReleaseFolder: Hashable, Sendable {
    let root: FilePath

    init(dataFolder: String, release: ReleaseID) {
        root = FilePath(dataFolder).appending("releases").appending(release.description)
    }

    var journal: FilePath { root.appending("journal") }
    var dump: FilePath { root.appending("dump") }
    var recording: FilePath { root.appending("recording.json") }
    var quarantine: FilePath { root.appending("quarantine.jsonl") }
    static let decisionsName = "decisions.jsonl"
    var decisions: FilePath { root.appending(Self.decisionsName) }
    var outcome: FilePath { root.appending("rewind.json") }

    /// Durable when it returns.
    func make() throws(Failure) {
        do {
            try makeDurableFolder(root)
        } catch {
            throw Failure("\(error)", hint: "give the data folder to the user of perchd, and look at its free space")
        }
    }
}
