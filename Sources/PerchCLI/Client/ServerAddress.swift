// Where perchd answers.

/// `unix:///run/perch/perchd.sock`, `http://host:port` or `https://host/prefix`.
struct ServerAddress: Hashable, Sendable {
    /// What a path is put behind, as async-http-client takes it.
    let base: String
    /// As it was written.
    let text: String
    let isSocket: Bool

    init(_ text: String) throws {
        self.text = text
        if text.hasPrefix("unix://") {
            let path = text.dropFirst("unix://".count)
            guard path.hasPrefix("/"), path.utf8.count < 108 else {
                throw CommandFailure(
                    .usage, "server '\(text)' must be unix:// and an absolute path of less than 108 bytes")
            }
            base = "http+unix://" + Self.escaped(path)
            isSocket = true
            return
        }
        let isWeb = text.hasPrefix("http://") || text.hasPrefix("https://")
        guard isWeb, let host = text.split(separator: "/").dropFirst().first, !host.isEmpty else {
            throw CommandFailure(
                .usage, "server '\(text)' must start with http://, https:// or unix://",
                hint: "for example unix:///run/perch/perchd.sock")
        }
        base = text.hasSuffix("/") ? String(text.dropLast()) : text
        isSocket = false
    }

    /// Everything but letters, digits and `-._~` as `%XX`.
    static func escaped(_ text: some StringProtocol) -> String {
        var result = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            let isPlain =
                scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
                || "-._~".unicodeScalars.contains(scalar)
            if isPlain {
                result.unicodeScalars.append(scalar)
            } else {
                result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
