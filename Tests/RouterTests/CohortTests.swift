// Goal: the same user always gets the same version and a rising share only adds users. Method: published vectors,
// properties over random keys from a printed seed.

import NIOHTTP1
import Testing
import Traffic

@testable import Router

private func table(share: Int, salt: String = "s", keys: [CohortRule.Key] = [.cookie("session")]) -> RoutingTable {
    var table = RoutingTable.serving(
        stable: [Backend(name: "a", host: "127.0.0.1", port: 1)],
        canary: [Backend(name: "b", host: "127.0.0.1", port: 2)], share: share, keys: keys)
    table.cohort.salt = salt
    return table
}

private func arm(_ table: RoutingTable, _ fields: HTTPHeaders, address: String = "", nonce: UInt64 = 0) -> Arm {
    Cohort(table).choose(headers: fields, clientAddress: address, nonce: nonce).arm
}

@Suite struct CohortTests {
    @Test(
        arguments: [
            (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5), (63, 0x958a_324c_eb06_4572),
        ] as [(Int, UInt64)])
    func `SipHash gives the published values`(length: Int, expected: UInt64) {
        let hash = SipHash(key0: 0x0706_0504_0302_0100, key1: 0x0f0e_0d0c_0b0a_0908)
        #expect(hash.hash((0..<length).map(UInt8.init)) == expected)
    }

    @Test func `as the share rises users only join`() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SplitMix64(seed: seed)
        for _ in 0..<300 {
            let fields: HTTPHeaders = ["Cookie": "session=\(random.next())"]
            var wasCanary = false
            for share in stride(from: 0, through: 10_000, by: 250) {
                let isCanary = arm(table(share: share), fields) == .canary
                #expect(isCanary || !wasCanary, "left the canary at \(share), seed \(seed)")
                wasCanary = isCanary
            }
            #expect(wasCanary, "not on the canary at 10000, seed \(seed)")
        }
    }

    @Test(arguments: [100, 1_000, 5_000])
    func `the canary gets its share of the keys`(share: Int) {
        let cohort = Cohort(table(share: share))
        let users = 40_000
        let canary = (0..<users).count {
            cohort.choose(headers: ["Cookie": "session=user-\($0)"], clientAddress: "", nonce: 0).arm == .canary
        }
        // Four standard deviations of a binomial count; the hash has no seed, so this is the same every time.
        let expected = Double(users * share) / 10_000
        let deviation = (expected * (1 - Double(share) / 10_000)).squareRoot()
        #expect(abs(Double(canary) - expected) < 4 * deviation)
    }

    @Test func `another salt sends other users first`() {
        let moved = (0..<2_000).count {
            let fields: HTTPHeaders = ["Cookie": "session=\($0)"]
            return arm(table(share: 5_000, salt: "s"), fields) != arm(table(share: 5_000, salt: "t"), fields)
        }
        #expect((800...1_200).contains(moved))
    }

    @Test func `the first key present names the user`() {
        let keys: [CohortRule.Key] = [.cookie("session"), .header("x-user-id"), .clientAddress]
        let cohort = Cohort(table(share: 5_000, keys: keys))
        let unit = { (fields: HTTPHeaders, address: String) in
            cohort.unit(headers: fields, clientAddress: address)
        }
        #expect(
            unit(["Cookie": "a=b; session=x", "X-User-Id": "7"], "10.0.0.1") == unit(["Cookie": "session=x"], ""))
        #expect(unit(["Cookie": "session=", "X-User-Id": "7"], "10.0.0.1") == unit(["X-User-Id": "7"], ""))
        #expect(unit(["Cookie": "mysession=x"], "10.0.0.1") == unit([:], "10.0.0.1"))
        #expect(unit(["Cookie": "session=x"], "") != unit(["Cookie": "session=y"], ""))
    }

    @Test(arguments: [0, 1, 9_999, 10_000])
    func `without a key nobody tosses a coin, and the request stays on stable`(share: Int) {
        let keyless = CohortChoice(arm: .stable, unit: .keyless)
        #expect(Cohort(table(share: share)).choose(headers: [:], clientAddress: "a", nonce: 0) == keyless)
        #expect(!keyless.isTossed && !keyless.isForced)
        let last = Cohort(table(share: share, keys: [.cookie("session"), .request]))
        #expect(
            last.choose(headers: [:], clientAddress: "a", nonce: 0)
                == CohortChoice(arm: share > 0 ? .canary : .stable, unit: .request))
    }

    @Test func `while no canary serves the share is 0, and users are told apart all the same`() {
        var without = table(share: 5_000)
        without.canary = []
        #expect(Cohort(without).share == 0)
        #expect(Cohort(table(share: 5_000)).share == 5_000)
        let fields: HTTPHeaders = ["Cookie": "session=x"]
        let choices = [without, table(share: 0), table(share: 10_000)].map {
            Cohort($0).choose(headers: fields, clientAddress: "", nonce: 0)
        }
        #expect(choices.map(\.arm) == [.stable, .stable, .canary])
        #expect(Set(choices.map(\.unit)).count == 1 && choices.allSatisfy(\.isTossed))
    }

    @Test func `per request the share is the share of the nonces`() {
        let table = table(share: 2_500, keys: [.request])
        #expect(arm(table, [:], nonce: 2_499) == .canary)
        #expect(arm(table, [:], nonce: 2_500) == .stable)
        #expect(arm(table, [:], nonce: 10_000) == .canary)
    }

    @Test func `a tester's header forces the canary and is not counted`() {
        let choose = { (table: RoutingTable, value: String) in
            Cohort(table).choose(headers: ["X-Canary": value], clientAddress: "", nonce: 0)
        }
        #expect(choose(table(share: 0), "always") == CohortChoice(arm: .canary, unit: .forced))
        #expect(choose(table(share: 0), "never") == CohortChoice(arm: .stable, unit: .keyless))
        var without = table(share: 0)
        without.canary = []
        #expect(choose(without, "always") == CohortChoice(arm: .stable, unit: .keyless))
    }
}
