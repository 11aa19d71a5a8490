// What can go wrong while data is rewound, and when.

import Foundation
import Glibc
import Ports
import Postgres
import PostgresSupport
import Releases

@testable import Rewind

struct Fault: Sendable, CustomStringConvertible {
    enum Kind: String, CaseIterable, Sendable {
        /// PostgreSQL loses power and comes back.
        case serverCrash = "server crash"
        /// `kill -9` of a session of Perch's: PostgreSQL ends all sessions and recovers.
        case sessionKilled = "session killed"
        /// The recording's session ends: what was not acknowledged is sent once more.
        case streamCut = "stream cut"
        /// All of Perch's sessions end, and it cannot come back for a while.
        case silence
        /// `perchd` dies; another takes over.
        case perchDies = "perch dies"
        /// The same, and the journal ends with half a record.
        case tornTail = "torn tail"
        /// The same, and the journal's last bytes, which were durable, are gone.
        case lostTail = "lost tail"
        /// The journal's disk is full for a while.
        case fullDisk = "full disk"
        /// The databases were renamed, and the answer to the COMMIT never came.
        case lostReply = "lost reply"

        /// The rewind is cut off, and asked for again by another process.
        var endsPerch: Bool { self == .perchDies || self == .tornTail || self == .lostTail }
    }

    /// Of a rewind that makes its clone; a kept one was made long before.
    static let restorePlaces = ["restore.created", "restore.loaded", "restore.marked"]
    static let swapPlaces = [
        "replay.batch", "replay.done", "switch.hold", "switch.fenced", "switch.barrier", "switch.tail",
        "switch.sequences", "switch.verified", "switch.closed",
        "switch.renaming", "switch.renamed", "switch.letGo",
    ]
    static let healPlaces = [
        "replay.batch", "replay.done", "heal.pass", "heal.batch", "heal.group", "heal.occupied",
        "heal.done",
    ]

    let kind: Kind
    /// nil: at a moment of its own.
    let place: String?
    /// Milliseconds from the rewind's begin until the moment, and how long a passing fault lasts.
    let delay: Int
    let length: Int

    init(
        _ kind: Kind, _ mode: Policy.DataRollback.Mode, _ snapshot: Policy.SnapshotMode,
        _ random: inout SeededGenerator
    ) {
        self.kind = kind
        let places =
            (snapshot == .dump ? Self.restorePlaces : []) + (mode == .heal ? Self.healPlaces : Self.swapPlaces)
        if kind == .lostReply {
            place = "switch.renaming"
        } else {
            place = random.chance(70) ? random.pick(places) : nil
        }
        delay = random.below(600)
        length = 20 + random.below(400)
    }

    var description: String { "\(kind.rawValue) at \(place ?? "\(delay) ms") for \(length) ms" }
}

/// What a seed plays: kinds in turn, the rest at random.
struct FaultScene: Sendable, CustomStringConvertible {
    let seed: UInt64
    let snapshot: Policy.SnapshotMode
    let mode: Policy.DataRollback.Mode
    let fault: Fault
    /// For what else is left to chance.
    let random: SeededGenerator

    init(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let kind = Fault.Kind.allCases[Int(seed % UInt64(Fault.Kind.allCases.count))]
        mode = kind == .lostReply ? .swap : random.pick([.swap, .heal])
        snapshot = random.pick([.dump, .clone])
        fault = Fault(kind, mode, snapshot, &random)
        (self.seed, self.random) = (seed, random)
    }

    var description: String { "seed \(seed), \(snapshot) and \(mode), \(fault)" }
}

/// What strikes a stage.
struct FaultTools: Sendable {
    let stage: Stage
    let disk: FullDisk
    let wire: CuttingProxy
    private let isIdle = Flag()

    /// Puts the journal on a disk that can be full, and Perch's sessions on a wire that can be cut.
    init(_ stage: Stage) async throws {
        self.stage = stage
        wire = try CuttingProxy(to: stage.server.port)
        let url = ConnectionSettings(parameters: [
            "host": "127.0.0.1", "port": "\(wire.port)", "user": "perch_\(stage.database)", "dbname": stage.database,
        ]).url
        try url.write(toFile: "\(stage.folder)/admin.url", atomically: true, encoding: .utf8)
        let folder = stage.data.folder(stage.release)
        disk = FullDisk(FolderStorage(folder.journal))
        await stage.data.recorder(of: stage.release)?.stop()
        guard let file = try RecordingFile.read(folder) else { throw Failure("no recording") }
        var settings = Recorder.Settings(budgetBytes: 1 << 30)
        settings.retryLimit = .milliseconds(100)
        let recorder = Recorder(
            file, in: folder, server: stage.server.settings(database: stage.database, user: "perch_\(stage.database)"),
            settings: settings, storage: disk, logger: RecordedService.quiet)
        stage.data.keep(recorder)
        recorder.start()
        try await recorder.awaitStreaming(timeout: .seconds(10))
    }

    /// - Throws: where the rewind cannot go on because its process died.
    func strike(_ fault: Fault) async throws {
        isIdle.value = false
        switch fault.kind {
        case .serverCrash:
            try await stage.server.stop(.immediate)
            try await stage.server.start()
        case .sessionKilled: try await killSession()
        case .streamCut:
            try await asSuperuser { superuser in
                _ = try await superuser.query(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active",
                    [stage.database])
            }
        case .silence:
            try await stage.silencePerch()
            try await Task.sleep(for: .milliseconds(fault.length))
            try await stage.letPerchSpeak()
        case .fullDisk:
            disk.isFull.value = true
            let disk = disk
            Task {
                try? await Task.sleep(for: .milliseconds(fault.length))
                disk.isFull.value = false
            }
        case .lostReply: wire.cutAfterCommit()
        case .perchDies, .tornTail, .lostTail:
            try await stage.silencePerch()
            throw EndOfTheWorld()
        }
    }

    /// Whether what was to happen did.
    func hasStruck(_ fault: Fault) -> Bool { fault.kind == .lostReply ? wire.hasCut : !isIdle.value }

    private func killSession() async throws {
        let pid = try await asSuperuser { superuser in
            try await superuser.query(
                "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY random() LIMIT 1",
                ["perch_\(stage.database)"]
            ).scalar.flatMap { Int32($0) }
        }
        if let pid { kill(pid, SIGKILL) }
    }

    private func asSuperuser<Value: Sendable>(_ body: (Connection) async throws -> Value) async throws -> Value {
        let connection = try await Connection.open(stage.server.settings())
        let value = try await body(connection)
        await connection.close()
        return value
    }

    /// Another process in the dead one's place.
    func takeOver(_ fault: Fault, _ random: inout SeededGenerator) async throws -> PostgresData {
        await stage.data.stopRecording()
        let storage = FolderStorage(stage.data.folder(stage.release).journal)
        if let last = try storage.segments().last {
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: storage.path(last)))
            defer { try? file.close() }
            let end = try file.seekToEnd()
            switch fault.kind {
            case .tornTail:
                try file.write(contentsOf: Data((0..<(1 + random.below(60))).map { _ in UInt8(random.below(256)) }))
            case .lostTail: try file.truncate(atOffset: end - min(end, UInt64(1 + random.below(300))))
            default: break
            }
        }
        try await stage.letPerchSpeak()
        return Stage.postgresData(stage.folder)
    }
}
