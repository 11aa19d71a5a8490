// What people ask of a release. The last verb wins as long as the machine allows it.

package import ControlModel
package import Releases

extension ReleaseController: ControlPlane {
    package func promote(_ id: ReleaseID, by person: String) async throws(Refusal) -> ReleaseSummary {
        try await ask(.promote, of: id, by: person, reason: nil, data: nil)
    }

    package func abort(_ id: ReleaseID, by person: String, reason: String?) async throws(Refusal) -> ReleaseSummary {
        try await ask(.abort, of: id, by: person, reason: reason, data: nil)
    }

    package func rollback(
        _ service: ServiceName, _ request: RollbackRequest, by person: String
    ) async throws(Refusal) -> ReleaseSummary {
        _ = try driver(of: service)
        do {
            guard let active = try await store.unfinished(of: service).first(where: \.isActive) else {
                throw Refusal(
                    .conflict, "no release of \(service) is active and no undo window is open",
                    hint: "release the version you want: `perch release \(service) COMMIT`")
            }
            return try await ask(
                .rollback, of: active.id, by: person, reason: request.reason, data: request.data)
        } catch let refusal as Refusal {
            throw refusal
        } catch let error as StoreError {
            throw Refusal(error)
        } catch {
            throw Refusal(.unavailable, "\(error)")
        }
    }

    private func ask(
        _ verb: OperatorRequest.Verb, of id: ReleaseID, by person: String, reason: String?, data: Bool?
    ) async throws(Refusal) -> ReleaseSummary {
        let known = try await state(id)
        let driver = try driver(of: id.service)
        let request = OperatorRequest(verb: verb, person: person, reason: reason)
        switch await driver.inbox.ask(.operatorAsked(request, data: data), release: id) {
        case .success(let state?): return state.summary
        case .success(nil):
            do {  // not the release that is driven: the machine says whether its state allows the verb
                _ = try known.decide(.operatorAsked(request, data: data), at: ports.now())
            } catch {
                throw Refusal(.conflict, error.reason, hint: error.hint, release: id)
            }
            throw Refusal(.conflict, "\(id) waits behind another release", hint: "try again in a moment", release: id)
        case .failure(let refused): throw Refusal(.conflict, refused.reason, hint: refused.hint, release: id)
        }
    }
}
