// Goal: which request belongs to which route, and which routes a table may name. Method: the pure rules as tables.

import Foundation
import Testing
import Traffic

@testable import Router

@Suite struct RoutePatternTests {
    @Test func `the first pattern that matches the path takes the request`() {
        let patterns = RoutePatterns(["/checkout", "/api/orders", "/api/orders/*", "/api/*", "/ü/*"])
        for (target, place) in [
            ("/checkout", 0), ("/checkout?a=/api", 0), ("/checkout?", 0),
            ("/checkout/", nil), ("/checkouts", nil), ("/Checkout", nil), ("/check", nil), ("//checkout", nil),
            ("/%63heckout", nil),
            ("/api/orders", 1), ("/api/orders?x", 1),
            ("/api/orders/", 2), ("/api/orders/1", 2), ("/api/orders/1/lines?of=2", 2), ("/api/orders//", 2),
            ("/api/ordersheet", 3), ("/api/orders%2F1", 3), ("/api", 3), ("/api/", 3), ("/api?q", 3),
            ("/apis", nil), ("/ap", nil), ("/", nil), ("*", nil), ("", nil), ("/?/checkout", nil), ("/ü/1", 4),
        ] as [(String, Int?)] {
            #expect(patterns.first(matching: target) == place, "\(target)")
        }
    }

    @Test func `a star alone takes every path, and order decides between equals`() {
        #expect(RoutePatterns(["/*"]).first(matching: "/") == 0)
        #expect(RoutePatterns(["/*"]).first(matching: "/a/b?c") == 0)
        #expect(RoutePatterns(["/*"]).first(matching: "*") == nil)
        #expect(RoutePatterns(["/*", "/a"]).first(matching: "/a") == 0)
        #expect(RoutePatterns(["/"]).first(matching: "/") == 0)
        #expect(RoutePatterns(["/"]).first(matching: "/a") == nil)
        #expect(RoutePatterns([]).first(matching: "/") == nil)
    }

    @Test func `a table names at most 16 different paths`() {
        func mistake(_ routes: [String]) -> String? {
            var table = RoutingTable.serving(stable: [])
            table.routes = routes
            return table.mistake
        }
        #expect(mistake(["/", "/*", "/a", "/a/*", "/a/b.c-d~e/%7E;f=g/*"]) == nil)
        #expect(mistake((0..<16).map { "/\($0)" }) == nil)
        #expect(mistake((0..<17).map { "/\($0)" }) == "17 routes are more than 16")
        #expect(mistake(["/a", "/b", "/a"]) == "route '/a' is there twice")
        #expect(mistake(["checkout"]) == "route 'checkout' does not begin with /")
        #expect(mistake([""]) == "route '' does not begin with /")
        #expect(mistake(["/*/a"]) == "route '/*/a' has a * that is not its last segment")
        #expect(mistake(["/a*"]) == "route '/a*' has a * that is not its last segment")
        #expect(mistake(["/a/**"]) == "route '/a/**' has a * that is not its last segment")
        #expect(mistake(["/*/*"]) == "route '/*/*' has a * that is not its last segment")
        for wrong in ["/a?b", "/a#b", "/a b", "/a\n", "/\u{7F}"] {
            #expect(mistake([wrong])?.hasSuffix("is more than a path") == true, "\(wrong)")
        }
        #expect(mistake(["/" + String(repeating: "a", count: 256)])?.hasSuffix("is longer than 256 bytes") == true)
    }

    @Test func `a table without routes decodes, as those of before`() throws {
        var table = RoutingTable.serving(stable: [Backend(name: "a", host: "::1", port: 1)])
        table.routes = ["/checkout"]
        let json = try JSONEncoder().encode(table)
        #expect(try JSONDecoder().decode(RoutingTable.self, from: json) == table)
        var fields = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        #expect(fields.removeValue(forKey: "routes") as? [String] == ["/checkout"])
        table.routes = []
        let old = try JSONSerialization.data(withJSONObject: fields)
        #expect(try JSONDecoder().decode(RoutingTable.self, from: old) == table)
    }
}
