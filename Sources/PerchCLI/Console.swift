// Where a command writes and what it knows of its surroundings; tests give it others.

import Glibc

package struct Console: Sendable {
    package var out: @Sendable (String) -> Void
    package var err: @Sendable (String) -> Void
    /// Standard output is a terminal that understands escape sequences.
    package var isTerminal: Bool
    package var errIsTerminal: Bool
    /// Characters in a line and lines on the screen, when asked.
    package var size: @Sendable () -> (columns: Int, rows: Int)
    package var environment: @Sendable (String) -> String?

    package init(
        out: @escaping @Sendable (String) -> Void, err: @escaping @Sendable (String) -> Void, isTerminal: Bool,
        errIsTerminal: Bool, size: @escaping @Sendable () -> (columns: Int, rows: Int),
        environment: @escaping @Sendable (String) -> String?
    ) {
        self.out = out
        self.err = err
        self.isTerminal = isTerminal
        self.errIsTerminal = errIsTerminal
        self.size = size
        self.environment = environment
    }

    /// The one that commands use.
    @TaskLocal package static var current = Console.process

    /// This process's own.
    package static let process = Console(
        out: { write($0, to: STDOUT_FILENO) }, err: { write($0, to: STDERR_FILENO) },
        isTerminal: isatty(STDOUT_FILENO) == 1 && variable("TERM") != "dumb",
        errIsTerminal: isatty(STDERR_FILENO) == 1 && variable("TERM") != "dumb", size: screenSize,
        environment: variable)
}

/// Everything, however often the write is cut short; when nobody reads any more the process ends as `cat` would.
private func write(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 {
            if errno == EINTR || errno == EAGAIN { continue }
            exit(errno == EPIPE ? 141 : Outcome.failed.rawValue)
        }
        rest = rest.dropFirst(count)
    }
}

@Sendable private func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

@Sendable private func screenSize() -> (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
}
