// What every test of the whole system expects at its end.

package import Testing

/// Whatever happened, no acknowledged write is lost or doubled, none that was taken back is left.
package func expectBalance(_ ledger: Ledger, at place: SourceLocation = #_sourceLocation) {
    #expect(ledger.violations.prefix(10) == [], "\(ledger.violations.count) violations", sourceLocation: place)
}

/// Besides: every request got an answer of the service, and versions without a defect never failed.
package func expectNobodyNoticed(
    _ ledger: Ledger, besides broken: Set<ServiceVersion> = [], at place: SourceLocation = #_sourceLocation
) {
    expectBalance(ledger, at: place)
    #expect(ledger.failedBecauseOfPerch.prefix(10) == [], sourceLocation: place)
    #expect(ledger.errors(besides: broken).prefix(10) == [], sourceLocation: place)
}

extension PerchSystem {
    /// Slots, publications, triggers and half-made databases go away, at the latest shortly after the release's end.
    package func expectNothingLeft(at place: SourceLocation = #_sourceLocation) async throws {
        var left: [String] = []
        let end = ContinuousClock.now + .seconds(10)
        repeat {
            left = try await leftovers()
            if left.isEmpty { break }
            try await Task.sleep(for: .milliseconds(200))
        } while ContinuousClock.now < end
        #expect(left == [], sourceLocation: place)
    }
}
