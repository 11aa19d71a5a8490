// Frames drawn over each other on a terminal. Pure: returns what to write.

struct Redraw {
    private var drawn: [String] = []

    /// What turns the frame before into this one; empty when nothing changed.
    ///
    /// Lines are clipped to the screen: a wrapped line would make the next frame begin at the wrong one.
    mutating func frame(_ lines: [String], columns: Int, rows: Int) -> String {
        var next = lines.map { clipped($0, to: max(2, columns)) }
        if next.count > rows - 1 { next = Array(next.prefix(max(1, rows - 1))) }
        guard next != drawn else { return "" }
        // Up to the first line, then over each line and to its end, then away with what is left below.
        let back = drawn.isEmpty ? "" : "\u{1B}[\(drawn.count)F"
        drawn = next
        return back + next.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J"
    }
}
