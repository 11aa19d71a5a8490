// Connection settings as a URI again (RFC 3986, PostgreSQL: 34.1.1.2). Pure: no clock, no I/O.

extension ConnectionSettings: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `postgresql://user:password@host:port/dbname?keyword=value`, understood by libpq and by most drivers.
    ///
    /// Holds the password: for a child process's environment only, never for a log.
    package var url: String {
        let authority = [userInformation(withPassword: true), hosts].compactMap { $0 }.joined()
        var url = "postgresql://\(authority)"
        if let database = parameters["dbname"] { url += "/\(percentEncoded(database))" }
        let inQuery = parameters.filter { keyword, _ in !isInAuthorityOrPath(keyword) }
        for (index, (keyword, value)) in inQuery.sorted(by: { $0.key < $1.key }).enumerated() {
            // Without a database the query still needs its slash.
            if index == 0 && parameters["dbname"] == nil { url += "/" }
            url += "\(index == 0 ? "?" : "&")\(keyword)=\(percentEncoded(value))"
        }
        return url
    }

    package var description: String {
        let place = hosts ?? parameters["host"] ?? parameters["hostaddr"] ?? "local"
        return "\(userInformation(withPassword: false) ?? "")\(place)/\(parameters["dbname"] ?? "")"
    }

    package var debugDescription: String { description }

    /// `dump` and the printing of values that contain this one show no more than `description`.
    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }

    private func userInformation(withPassword: Bool) -> String? {
        guard let user = parameters["user"] else { return nil }
        guard withPassword, let password = parameters["password"] else { return "\(percentEncoded(user))@" }
        return "\(percentEncoded(user)):\(percentEncoded(password))@"
    }

    /// `host:port,host:port`. nil for socket folders, which go into the query because not every driver takes them here,
    /// and where hosts and ports do not pair up.
    private var hosts: String? {
        guard let host = parameters["host"], !host.isEmpty else { return nil }
        let names = host.split(separator: ",", omittingEmptySubsequences: false)
        guard names.allSatisfy({ !$0.isEmpty && !$0.hasPrefix("/") && !$0.hasPrefix("@") }) else { return nil }
        let ports = parameters["port"]?.split(separator: ",", omittingEmptySubsequences: false) ?? []
        guard ports.count <= 1 || ports.count == names.count else { return nil }
        return names.enumerated().map { index, name in
            let place = name.contains(":") ? "[\(name)]" : percentEncoded(String(name))
            let port = ports.isEmpty ? "" : ports[ports.count == 1 ? 0 : index]
            return port.isEmpty ? place : "\(place):\(port)"
        }.joined(separator: ",")
    }

    private func isInAuthorityOrPath(_ keyword: String) -> Bool {
        switch keyword {
        case "dbname", "user": true
        case "password": parameters["user"] != nil
        case "host", "port": hosts != nil
        default: false
        }
    }
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
private func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".unicodeScalars)
    var encoded = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            encoded.append("%")
            encoded.unicodeScalars.append(digits[Int(byte >> 4)])
            encoded.unicodeScalars.append(digits[Int(byte & 15)])
        }
    }
    return encoded
}
