// A place in code that a stack trace names. Pure.

/// How a trace is written, by the language that writes so.
enum TraceFormat: String, Hashable, Sendable, Codable, CaseIterable {
    case python, node, java, go, ruby, swift

    /// Lines that may lie between two frames of one trace: Python shows the source and marks it, Go takes two lines a
    /// frame, Swift shows an excerpt.
    var longestGap: Int {
        switch self {
        case .python: 3
        case .node, .java, .ruby: 0
        case .go: 1
        case .swift: 14
        }
    }

    /// Python's traces end with the call that failed; all others begin with it.
    var isInnermostLast: Bool { self == .python }
}

struct StackFrame: Hashable, Sendable {
    var format: TraceFormat
    /// As the trace has it: absolute, relative, or of Java a package's folders.
    var path: String
    var line: Int
    /// As the trace has it; nil where it names none.
    var function: String?
}

/// Frames of one trace, the call that failed first.
struct StackTrace: Hashable, Sendable {
    var frames: [StackFrame]
}
