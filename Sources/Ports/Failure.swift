// How a port says that the world did not do what was asked.

/// An error an operator can act on: the object, what is wrong with it, and what to do.
package struct Failure: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// Lower case, no full stop, names the object and the value.
    package var message: String
    /// What to do about it; nil when nothing but trying again helps.
    package var hint: String?
    /// Asking again later may succeed without anybody changing anything.
    package var isTransient: Bool

    package init(_ message: String, hint: String? = nil, isTransient: Bool = false) {
        self.message = message
        self.hint = hint
        self.isTransient = isTransient
    }

    package var description: String {
        guard let hint else { return message }
        return "\(message)\nhint: \(hint)"
    }
}
