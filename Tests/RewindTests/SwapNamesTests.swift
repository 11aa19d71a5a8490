// Goal: databases of a rollback are found again by name and comment. Method: values in, values out.

import Releases
import Testing

@testable import Rewind

@Suite struct SwapNamesTests {
    private let release = ReleaseID(service: ServiceName(rawValue: "shop-eu")!, number: 42)

    @Test func `Names tell database and release`() {
        let names = DatabaseNames(live: "shop", release: release)
        #expect(names.restored == "shop_perch_shop_eu_42")
        #expect(names.previous == "shop_before_shop_eu_42")
    }

    @Test func `A long database name is cut, the release is not, and no character is split`() {
        let names = DatabaseNames(live: String(repeating: "ü", count: 31), release: release)
        #expect(names.previous.utf8.count <= 63 && names.restored.utf8.count <= 63)
        #expect(names.previous.hasSuffix("ü_before_shop_eu_42") && names.restored != names.previous)
    }

    @Test func `A mark is read as it was written, and other comments are not marks`() {
        let marks: [DatabaseMark] = [
            .restoring(release), .restored(release), .switching(release),
            .previous(release, since: Instant(millisecondsSince1970: 1_700_000_000_123)),
        ]
        for mark in marks { #expect(DatabaseMark(comment: mark.comment) == mark) }
        for comment in [nil, "", "the shop's", "perch:", "perch: shop restored", "perch: shop-1 previous x"] {
            #expect(DatabaseMark(comment: comment) == nil)
        }
    }
}
