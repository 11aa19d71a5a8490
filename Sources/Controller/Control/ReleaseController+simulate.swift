// Judging past releases again, for `perch simulate`.

import Analysis
package import ControlModel
import Policies
package import Releases

extension ReleaseController {
    /// Looks that are read from the store at once.
    private static let looksPerPage = 2_000

    package func simulate(_ id: ReleaseID, _ request: SimulationRequest) async throws(Refusal) -> Simulation {
        let state = try await state(id)
        var policy = state.policy
        if let text = request.policy {
            do {
                policy.watch = try PolicyFile.parse(text: text, file: "policy", defaults: nil).watch
            } catch {
                throw Refusal(
                    .refusedByPolicy,
                    error.mistakes.map { "\($0.line):\($0.column): \($0.message)" }.joined(separator: "; "),
                    hint: error.mistakes.compactMap(\.hint).first)
            }
        }
        let rejudging = try await rejudge(id, policy)
        guard rejudging.looks > 0 else {
            throw Refusal(
                .notFound, "nothing was recorded of how \(id) was watched",
                hint: "looks are kept of the last \(ServiceDriver.releasesWithLooks) releases that had a canary",
                release: id)
        }
        let test = rejudging.progress?.release
        return Simulation(
            release: id, looks: rejudging.looks, turns: rejudging.story,
            rolledBackAt: rejudging.verdict.map { Instant(millisecondsSince1970: $0.at).iso8601 },
            wealth: test?.wealth, limit: test?.settings.rollbackEvidence, actual: state.message)
    }

    private func rejudge(_ id: ReleaseID, _ policy: Policy) async throws(Refusal) -> Rejudging {
        var rejudging = Rejudging(id, policy: policy)
        var last = 0
        while rejudging.verdict == nil {
            do {
                let page = try await store.looks(of: id, after: last, limit: Self.looksPerPage)
                for look in page { rejudging.take(look) }
                guard let number = page.last?.number else { break }
                last = number
            } catch {
                throw Refusal(error)
            }
        }
        return rejudging
    }
}
