// How many different users, when they are too many to be remembered one by one. Pure.

/// HyperLogLog (Flajolet et al. 2007) of 64-bit hashes, read by the historic inverse probability estimator (Cohen 2014;
/// Ting 2014).
///
/// A hash picks a register with its first bits and offers it the place of its first 1 among the rest; a register keeps
/// the largest offer. Whenever one grows, the count grows by 1 over the probability that a new hash makes any grow. That
/// makes the count unbiased, never smaller than it was, and lets it go on from an exact one. It needs all hashes to come
/// through one sketch: two cannot be united.
struct HyperLogLog: Hashable, Sendable {
    /// 2^17 registers of a byte. The standard error of the count is sqrt(ln 2 / 2^17) = 0.23 %, so 1 % is more than four
    /// times that.
    static let indexBits = 17

    private var registers = [UInt8](repeating: 0, count: 1 << HyperLogLog.indexBits)
    /// Sum of 2^-register: of all registers, this many would grow by the next new hash, on average.
    private var open = Double(1 << HyperLogLog.indexBits)
    private var estimate = 0.0

    init() {}

    /// Goes on from hashes that were counted exactly.
    init(_ hashes: Set<UInt64>) {
        for hash in hashes { insert(hash) }
        estimate = Double(hashes.count)
    }

    /// The same hash again changes nothing.
    mutating func insert(_ hash: UInt64) {
        let index = Int(truncatingIfNeeded: hash >> UInt64(64 - Self.indexBits))
        let rest = hash << UInt64(Self.indexBits)
        let place = UInt8(min(rest.leadingZeroBitCount, 64 - Self.indexBits) + 1)
        guard place > registers[index] else { return }
        estimate += Double(registers.count) / open
        open -= Self.half(registers[index]) - Self.half(place)
        registers[index] = place
    }

    var count: UInt64 { UInt64(estimate.rounded()) }

    /// 2^-exponent.
    private static func half(_ exponent: UInt8) -> Double {
        Double(sign: .plus, exponent: -Int(exponent), significand: 1)
    }
}
