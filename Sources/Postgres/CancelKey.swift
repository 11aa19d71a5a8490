// Asking a server to stop what one of its sessions is doing.

import CLibPQ
import Foundation

/// What a server gave a session so that others can cancel its statement. Usable from any thread, also after the session.
final class CancelKey: @unchecked Sendable {
    /// libpq only reads it, so threads may share it.
    private let key: OpaquePointer

    /// - Returns: nil when the connection is not open.
    init?(of connection: OpaquePointer?) {
        guard let key = PQgetCancel(connection) else { return nil }
        self.key = key
    }

    deinit { PQfreeCancel(key) }

    /// Sends the request from a thread of its own, because a server that accepts connections and does not answer would
    /// hold us for ever.
    ///
    /// - Returns: signalled once the server has taken the request: no later statement can be hit by it.
    @discardableResult
    func sendInBackground() -> DispatchSemaphore {
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            var reason = [CChar](repeating: 0, count: 256)
            // It fails only when the server cannot be reached, and of that we hear on the session itself.
            _ = PQcancel(self.key, &reason, Int32(reason.count))
            done.signal()
        }
        return done
    }

    /// Sends the request and waits until the server has taken it; false when it has not within so many seconds.
    func send(patience seconds: Double) -> Bool {
        sendInBackground().wait(timeout: .now() + seconds) == .success
    }
}
