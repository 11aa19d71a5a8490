// What libpq knows about a session without asking the server.

import CLibPQ

extension Session {
    enum TransactionState {
        /// Statements commit by themselves.
        case none
        case open
        /// A statement of it has failed: only ROLLBACK is left.
        case failed
        /// A statement is running, or there is no session.
        case unknown
    }

    var transactionState: TransactionState {
        switch PQtransactionStatus(connection) {
        case PQTRANS_IDLE: .none
        case PQTRANS_INTRANS: .open
        case PQTRANS_INERROR: .failed
        default: .unknown
        }
    }

    var backendPID: Int32 { PQbackendPID(connection) }
    var serverVersion: Int { Int(PQserverVersion(connection)) }

    /// A setting that the server reports by itself: `server_encoding`, `TimeZone`, ...
    func reported(_ setting: String) -> String? {
        PQparameterStatus(connection, setting).map { String(cString: $0) }
    }

    /// Opens a session on its future thread.
    static func open(
        _ settings: ConnectionSettings, timeout: Duration, on thread: ConnectionThread
    ) async -> sending Result<Session, PostgresError> {
        await thread.perform {
            do throws(PostgresError) {
                return .success(try Session(settings, timeout: timeout))
            } catch {
                return .failure(error)
            }
        }
    }
}
