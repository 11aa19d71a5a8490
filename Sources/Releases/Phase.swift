// Where a release stands.

/// A release's phase; every phase but the terminal ones has a deadline, kept as a fact.
package enum Phase: Hashable, Sendable, Codable {
    /// Durable, waits for its turn. Next: preflight, aborted, superseded.
    case accepted
    /// Is everything there that a way back needs? Next: snapshotting, starting, promoting (first release), aborted.
    case preflight
    /// The snapshot is taken and the recording starts. Next: starting, rolling back.
    case snapshotting
    /// The new version is built, started and probed. Next: canary, rolling back.
    case starting
    /// A share of the users is on the new version and it is watched. Next: canary, waiting, promoting, rolling back.
    case canary(step: Int)
    /// A person decides. Next: canary, promoting, rolling back.
    case waiting(step: Int, for: Wait)
    /// The stable instances are replaced. Next: baking, promoted (first release), rolling back while the old version is
    /// whole, halted once it is not.
    case promoting
    /// All users are on the new version and it is watched. Next: undoable, rolling back.
    case baking
    /// Promoted; snapshot and recording are kept, `perch rollback` still works. Next: promoted, rolling back.
    case undoable
    case promoted
    /// Users first, then the version, then the data. Next: the following stage, rolled back, aborted, superseded, halted.
    case rollingBack(RollbackStage)
    case rolledBack
    /// Neither going on nor going back is known to be safe; the last fact says what a person can do.
    case halted
    case aborted
    case superseded

    package enum Wait: String, Hashable, Sendable, Codable {
        /// The policy asks for a person's word.
        case approval
        /// A step failed and the policy does not roll back by itself; the canary is at share 0.
        case failure
    }

    package enum RollbackStage: String, Hashable, Sendable, Codable, CaseIterable {
        /// The old version is made whole again beside the new one; only after promotion.
        case stable
        /// Nobody is routed to the new version.
        case traffic
        /// The new version is stopped and its database role fenced.
        case canary
        case data
        /// Traffic, versions and data are as they should be.
        case verification

        package var next: RollbackStage? {
            switch self {
            case .stable: .traffic
            case .traffic: .canary
            case .canary: .data
            case .data: .verification
            case .verification: nil
            }
        }
    }

    /// No fact follows.
    package var isTerminal: Bool {
        switch self {
        case .promoted, .rolledBack, .halted, .aborted, .superseded: true
        case .accepted, .preflight, .snapshotting, .starting, .canary, .waiting, .promoting, .baking, .undoable,
            .rollingBack:
            false
        }
    }

    /// The release occupies its service (and database): nothing else may be released beside it.
    package var isActive: Bool { !isTerminal && self != .accepted }

    /// As the API and the CLI name it. `undoable` reads as promoted: that is what it is to everybody but the recording.
    package var name: String {
        switch self {
        case .accepted: "accepted"
        case .preflight: "preflight"
        case .snapshotting: "snapshotting"
        case .starting: "starting"
        case .canary: "canary"
        case .waiting: "waiting"
        case .promoting: "promoting"
        case .baking: "baking"
        case .undoable, .promoted: "promoted"
        case .rollingBack: "rolling-back"
        case .rolledBack: "rolled-back"
        case .halted: "halted"
        case .aborted: "aborted"
        case .superseded: "superseded"
        }
    }
}
