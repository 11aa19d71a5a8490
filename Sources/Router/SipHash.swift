// SipHash-2-4 (Aumasson and Bernstein 2012): a keyed 64-bit hash that is the same on every machine. Pure.

/// SipHash-2-4 of a byte string under a 128-bit key.
///
/// The cohort of a user must be the same in every process and after every restart, which Swift's seeded `Hasher`
/// rules out; and keyed, so that nobody can choose a cookie that lands in the canary without knowing the salt.
struct SipHash: Hashable, Sendable {
    let key0: UInt64
    let key1: UInt64

    init(key0: UInt64, key1: UInt64) {
        self.key0 = key0
        self.key1 = key1
    }

    /// A key spread from text of any length: the text hashed under two fixed, different keys.
    init(salt: String) {
        let bytes = Array(salt.utf8)
        key0 = SipHash(key0: 0, key1: 0).hash(bytes)
        key1 = SipHash(key0: 1, key1: 1).hash(bytes)
    }

    func hash(_ text: some StringProtocol) -> UInt64 {
        if let hash = text.utf8.withContiguousStorageIfAvailable({ hash(UnsafeRawBufferPointer($0)) }) { return hash }
        return hash(Array(text.utf8))
    }

    func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { hash($0) }
    }

    func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var state = State(key0: key0, key1: key1)
        var offset = 0
        while offset + 8 <= bytes.count {
            state.compress(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        // The last word holds the rest of the bytes and, in its top byte, the length modulo 256.
        var last = UInt64(truncatingIfNeeded: bytes.count) << 56
        for position in offset..<bytes.count { last |= UInt64(bytes[position]) << UInt64(8 * (position - offset)) }
        state.compress(last)
        return state.finish()
    }

    private struct State {
        var v0: UInt64
        var v1: UInt64
        var v2: UInt64
        var v3: UInt64

        init(key0: UInt64, key1: UInt64) {
            v0 = key0 ^ 0x736f_6d65_7073_6575
            v1 = key1 ^ 0x646f_7261_6e64_6f6d
            v2 = key0 ^ 0x6c79_6765_6e65_7261
            v3 = key1 ^ 0x7465_6462_7974_6573
        }

        mutating func compress(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finish() -> UInt64 {
            v2 ^= 0xff
            for _ in 0..<4 { round() }
            return v0 ^ v1 ^ v2 ^ v3
        }

        private mutating func round() {
            v0 = v0 &+ v1
            v1 = v1 << 13 | v1 >> 51
            v1 ^= v0
            v0 = v0 << 32 | v0 >> 32
            v2 = v2 &+ v3
            v3 = v3 << 16 | v3 >> 48
            v3 ^= v2
            v0 = v0 &+ v3
            v3 = v3 << 21 | v3 >> 43
            v3 ^= v0
            v2 = v2 &+ v1
            v1 = v1 << 17 | v1 >> 47
            v1 ^= v2
            v2 = v2 << 32 | v2 >> 32
        }
    }
}
