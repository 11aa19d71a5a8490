// Results as markdown, line by line, and whether each reached its goal.

/// One table of the README.
package struct Table: Sendable {
    package var title: String
    package var columns: [String]
    package private(set) var lines: [[String]] = []
    /// Lines that did not reach their goal, by their first cell.
    package private(set) var missed: [String] = []

    init(_ title: String, _ columns: [String]) {
        self.title = title
        self.columns = columns + ["goal", ""]
    }

    /// - Parameters:
    ///   - goal: in words; nil where there is nothing to reach.
    ///   - isMet: only looked at where there is a goal.
    mutating func add(_ cells: [String], goal: String?, isMet: Bool) {
        lines.append(cells + [goal ?? "", goal == nil ? "" : isMet ? "goal met" : "GOAL MISSED"])
        if goal != nil, !isMet { missed.append("\(title): \(cells[0])") }
    }

    package var markdown: String {
        let rule = "|" + String(repeating: "---|", count: columns.count)
        let rows = ([columns] + lines).map { "| " + $0.joined(separator: " | ") + " |" }
        return (["**\(title)**", "", rows[0], rule] + rows.dropFirst()).joined(separator: "\n")
    }
}

/// 1,229; what was never reached is more than everything.
func grouped(_ count: UInt64?) -> String {
    guard let count else { return "never" }
    let digits = Array(String(count))
    return digits.enumerated().reduce("") { text, digit in
        let left = digits.count - digit.offset
        return text + (digit.offset > 0 && left % 3 == 0 ? "," : "") + String(digit.element)
    }
}

/// One digit behind the point: 12.4.
func decimal(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(abs(tenths % 10))"
}

extension Proportion {
    /// `0.3 % (0.0-1.5)`: the rate and its exact interval.
    var text: String {
        "\(decimal(rate * 100)) % (\(decimal(interval.lowerBound * 100))-\(decimal(interval.upperBound * 100)))"
    }
}

/// The nearest-rank quantile, where nil is more than every number.
///
/// - Parameter share: in (0, 1].
func quantile(_ share: Double, of values: [UInt64?]) -> UInt64? {
    guard !values.isEmpty else { return nil }
    let sorted = values.map { $0 ?? .max }.sorted()
    let found = sorted[min(max(Int((share * Double(sorted.count)).rounded(.up)) - 1, 0), sorted.count - 1)]
    return found == .max ? nil : found
}

/// `62 / 157`: median and 95 % quantile.
func medianAndMost(_ values: [UInt64?]) -> String {
    "\(grouped(quantile(0.5, of: values))) / \(grouped(quantile(0.95, of: values)))"
}
