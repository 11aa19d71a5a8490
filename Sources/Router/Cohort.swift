// Which version a request goes to. Pure: no clock, no I/O, no randomness of its own.

import NIOHTTP1
import Traffic

/// One of the two versions that share the traffic of a service.
enum Arm: Hashable, Sendable {
    case stable, canary
}

/// A request's version, and what the coin was tossed for.
struct CohortChoice: Hashable, Sendable {
    enum Unit: Hashable, Sendable {
        /// A user, by the hash of the cohort key: all requests of a user go where this one goes.
        case user(UInt64)
        /// This request alone.
        case request
        /// Nothing tells its user from others, so no coin was tossed and it stays on stable. In neither arm.
        case keyless
        /// A tester's header asked for the canary. In neither arm.
        case forced
    }

    var arm: Arm
    var unit: Unit

    var isForced: Bool { unit == .forced }

    /// The coin chose the version: the request belongs to one of the two arms that are compared.
    var isTossed: Bool {
        switch unit {
        case .user, .request: true
        case .keyless, .forced: false
        }
    }
}

/// The cohort rule of one table, ready to be asked for every request.
///
/// A key's place on the line 0..<10 000 depends on the salt and the key's value alone, and the canary takes the places
/// below its share. So the same user always gets the same version, and a rising share only adds users.
struct Cohort: Sendable {
    private let rule: CohortRule
    private let hash: SipHash
    /// The canary's share in basis points; 0 while no instance of it serves.
    let share: Int
    private let hasCanary: Bool
    private let included: [(name: String, value: String)]

    init(_ table: RoutingTable) {
        rule = table.cohort
        hash = SipHash(salt: table.cohort.salt)
        hasCanary = !table.canary.isEmpty
        share = hasCanary ? min(max(table.canaryShare, 0), 10_000) : 0
        included = table.cohort.includeHeaders.map { (name: $0.key, value: $0.value) }
    }

    /// - Parameters:
    ///   - clientAddress: the client's IP address as text, without port.
    ///   - nonce: a fresh random number, used when every request is chosen by itself.
    func choose(headers: HTTPHeaders, clientAddress: String, nonce: UInt64) -> CohortChoice {
        if hasCanary {
            for (name, value) in included where headers.first(name: name) == value {
                return CohortChoice(arm: .canary, unit: .forced)
            }
        }
        let unit = unit(headers: headers, clientAddress: clientAddress)
        let number: UInt64
        switch unit {
        case .user(let hash): number = hash
        case .request: number = nonce
        case .keyless, .forced: return CohortChoice(arm: .stable, unit: unit)
        }
        return CohortChoice(arm: number % 10_000 < UInt64(share) ? .canary : .stable, unit: unit)
    }

    /// Whom the first key that is present names; a request without any stays on stable: a user whom nothing tells from
    /// others cannot be kept on one version.
    ///
    /// An empty value counts as absent, otherwise everybody who is logged out would be one user.
    func unit(headers: HTTPHeaders, clientAddress: String) -> CohortChoice.Unit {
        for key in rule.keys {
            switch key {
            case .cookie(let name):
                if let value = Self.cookie(name, in: headers) { return .user(hash.hash(value)) }
            case .header(let name):
                if let value = headers.first(name: name), !value.isEmpty { return .user(hash.hash(value)) }
            case .clientAddress:
                if !clientAddress.isEmpty { return .user(hash.hash(clientAddress)) }
            case .request:
                return .request
            }
        }
        return .keyless
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
