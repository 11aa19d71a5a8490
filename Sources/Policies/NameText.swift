// How secrets, names and addresses are written in a policy: `env:NAME`, `cookie:session`, `127.0.0.1:8080`.

import Releases

/// Reads `env:NAME` or `file:PATH`. Anything else may be the secret itself and is not repeated.
func secret(_ text: String) throws(Misread) -> Secret {
    let hint = "write env:NAME or file:PATH and keep the value out of the policy"
    if text.hasPrefix("env:") {
        let name = String(text.dropFirst(4))
        guard isVariableName(name) else { throw Misread("must name an environment variable after env:", hint: hint) }
        return .environment(name)
    }
    if text.hasPrefix("file:") {
        let path = String(text.dropFirst(5))
        // file://host/path and a DSN's scheme look alike; a path never begins with two slashes here.
        guard !path.isEmpty, !path.hasPrefix("//"), !path.utf8.contains(0) else {
            throw Misread("must name a file after file:", hint: hint)
        }
        return .file(path)
    }
    throw Misread("must say where the secret is found, not hold it", hint: hint)
}

/// Text that is not empty, as programs and other machines can take it.
func text(_ text: String) throws(Misread) -> String {
    guard !text.isEmpty else { throw Misread("must not be empty") }
    return try possiblyEmptyText(text)
}

func possiblyEmptyText(_ text: String) throws(Misread) -> String {
    guard !text.utf8.contains(0) else { throw Misread("must not hold a NUL character") }
    guard !carriesPassword(text) else {
        throw Misread(
            "must not hold a URL with a password in it",
            hint: "policies are kept and shown; let the service read its secrets from where it runs")
    }
    return text
}

/// Whether a URL with `user:password@` is in the text.
func carriesPassword(_ text: String) -> Bool {
    var rest = Substring(text)
    while let scheme = rest.firstRange(of: "://") {
        rest = rest[scheme.upperBound...]
        let authority = rest.prefix { !"/?# ".contains($0) }
        if let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":"),
            authority.index(after: colon) < at
        {
            return true
        }
    }
    return false
}

/// `[A-Za-z_][A-Za-z0-9_]*`
func isVariableName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
}

func variableName(_ text: String) throws(Misread) -> String {
    guard isVariableName(text) else {
        throw Misread("must be the name of an environment variable, not \(quoted(text))")
    }
    return text
}

func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"):
        true
    default: false
    }
}

