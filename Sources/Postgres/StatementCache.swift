// Which statements a session has prepared. Pure: no clock, no I/O.

/// Names of prepared statements by their SQL.
struct StatementCache {
    /// Each costs the server's session some kilobytes of plans.
    static let capacity = 256

    private var names: [String: String] = [:]
    private var lastNumber = 0

    var isFull: Bool { names.count >= Self.capacity }

    func name(of sql: String) -> String? { names[sql] }

    /// A name that no statement of this session ever had.
    mutating func freshName() -> String {
        lastNumber += 1
        return "perch_\(lastNumber)"
    }

    mutating func remember(_ sql: String, as name: String) { names[sql] = name }
    mutating func forget(_ sql: String) { names[sql] = nil }
    mutating func forgetAll() { names.removeAll() }
}
