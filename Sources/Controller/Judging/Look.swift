// What one look at the counts means for the release, and as people read it.

package import Analysis
import Releases

/// What follows from one reading.
package enum Look: Hashable, Sendable {
    case rollBack(RollbackVerdict)
    /// Good enough for the next step, as soon as this one has lasted its time.
    case advance
    case hold(HoldReason)
    /// The canary's instances, which were out, are back: from the first step again.
    case resume
    /// Nothing is known yet; what is missing.
    case goOn(String)
}

/// The last look as it is shown.
package struct Standing: Hashable, Sendable, Codable {
    package enum Verdict: String, Hashable, Sendable, Codable { case pass, fail, hold }
    package var verdict: Verdict
    package var why: [String]

    init(verdict: Verdict, why: [String]) {
        self.verdict = verdict
        self.why = why
    }

    init(_ look: Look, _ progress: WatchProgress, _ watched: WatchedPhase) {
        let counts = progress.watched
        let share = counts.judged == 0 ? 0 : Double(counts.failures) * 100 / Double(counts.judged)
        let rate = (share * 100).rounded(.down) / 100
        let told = "\(progress.watchedName): \(counts.failures) of \(counts.judged) requests failed (\(rate)%)"
        switch look {
        case .rollBack(let verdict):
            // What becomes of the release is the next fact's to say.
            let said = "rolled back \(watched.release): "
            let sentence = verdict.sentence(release: "\(watched.release)")
            self.init(
                verdict: .fail, why: [sentence.hasPrefix(said) ? String(sentence.dropFirst(said.count)) : sentence])
        case .advance:
            let proven = Double(watched.policy.watch.errors.provenBasisPoints) / 100
            let claim =
                progress.isAlone
                ? "within its limits" : "shown to fail less than \(proven) points more often than stable"
            self.init(verdict: .pass, why: ["\(told), \(claim)"])
        case .hold(let reason): self.init(verdict: .hold, why: [told, reason.sentence])
        case .resume: self.init(verdict: .hold, why: [told, "its instances are back"])
        case .goOn(let missing): self.init(verdict: .hold, why: [told, missing])
        }
    }
}

extension HoldReason {
    /// The reason without its numbers: what is said once, not at every look.
    var kind: String {
        switch self {
        case .routing: "routing"
        case .incident(_, let isDrained): isDrained ? "incident, drained" : "incident"
        case .instance: "instance"
        case .notEnoughEvidence: "evidence"
        }
    }
}