/// The name of a header or a cookie: a token of RFC 9110, section 5.6.2.
func isToken(_ name: some StringProtocol) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+-.^_`|~".utf8.contains($0) }
}

func serviceName(_ text: String) throws(Misread) -> ServiceName {
    guard let name = ServiceName(rawValue: text) else {
        throw Misread(
            "must be lower-case letters, digits and dashes, a letter first, at most 40, not \(quoted(text))")
    }
    return name
}

/// A plain PostgreSQL role name: `[a-z_][a-z0-9_]{0,62}`, so that it needs no quotes anywhere.
func roleName(_ text: String) throws(Misread) -> String {
    let letters = text.utf8.allSatisfy { byte in
        isAlphanumeric(byte) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "_")
    }
    guard isVariableName(text), letters, text.utf8.count <= 63 else {
        throw Misread("must be a plain PostgreSQL name, not \(quoted(text))", hint: "lower-case letters, digits and _")
    }
    guard !text.hasPrefix("pg_"), text != "public", text != "none", text != "postgres" else {
        throw Misread("must be a role of the canary's own, not \(quoted(text))", hint: "for example shop_canary")
    }
    return text
}

/// An absolute HTTP path.
func httpPath(_ text: String) throws(Misread) -> String {
    guard text.hasPrefix("/"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }) else {
        throw Misread("must be an HTTP path such as /healthz, not \(quoted(text))")
    }
    return text
}

/// The short name of a branch.
func branchName(_ text: String) throws(Misread) -> String {
    if text.hasPrefix("refs/heads/") {
        throw Misread("must be the branch alone, not \(quoted(text))", hint: "write \(text.dropFirst(11))")
    }
    let plain = text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && !"~^:?*[\\".utf8.contains($0) }
    guard plain, !text.isEmpty, !text.hasPrefix("-"), !text.contains("..") else {
        throw Misread("must be the name of a branch, not \(quoted(text))")
    }
    return text
}

/// What git can clone, and cannot take for an option.
func repositoryAddress(_ written: String) throws(Misread) -> String {
    let address = try text(written)
    guard !address.hasPrefix("-") else { throw Misread("must be a path or URL, not \(quoted(address))") }
    return address
}

func cohortKey(_ text: String) throws(Misread) -> Policy.CohortKey {
    switch text {
    case "client-address": return .clientAddress
    case "request": return .request
    default: break
    }
    if text.hasPrefix("cookie:"), isToken(text.dropFirst(7)) { return .cookie(String(text.dropFirst(7))) }
    if text.hasPrefix("header:"), isToken(text.dropFirst(7)) { return .header(String(text.dropFirst(7))) }
    throw Misread(
        "must be cookie:NAME, header:NAME, client-address or request, not \(quoted(text))",
        hint: likelyMeant(text, among: ["client-address", "request"]).map { "did you mean '\($0)'?" })
}

func text(of key: Policy.CohortKey) -> String {
    switch key {
    case .cookie(let name): "cookie:\(name)"
    case .header(let name): "header:\(name)"
    case .clientAddress: "client-address"
    case .request: "request"
    }
}

/// `host:port` where a server listens; IPv6 in brackets.
struct ListenAddress: Hashable {
    var host: String
    var port: Int

    init(_ text: String) throws(Misread) {
        let example = "write HOST:PORT, for example 127.0.0.1:8080 or 0.0.0.0:8080"
        guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else {
            throw Misread("must be HOST:PORT, not \(quoted(text))", hint: example)
        }
        let digits = text[text.index(after: colon)...]
        guard let port = Int(digits), (1...65_535).contains(port), "\(port)" == digits else {
            throw Misread("must end in a port between 1 and 65535, not \(quoted(String(digits)))", hint: example)
        }
        let host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.utf8.count > 2
        let letters = isBracketed ? host.dropFirst().dropLast() : host
        guard letters.utf8.allSatisfy({ isAlphanumeric($0) || (isBracketed ? ":.%" : ".-").utf8.contains($0) }) else {
            throw Misread("must begin with a host or an address, not \(quoted(String(host)))", hint: example)
        }
        self.host = String(host)
        self.port = port
    }

    /// Whether two servers cannot both have their address.
    func collides(with other: ListenAddress) -> Bool {
        let any: Set = ["0.0.0.0", "[::]"]
        return port == other.port && (host == other.host || any.contains(host) || any.contains(other.host))
    }
}

func listenAddress(_ text: String) throws(Misread) -> String {
    _ = try ListenAddress(text)
    return text
}

/// The name of a header, in lower case as routers and redaction compare it.
func headerName(_ text: String) throws(Misread) -> String {
    guard isToken(text) else { throw Misread("must be the name of a header, not \(quoted(text))") }
    return text.lowercased()
}

/// A variable a policy may set for a service.
func environmentName(_ text: String) throws(Misread) -> String {
    let name = try variableName(text)
    guard !name.hasPrefix("PERCH_") else {
        throw Misread("must leave names that begin with PERCH_ to Perch, not set \(name)")
    }
    return name
}

/// A table with its schema, as the database has their names: `public.accounts`.
func tableName(_ text: String) throws(Misread) -> String {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }), !text.utf8.contains(0) else {
        throw Misread("must name tables with their schema, not \(quoted(text))", hint: "write public.\(text)")
    }
    return text
}
