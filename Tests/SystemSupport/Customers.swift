// Customers: threads that write entries and write down everything they are told. They know only the address they call.

import Foundation
import Synchronization

/// One request and what became of it.
package struct Entry: Sendable {
    package enum Kind: Sendable { case read, write }
    package var kind: Kind
    /// Of a write: the id that its rows carry.
    package var id: String
    package var session: String
    package var value: Int
    package var sentAt: ContinuousClock.Instant
    package var settledAt: ContinuousClock.Instant
    /// nil: no complete answer came.
    package var status: Int?
    /// `X-Version`: only the service sets it.
    package var version: String?
    /// Why there was no answer, or the last line of an error.
    package var problem: String

    package var isAcknowledgedWrite: Bool { kind == .write && status == 201 }
    /// The service made this answer, whatever it says.
    package var isFromService: Bool { status != nil && version != nil }
}

/// Several customers at once, each on a connection it keeps and, now and then, on a fresh one.
package final class Customers: Sendable {
    private struct State {
        var entries: [Entry] = []
        var isStopped = false
        var running = 0
    }
    private let state: Mutex<State>
    private let port: Int
    package let seed: UInt64

    /// Sessions of one customer; enough that any share of at least 20% has some of them.
    private static let sessions = 10

    package init(port: Int, count: Int, seed: UInt64 = .random(in: 0...UInt64.max)) {
        self.port = port
        self.seed = seed
        state = Mutex(State(running: count))
        for number in 0..<count {
            Thread.detachNewThread { [self] in
                serve(Customer(number: number, port: port, seed: seed &+ UInt64(number)))
                state.withLock { $0.running -= 1 }
            }
        }
    }

    private func serve(_ customer: Customer) {
        while !state.withLock({ $0.isStopped }) {
            let entry = customer.step()
            state.withLock { $0.entries.append(entry) }
            usleep(UInt32(customer.random.next() % 25_000) + 10_000)
        }
    }

    package var entries: [Entry] { state.withLock { $0.entries } }

    /// Returns once every request in flight has settled.
    package func stop() async throws {
        state.withLock { $0.isStopped = true }
        try await until("the customers stop", within: .seconds(40)) { state.withLock { $0.running } == 0 }
    }

    /// Waits until this many more requests have settled.
    package func settle(_ count: Int, within limit: Duration = .seconds(20)) async throws {
        let before = entries.count
        try await until("\(count) more requests settle", within: limit) { entries.count >= before + count }
    }

    private final class Customer {
        let number: Int
        let port: Int
        var random: SplitMix64
        private var kept: Wire?

        init(number: Int, port: Int, seed: UInt64) {
            self.number = number
            self.port = port
            random = SplitMix64(state: seed)
        }

        func step() -> Entry {
            let session = "s\(number)-\(random.next() % UInt64(Customers.sessions))"
            var entry = Entry(
                kind: random.next() % 10 < 7 ? .write : .read, id: random.identifier(), session: session,
                value: Int(random.next() % 1_000), sentAt: .now, settledAt: .now, problem: "")
            let isFresh = random.next() % 5 == 0
            do throws(WireError) {
                let wire = try isFresh ? Wire(.port(port)) : keptWire()
                let answer = try ask(wire, entry)
                entry.status = answer.status
                entry.version = answer.headers["x-version"]
                if answer.status >= 400 {
                    entry.problem = answer.text.split(separator: "\n").last.map(String.init) ?? ""
                }
                if isFresh { wire.close() }
            } catch {
                entry.problem = error.description
                if !isFresh { kept = nil }
            }
            entry.settledAt = .now
            return entry
        }

        private func keptWire() throws(WireError) -> Wire {
            if let kept, kept.isOpen { return kept }
            let wire = try Wire(.port(port))
            kept = wire
            return wire
        }

        private func ask(_ wire: Wire, _ entry: Entry) throws(WireError) -> WireAnswer {
            let cookie = ("Cookie", "theme=dark; session=\(entry.session)")
            switch entry.kind {
            case .read: return try wire.exchange("GET", "/", [cookie])
            case .write:
                let body = #"{"id":"\#(entry.id)","session":"\#(entry.session)","value":\#(entry.value)}"#
                return try wire.exchange(
                    "POST", "/entries", [cookie, ("Content-Type", "application/json")], body: Array(body.utf8))
            }
        }
    }
}

/// Random numbers from a seed (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A UUID of 128 random bits, in lower case.
    mutating func identifier() -> String {
        let digits = [next(), next()].map { word in
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        let ends = [0, 8, 12, 16, 20, 32]
        let characters = Array(digits)
        return zip(ends, ends.dropFirst()).map { String(characters[$0..<$1]) }.joined(separator: "-")
    }
}
