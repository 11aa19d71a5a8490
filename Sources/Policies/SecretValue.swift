// Where the value behind `env:NAME` and `file:PATH` is read, at the moment it is needed.

import Glibc
package import Releases

/// Why a secret has no value now. Names the secret, never what it holds.
package struct SecretUnreadable: Error, Hashable, Sendable, CustomStringConvertible {
    package let secret: Secret
    /// Lower case, no full stop.
    package let message: String
    package let hint: String

    package var description: String { "\(message)\nhint: \(hint)" }
}

/// The value of a secret, without the line break at its end.
///
/// - Parameter environment: Looks an environment variable up; the process's own by default.
/// - Throws: when it is not there, is empty, is not UTF-8 or is longer than 64 KiB.
package func resolve(
    _ secret: Secret, environment: (String) -> String? = { name in getenv(name).map { String(cString: $0) } }
) throws(SecretUnreadable) -> String {
    let written: String
    switch secret {
    case .environment(let name):
        guard let value = environment(name) else {
            throw SecretUnreadable(
                secret: secret, message: "secret \(secret) is not set",
                hint: "set \(name) in the environment perchd starts with")
        }
        written = value
    case .file(let path):
        do {
            written = try readText(path: path, atMost: 64 << 10)
        } catch {
            throw SecretUnreadable(
                secret: secret, message: "secret \(secret) cannot be read: \(error.reason)",
                hint: "the file must be readable by the user perchd runs as")
        }
    }
    var value = Substring(written)
    while let last = value.last, last.isNewline { value.removeLast() }
    guard !value.isEmpty else {
        throw SecretUnreadable(
            secret: secret, message: "secret \(secret) is empty", hint: "write the value as its only line")
    }
    return String(value)
}

/// Why a file cannot be read: `no such file or directory`.
struct Unreadable: Error {
    var reason: String
}

/// A whole file as UTF-8.
func readText(path: String, atMost limit: Int) throws(Unreadable) -> String {
    func failure() -> Unreadable { Unreadable(reason: String(cString: strerror(errno)).lowercased()) }
    guard let file = fopen(path, "re") else { throw failure() }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 << 10)
    while bytes.count <= limit {
        let count = fread(&chunk, 1, chunk.count, file)
        bytes += chunk[..<count]
        if count < chunk.count {
            if ferror(file) != 0 { throw failure() }
            break
        }
    }
    guard bytes.count <= limit else { throw Unreadable(reason: "larger than \(byteText(Int64(limit)))") }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Unreadable(reason: "not UTF-8") }
    return text
}
