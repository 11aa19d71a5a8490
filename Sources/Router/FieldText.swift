// Small text questions of HTTP fields, answered without copies. Pure.

extension StringProtocol {
    /// Whether this is the field or token `lowercased`, whatever its case (RFC 9110 section 5.1).
    func isField(_ lowercased: StaticString) -> Bool {
        guard utf8.count == lowercased.utf8CodeUnitCount else { return false }
        return lowercased.withUTF8Buffer { wanted in
            var position = 0
            for byte in utf8 {
                guard byte.lowercasedASCII == wanted[position] else { return false }
                position += 1
            }
            return true
        }
    }
}

extension Substring {
    /// Without the optional white space of RFC 9110 section 5.6.3 at both ends.
    var trimmed: Substring {
        var text = self
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }
}

extension UInt8 {
    var lowercasedASCII: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self }
}
