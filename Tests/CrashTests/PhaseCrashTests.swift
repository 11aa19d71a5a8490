// Goal: a daemon killed in any phase leaves a release that the next one ends right. Method: perchd is stopped by the
// store at the moment when a phase's work is done and not yet written down, and killed there.

import ControlModel
import Releases
import SystemSupport
import Testing

extension Crashes {
    @Suite struct PhaseCrashTests {
        /// What is done but not written down when perchd dies.
        enum Boundary: String, CaseIterable, CustomTestStringConvertible {
            case preflight, snapshot, start, firstStep, approval, replacement, baking, undoWindow
            case verdict, traffic, canary, data, verification

            var testDescription: String { rawValue }

            /// The phase whose beginning is not durable.
            var next: Phase {
                switch self {
                case .preflight: .snapshotting
                case .snapshot: .starting
                case .start: .canary(step: 0)
                case .firstStep: .waiting(step: 1, for: .approval)
                case .approval: .promoting
                case .replacement: .baking
                case .baking: .undoable
                case .undoWindow: .promoted
                case .verdict: .rollingBack(.traffic)
                case .traffic: .rollingBack(.canary)
                case .canary: .rollingBack(.data)
                case .data: .rollingBack(.verification)
                case .verification: .rolledBack
                }
            }

            var isOnTheWayBack: Bool {
                switch self {
                case .verdict, .traffic, .canary, .data, .verification: true
                case .preflight, .snapshot, .start, .firstStep, .approval, .replacement, .baking, .undoWindow: false
                }
            }
        }

        @Test(arguments: Boundary.allCases)
        func `a release goes on to its right end after perchd died with work done and not written down`(
            boundary: Boundary
        ) async throws {
            try await PerchSystem.with({ $0.steps = ["{share: 30%, for: 1s}", "{approve: true}"] }) { perch in
                try await perch.release(.first, ends: "promoted")
                let customers = perch.startCustomers()
                try await perch.hold(before: boundary.next)
                let release = try await perch.trigger(boundary.isOnTheWayBack ? .bad : .good)
                // Until the approval the gate may be reached at any time; after it somebody must ask first.
                async let approval: Void = Self.approve(release, perch, while: boundary)
                try await perch.waitUntilHeld()
                try await perch.daemon.kill()
                _ = try? await approval
                try await perch.removeGate()
                try await customers.settle(20)
                try await perch.daemon.start()
                if !boundary.isOnTheWayBack { try await Self.approve(release, perch) }
                let end = try await perch.waitForEnd(of: release)
                #expect(end.summary.phase == (boundary.isOnTheWayBack ? "rolled-back" : "promoted"), "\(end.story)")
                try await customers.settle(40)
                let ledger = try await perch.ledger(
                    customers, releases: [release], takenBack: boundary.isOnTheWayBack ? [.bad] : [])
                expectNobodyNoticed(ledger, besides: [.bad])
                #expect(ledger.missingFromQuarantine.prefix(10) == [])
                try await perch.expectNothingLeft()
            }
        }

        private static func approve(_ release: ReleaseID, _ perch: PerchSystem, while boundary: Boundary) async throws {
            switch boundary {
            case .approval, .replacement, .baking, .undoWindow: try await approve(release, perch)
            case .preflight, .snapshot, .start, .firstStep, .verdict, .traffic, .canary, .data, .verification: break
            }
        }

        /// Promotes once the release waits; nothing happens when it no longer does.
        private static func approve(_ release: ReleaseID, _ perch: PerchSystem) async throws {
            let reached: Set<String> = ["waiting", "promoting", "baking", "promoted"]
            let detail = try await perch.wait(release, for: reached)
            if detail.summary.phase == "waiting" { _ = try await perch.perch("promote", "\(release)") }
        }
    }
}
