// Randomness that is the same everywhere.

import Merge

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) {
        // A multiple of the step would make the next seed the same sequence, one later.
        state = seed
        state = next()
    }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

extension Value {
    init(_ number: Int) { self.init(String(number)) }

    var number: Int? {
        guard case .text(let bytes) = self else { return nil }
        return Int(String(decoding: bytes, as: UTF8.self))
    }

    var string: String {
        switch self {
        case .null: "-"
        case .unchanged: "~"
        case .text(let bytes): String(decoding: bytes, as: UTF8.self)
        }
    }
}

extension RowID: CustomStringConvertible {
    package var description: String { "\(table.rawValue)[\(key.map(\.string).joined(separator: ","))]" }
}
