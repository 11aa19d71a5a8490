package enum PgOutputError: Error, Hashable, Sendable { case unknown }
package struct PgOutputDecoder: Hashable, Sendable {
    package private(set) var relations: [UInt32: Relation] = [:]
    package init() {}
    package mutating func decode(_ bytes: [UInt8]) throws(PgOutputError) -> PgOutputMessage { throw .unknown }
}
