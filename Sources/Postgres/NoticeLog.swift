// NOTICEs and WARNINGs of one session, which arrive whenever the server pleases.

import CLibPQ

/// The last notices of a session. Used on the session's thread only.
final class NoticeLog {
    /// The oldest is dropped past this: a server may raise a notice per row.
    static let capacity = 100

    private var notices: [Notice] = []

    /// Has libpq bring the notices of `connection` here.
    ///
    /// - Precondition: the log outlives the connection.
    func collect(from connection: OpaquePointer) {
        _ = PQsetNoticeReceiver(
            connection,
            { context, result in
                guard let context, let result else { return }
                Unmanaged<NoticeLog>.fromOpaque(context).takeUnretainedValue().append(ServerError(of: result))
            },
            Unmanaged.passUnretained(self).toOpaque())
    }

    /// Everything since the last call, oldest first.
    func take() -> [Notice] {
        defer { notices.removeAll() }
        return notices
    }

    /// The first unread notice for which `isWanted` holds; it stays unread.
    func first(where isWanted: (Notice) -> Bool) -> Notice? { notices.first(where: isWanted) }

    private func append(_ report: ServerError) {
        if notices.count == Self.capacity { notices.removeFirst() }
        notices.append(
            Notice(
                severity: report.severity, sqlState: report.sqlState, message: report.message, detail: report.detail,
                hint: report.hint))
    }
}
