// Which version a request goes to. Pure: no clock, no I/O, no randomness of its own.

import NIOHTTP1
import Traffic

/// One of the two versions that share the traffic of a service.
enum Arm: Hashable, Sendable {
    case stable, canary
}

/// A request's version and whether it counts.
struct CohortChoice: Hashable, Sendable {
    var arm: Arm
    /// A tester's header asked for the canary: counted in neither arm.
    var isForced: Bool
}

/// The cohort rule of one table, ready to be asked for every request.
///
/// A key's place on the line 0..<10 000 depends on the salt and the key's value alone, and the canary takes the places
/// below its share. So the same user always gets the same version, and a rising share only adds users.
struct Cohort: Sendable {
    private let rule: CohortRule
    private let hash: SipHash
    private let share: UInt64
    private let hasCanary: Bool
    private let included: [(name: String, value: String)]

    init(_ table: RoutingTable) {
        rule = table.cohort
        hash = SipHash(salt: table.cohort.salt)
        share = UInt64(clamping: table.canaryShare)
        hasCanary = !table.canary.isEmpty
        included = table.cohort.includeHeaders.map { (name: $0.key, value: $0.value) }
    }

    /// - Parameters:
    ///   - clientAddress: the client's IP address as text, without port.
    ///   - nonce: a fresh random number, used when every request is chosen by itself.
    func choose(headers: HTTPHeaders, clientAddress: String, nonce: UInt64) -> CohortChoice {
        guard hasCanary else { return CohortChoice(arm: .stable, isForced: false) }
        for (name, value) in included where headers.first(name: name) == value {
            return CohortChoice(arm: .canary, isForced: true)
        }
        guard share > 0, let place = place(headers: headers, clientAddress: clientAddress, nonce: nonce) else {
            return CohortChoice(arm: .stable, isForced: false)
        }
        return CohortChoice(arm: place < share ? .canary : .stable, isForced: false)
    }

    /// Where the first present key lands on 0..<10 000; nil when none is present, and such a request stays on stable:
    /// a user whom nothing tells from others cannot be kept on one version.
    ///
    /// An empty value counts as absent, otherwise everybody who is logged out would be one user.
    func place(headers: HTTPHeaders, clientAddress: String, nonce: UInt64) -> UInt64? {
        for key in rule.keys {
            switch key {
            case .cookie(let name):
                if let value = Self.cookie(name, in: headers) { return hash.hash(value) % 10_000 }
            case .header(let name):
                if let value = headers.first(name: name), !value.isEmpty { return hash.hash(value) % 10_000 }
            case .clientAddress:
                if !clientAddress.isEmpty { return hash.hash(clientAddress) % 10_000 }
            case .request:
                return nonce % 10_000
            }
        }
        return nil
    }

    /// The first cookie of this name that is not empty (RFC 6265 section 5.4: `name=value; name=value`).
    static func cookie(_ name: String, in headers: HTTPHeaders) -> Substring? {
        for field in headers where field.name.isField("cookie") {
            var rest = field.value[...]
            while !rest.isEmpty {
                let end = rest.utf8.firstIndex(of: UInt8(ascii: ";")) ?? rest.endIndex
                let pair = rest[..<end].trimmed
                rest = end == rest.endIndex ? rest[end...] : rest[rest.utf8.index(after: end)...]
                guard let equals = pair.utf8.firstIndex(of: UInt8(ascii: "=")), pair[..<equals] == name else {
                    continue
                }
                let value = pair[pair.utf8.index(after: equals)...]
                if !value.isEmpty { return value }
            }
        }
        return nil
    }
}
