// Passwords that tools print because they were given one in a URL.

enum Redaction {
    /// `postgres://shop:secret@db/shop` -> `postgres://shop:***@db/shop`. Pure.
    static func withoutURLPasswords(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var shown: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index...].starts(with: "://".utf8) else {
                shown.append(bytes[index])
                index += 1
                continue
            }
            shown += "://".utf8
            index += 3
            // user[:password]@ ends before the first byte that no authority holds.
            let authority = bytes[index...].prefix { $0 > 0x20 && $0 < 0x7F && !"/?#\"'<>`\\".utf8.contains($0) }
            guard let at = authority.lastIndex(of: UInt8(ascii: "@")) else { continue }
            if let colon = authority[..<at].firstIndex(of: UInt8(ascii: ":")) {
                shown += bytes[index...colon]
                shown += "***".utf8
            } else {
                // A token alone, as `https://TOKEN@host`, cannot be told from a user's name.
                shown += "***".utf8
            }
            index = at
        }
        return String(decoding: shown, as: UTF8.self)
    }
}
