// What somebody probably meant to write.

/// The known word nearest to a mistyped one, or nil when none is near.
func likelyMeant(_ written: String, among known: [String]) -> String? {
    /// `maxParallel`, `max-parallel` and `max_parallel` are the same word.
    func letters(_ word: String) -> [UInt8] {
        word.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
    }
    // Longer than any word of ours by far: no reason to measure it.
    guard written.utf8.count <= 64 else { return nil }
    let wanted = letters(written)
    let nearest = known.map { word in (word, editDistance(wanted, letters(word))) }.min { $0.1 < $1.1 }
    guard let (word, distance) = nearest, distance <= max(1, wanted.count / 3), distance < wanted.count else {
        return nil
    }
    return word
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var twoBack: [Int] = []
    var previous = Array(0...right.count)
    for (i, letter) in left.enumerated() {
        var current = [i + 1]
        for (j, other) in right.enumerated() {
            var best = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (letter == other ? 0 : 1))
            if i > 0, j > 0, letter == right[j - 1], left[i - 1] == other {
                best = min(best, twoBack[j - 1] + 1)
            }
            current.append(best)
        }
        (twoBack, previous) = (previous, current)
    }
    return previous[right.count]
}
