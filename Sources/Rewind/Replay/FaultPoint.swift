// Named places of a rewind at which a test can make the world end.

import Ports

/// Called with the name of the place; throwing there is a failure of that step. Does nothing outside tests.
package typealias FaultPoint = @Sendable (_ name: String) async throws -> Void

func reach(_ faultPoint: FaultPoint, _ place: String) async throws(Failure) {
    do {
        try await faultPoint(place)
    } catch {
        throw (error as? Failure) ?? Failure("stopped at \(place): \(error)", isTransient: true)
    }
}
