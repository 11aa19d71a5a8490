// Several measurements of one thing.

import Foundation

struct Spread: Sendable {
    let values: [Double]

    /// - Parameter values: at least one.
    init(_ values: [Double]) { self.values = values.sorted() }

    var median: Double {
        let middle = values.count / 2
        return values.count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2
    }

    /// `7,078 (6,900 to 7,301)`
    var whole: String { text { Int($0.rounded()).formatted(.number.locale(Locale(identifier: "en_US"))) } }

    /// `5.21 (5.02 to 5.50)`
    func digits(_ count: Int) -> String { text { String(format: "%.\(count)f", $0) } }

    private func text(_ shown: (Double) -> String) -> String {
        "\(shown(median)) (\(shown(values[0])) to \(shown(values[values.count - 1])))"
    }
}

/// One row of the comparison.
struct Line: Sendable {
    let title: String
    /// Transactions a second.
    let native: Spread
    let perch: Spread
    let ratio: Spread
    let goal: Double

    static let heading = """
        | transactions | native tx/s | Perch tx/s | ratio | goal | |
        |---|--:|--:|--:|--:|---|
        """

    var isMet: Bool { ratio.median >= goal }

    var markdown: String {
        "| \(title) | \(native.whole) | \(perch.whole) | \(ratio.digits(2)) | >= \(Int(goal)) | "
            + "\(isMet ? "goal met" : "GOAL MISSED") |"
    }
}
