// What a rewind needs of the recording that is still going on.

import Ports
import Postgres

protocol RecordingTail: Sendable {
    /// Name of the slot, to know the session of the server that feeds the recording.
    var slot: String { get }
    /// Everything up to here is durable in the journal.
    func durableEnd() async throws(Failure) -> LogSequenceNumber
    /// - Throws: when `position` is not durable within `timeout`.
    func awaitDurable(_ position: LogSequenceNumber, timeout: Duration) async throws(Failure)
    /// The canary's transactions recorded so far.
    func canaryTransactions() async throws(Failure) -> Int
    /// Ends the recording's session with the server; the slot stays, so nothing is lost if it must go on.
    func suspend() async
    /// Goes on from the slot.
    func resume() async throws(Failure)
}
