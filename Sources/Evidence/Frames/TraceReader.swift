// The stack traces in a piece of text: a response body, plain, in JSON or in HTML, or what an instance wrote. Pure.

enum TraceReader {
    /// Every trace, in the order of the text.
    static func traces(in text: String) -> [StackTrace] {
        var traces: [StackTrace] = []
        var current: [StackFrame] = []
        var gap = 0
        var previous: Substring = ""

        func endTrace() {
            guard let format = current.first?.format else { return }
            traces.append(StackTrace(frames: format.isInnermostLast ? current.reversed() : current))
            current = []
        }

        for line in lines(of: unwrapped(text)) {
            if let frame = FrameLine.read(line, after: previous) {
                if let format = current.first?.format, format != frame.format || gap > format.longestGap { endTrace() }
                current.append(frame)
                gap = 0
            } else {
                gap += 1
                if startsTrace(line) { endTrace() }
            }
            previous = line
        }
        endTrace()
        return traces
    }

    private static func startsTrace(_ line: Substring) -> Bool {
        line.hasPrefix("Caused by:") || line.hasPrefix("goroutine ")
            || line.contains("Traceback (most recent call last)")
    }

    /// By bytes: a line may end with CR LF, which is one character.
    static func lines(of text: String) -> [Substring] {
        text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { bytes in
            Substring(bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes)
        }
    }

    /// A trace inside a JSON string or an HTML page, as it was before it got there.
    static func unwrapped(_ text: String) -> String {
        var text = text
        if text.contains("\\n") {
            text = replacing(text, [("\\n", "\n"), ("\\t", "\t"), ("\\\"", "\""), ("\\/", "/")])
        }
        if text.contains("&") {
            text = replacing(
                text,
                [
                    ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"),
                    ("&amp;", "&"),
                ])
        }
        if text.contains("<br") || text.contains("<pre") {
            let breaks = ["<br>", "<br/>", "<br />", "<pre>", "</pre>"]
            text = replacing(text, breaks.map { ($0, "\n") })
        }
        return text
    }

    private static func replacing(_ text: String, _ pairs: [(String, String)]) -> String {
        pairs.reduce(text) { $0.replacing($1.0, with: $1.1) }
    }
}
