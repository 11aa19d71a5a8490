// Goal: no bytes make the decoder trap, loop or take more memory than they are worth. Method: random bytes and damaged
// good messages from a printed seed; PERCH_TEST_SEED repeats a run.

import Foundation
import Postgres
import Testing

@Suite("Bytes that are no message")
struct PgOutputFuzzTests {
    private static let runSeed: UInt64 = {
        let given = ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap { UInt64($0) }
        let seed = given ?? .random(in: 0 ... .max)
        print("PERCH_TEST_SEED=\(seed)")
        return seed
    }()
    private let seed = Self.runSeed

    @Test("are refused or read, at random")
    func randomBytes() {
        var generator = SeededGenerator(seed: seed)
        let kinds = Array("BCORYIUDTM".utf8)
        for _ in 0..<20_000 {
            var message = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            // Without this, most would stop at the first byte.
            if !message.isEmpty { message[0] = kinds.randomElement(using: &generator) ?? 0 }
            check(message, knowing: [people])
        }
    }

    @Test("are refused or read when a good message was damaged")
    func damaged() {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            var message = everyKind.randomElement(using: &generator) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &generator) { damage(&message, &generator) }
            check(message, knowing: [people])
        }
    }

    @Test("are refused when a good message was cut anywhere")
    func cut() throws {
        for message in everyKind {
            for length in 0..<message.count {
                var decoder = PgOutputDecoder()
                _ = try decoder.decode(people)
                #expect(throws: PgOutputError.self) { try decoder.decode(Array(message.prefix(length))) }
            }
        }
    }

    @Test("are refused or read as frames")
    func frames() {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20_000 {
            var message = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            if !message.isEmpty { message[0] = Bool.random(using: &generator) ? 0x77 : 0x6B }
            if let frame = try? ReplicationFrame(message), case .data(_, _, _, let bytes) = frame {
                #expect(bytes.count == message.count - 25)
            }
        }
    }

    private func damage(_ message: inout [UInt8], _ generator: inout SeededGenerator) {
        guard !message.isEmpty else { return }
        let place = Int.random(in: 0..<message.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: message[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: message.remove(at: place)
        case 2: message.insert(UInt8.random(in: 0...255, using: &generator), at: place)
        default: message.replaceSubrange(place..<min(place + 4, message.count), with: [0x7F, 0xFF, 0xFF, 0xFF])
        }
    }

    /// Decoding ends; an error's place lies in the message; what was read is no larger than the message.
    private func check(_ message: [UInt8], knowing earlier: [[UInt8]]) {
        var decoder = PgOutputDecoder()
        for message in earlier { _ = try? decoder.decode(message) }
        let before = decoder
        do {
            switch try decoder.decode(message) {
            case .insert(_, let values), .update(_, _, let values): #expect(values.count <= message.count)
            case .message(_, _, _, let content): #expect(content.count <= message.count)
            case .truncate(let relations, _): #expect(relations.count <= message.count)
            case .begin, .commit, .origin, .relation, .type, .delete: break
            }
        } catch {
            #expect(decoder == before)
            #expect((0...message.count).contains(offset(of: error)), "\(error) in \(message)")
        }
    }

    private func offset(of error: PgOutputError) -> Int {
        switch error {
        case .truncated(let offset, _, _, _), .unexpectedByte(let offset, _, _), .negativeLength(let offset, _, _),
            .unterminatedString(let offset, _), .notUTF8(let offset, _), .unknownRelation(let offset, _),
            .columnCount(let offset, _, _), .trailingBytes(let offset, _):
            offset
        }
    }
}
