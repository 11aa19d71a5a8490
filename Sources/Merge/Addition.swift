// clone + new - base on numbers in text form, exact or not at all.

extension Addition {
    /// What a column with the rule `add` gets.
    ///
    /// - Returns: nil when a value is NULL or no finite number, or the sum does not fit the type.
    func sum(_ clone: Value, plus new: Value, minus base: Value) -> Value? {
        guard case .text(let clone) = clone, case .text(let new) = new, case .text(let base) = base else { return nil }
        switch self {
        case .impossible: return nil
        case .integer(let bits):
            guard let clone = Int64(digits: clone), let new = Int64(digits: new), let base = Int64(digits: base) else {
                return nil
            }
            let sum = Int128(clone) + Int128(new) - Int128(base)
            let limit = Int128(1) << (bits - 1)
            guard (-limit..<limit).contains(sum) else { return nil }
            return Value(String(sum))
        case .decimal(let integerDigits):
            guard let clone = Decimal(clone), let new = Decimal(new), let base = Decimal(base) else { return nil }
            return Decimal.sum(clone, new, minus: base, integerDigits: integerDigits).map(Value.text)
        }
    }
}

extension Int64 {
    fileprivate init?(digits: [UInt8]) {
        guard let text = String(validating: digits, as: UTF8.self) else { return nil }
        self.init(text)
    }
}

/// A finite numeric as PostgreSQL writes it: `-12.340`.
private struct Decimal {
    var isNegative: Bool
    /// Most significant first, without the point.
    var digits: [Int]
    /// Digits behind the point.
    var scale: Int

    init?(_ text: [UInt8]) {
        isNegative = text.first == UInt8(ascii: "-")
        digits = []
        scale = 0
        var hasPoint = false
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                digits.append(Int(byte - UInt8(ascii: "0")))
                if hasPoint { scale += 1 }
            } else {
                return nil
            }
        }
        if digits.isEmpty { return nil }
    }

    /// The sum with the largest scale of the three, as PostgreSQL's own addition has.
    static func sum(_ first: Decimal, _ second: Decimal, minus third: Decimal, integerDigits: Int?) -> [UInt8]? {
        let scale = max(first.scale, second.scale, third.scale)
        let whole = [first, second, third].reduce(0) { max($0, $1.digits.count - $1.scale) }
        // Least significant first; two places more for the carry.
        var columns = [Int](repeating: 0, count: whole + scale + 2)
        for (number, sign) in [(first, 1), (second, 1), (third, -1)] {
            let sign = number.isNegative ? -sign : sign
            let shift = scale - number.scale
            for (place, digit) in number.digits.reversed().enumerated() { columns[place + shift] += sign * digit }
        }
        let isNegative = normalise(&columns)
        while columns.count > scale + 1, columns.last == 0 { columns.removeLast() }
        let wholeDigits = columns.count - scale
        if let integerDigits, wholeDigits - (columns.last == 0 ? 1 : 0) > integerDigits { return nil }
        var text: [UInt8] = isNegative ? [UInt8(ascii: "-")] : []
        for place in columns.indices.reversed() {
            text.append(UInt8(ascii: "0") + UInt8(columns[place]))
            if place == scale, scale > 0 { text.append(UInt8(ascii: ".")) }
        }
        return text
    }

    /// Brings every place into 0...9.
    ///
    /// - Returns: whether the number is below zero.
    private static func normalise(_ columns: inout [Int]) -> Bool {
        guard carry(&columns) < 0 else { return false }
        for place in columns.indices { columns[place] = -columns[place] }
        // The carry was the complement's -1; negated and with it, the rest is the magnitude.
        columns[columns.count - 1] += 10
        _ = carry(&columns)
        return true
    }

    private static func carry(_ columns: inout [Int]) -> Int {
        var carry = 0
        for place in columns.indices {
            let (quotient, rest) = (columns[place] + carry).quotientAndRemainder(dividingBy: 10)
            carry = rest < 0 ? quotient - 1 : quotient
            columns[place] = rest < 0 ? rest + 10 : rest
        }
        return carry
    }
}
