// Stack frames are found in what services answer and write. Method: traces as each language prints them.

import Testing

@testable import Evidence

@Suite struct TraceReaderTests {
    private func frames(_ text: String) -> [[String]] {
        TraceReader.traces(in: text).map { trace in
            trace.frames.map { "\($0.format.rawValue) \($0.path):\($0.line) \($0.function ?? "-")" }
        }
    }

    @Test func pythonWithItsMarksAndItsChain() {
        let text = """
            Traceback (most recent call last):
              File "/srv/shop/server.py", line 67, in _answer
                status, answer = self._route(body)
                                 ~~~~~~~~~~~^^^^^^
              File "/srv/shop/pricing.py", line 12, in <lambda>
                return discounts[category]
                       ~~~~~~~~~^^^^^^^^^^
            KeyError: 'garden'

            During handling of the above exception, another exception occurred:

            Traceback (most recent call last):
              File "/srv/shop/server.py", line 70, in _answer
                log(error)
            NameError: name 'log' is not defined
            """
        #expect(
            frames(text) == [
                ["python /srv/shop/pricing.py:12 <lambda>", "python /srv/shop/server.py:67 _answer"],
                ["python /srv/shop/server.py:70 _answer"],
            ])
    }

    @Test func pythonsSyntaxErrorNamesNoFunction() {
        #expect(
            frames("  File \"app.py\", line 3\n    def f(:\n          ^\nSyntaxError: invalid syntax") == [
                ["python app.py:3 -"]
            ])
    }

    @Test func nodeInAllItsShapes() {
        let text = """
            TypeError: Cannot read properties of undefined (reading 'price')
                at placeOrder (/srv/shop/src/orders.js:12:27)
                at new Cart (/srv/shop/src/cart.js:5:3)
                at async Object.handle (file:///srv/shop/src/app.mjs:7:9)
                at /srv/shop/src/index.js:1:1
                at Layer.handle [as handle_request] (/srv/shop/node_modules/express/lib/router/layer.js:95:5)
                at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
            """
        #expect(
            frames(text) == [
                [
                    "node /srv/shop/src/orders.js:12 placeOrder", "node /srv/shop/src/cart.js:5 Cart",
                    "node /srv/shop/src/app.mjs:7 handle", "node /srv/shop/src/index.js:1 -",
                    "node /srv/shop/node_modules/express/lib/router/layer.js:95 Layer.handle [as handle_request]",
                ]
            ])
    }

    @Test func javaWithModulesAndACause() {
        let text = """
            java.lang.IllegalStateException: order failed
            \tat com.shop.api.Orders.place(Orders.java:42)
            \tat app//com.shop.Main$Handler.lambda$run$0(Main.kt:7)
            \tat java.base/java.lang.Thread.run(Thread.java:833)
            \tat jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)
            Caused by: java.lang.NullPointerException
            \tat com.shop.Prices.of(Prices.java:9)
            \t... 12 more
            """
        #expect(
            frames(text) == [
                [
                    "java com/shop/api/Orders.java:42 com.shop.api.Orders.place",
                    "java com/shop/Main.kt:7 com.shop.Main$Handler.lambda$run$0",
                    "java java/lang/Thread.java:833 java.lang.Thread.run",
                ],
                ["java com/shop/Prices.java:9 com.shop.Prices.of"],
            ])
    }

    @Test func goByGoroutine() {
        let text = """
            panic: runtime error: index out of range [3] with length 3

            goroutine 1 [running]:
            main.(*Shop).price(...)
            \t/src/shop/price.go:10
            main.(*Shop).place(0xc000010000, {0x1, 0x2})
            \t/src/shop/orders.go:42 +0x1d
            created by net/http.(*Server).Serve in goroutine 18
            \t/usr/local/go/src/net/http/server.go:3086 +0x5cb

            goroutine 7 [select]:
            main.loop()
            \t/src/shop/main.go:3 +0x2
            """
        #expect(
            frames(text) == [
                [
                    "go /src/shop/price.go:10 main.(*Shop).price", "go /src/shop/orders.go:42 main.(*Shop).place",
                    "go /usr/local/go/src/net/http/server.go:3086 net/http.(*Server).Serve",
                ],
                ["go /src/shop/main.go:3 main.loop"],
            ])
    }

    @Test func rubyOldAndNew() {
        let text = """
            /srv/shop/app/orders.rb:12:in `place': undefined method `price' for nil:NilClass (NoMethodError)
            \tfrom /srv/shop/app/cart.rb:3:in `block in total'
            \tfrom config.ru:1
            """
        #expect(
            frames(text)
                == [
                    [
                        "ruby /srv/shop/app/orders.rb:12 place", "ruby /srv/shop/app/cart.rb:3 block in total",
                        "ruby config.ru:1 -",
                    ]
                ].map { $0.filter { !$0.contains("config.ru") } })
        #expect(
            frames("app/orders.rb:12:in 'Shop::Orders#place': boom (RuntimeError)")
                == [["ruby app/orders.rb:12 Shop::Orders#place"]])
    }

    @Test func swiftsBacktraceAndFatalError() {
        let text = """
            Shop/Orders.swift:42: Fatal error: Unexpectedly found nil while unwrapping an Optional value

            Thread 0 "shop" crashed:

            0      0x000055f0 place(_:) + 27 in shop at /src/Sources/Shop/Orders.swift:42:9

                40│     let price = prices[id]
                41│
              ▶ 42│     return price!
                  │         ▲

            1 [ra] 0x000055f1 static Main.main() + 9 in shop at /src/Sources/Shop/Main.swift:7:5
            """
        #expect(
            frames(text) == [
                [
                    "swift Shop/Orders.swift:42 -", "swift /src/Sources/Shop/Orders.swift:42 place(_:)",
                    "swift /src/Sources/Shop/Main.swift:7 static Main.main()",
                ]
            ])
    }

    @Test func aTraceInsideJSONAndInsideHTML() {
        let expected = [["python /srv/a.py:3 f"]]
        #expect(
            frames(
                #"{"error":"boom","trace":"Traceback (most recent call last):\n  File \"/srv/a.py\", line 3, in f\n    x\n"}"#
            ) == expected)
        #expect(frames("<pre>  File &quot;/srv/a.py&quot;, line 3, in f<br>  x</pre>") == expected)
        #expect(
            frames("Traceback (most recent call last):\r\n  File \"/srv/a.py\", line 3, in f\r\n    x\r\n") == expected)
    }

    @Test(arguments: [
        "", "at noon (12:30)", "look at (this:12)", "  File \"", "  File \"x\", line ",
        "File \"a.py\", line 99999999999999999999",
        "\t:12", "a:b:c", "at x (y:1:)", ".rb:12", "see app.rb:x", "goroutine ", "at at at", "x at .swift:1",
        "http://host/orders.rb:80/x",
    ])
    func whatIsNoFrameIsNone(_ text: String) {
        #expect(TraceReader.traces(in: text).flatMap(\.frames).isEmpty)
    }

    @Test func noTextBringsTheReaderDown() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SplitMix(state: seed)
        let pieces = [
            "File \"", ", line ", "12", ":", "at ", "(", ")", ".rb:", ".go", "\t", "\n", "'", " in ", ".swift:",
            "&quot;", "\\n", "é", "🙂",
        ]
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }.joined()
            for trace in TraceReader.traces(in: text) {
                #expect(trace.frames.allSatisfy { $0.line > 0 && !$0.path.isEmpty }, "seed \(seed): \(text)")
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct FileMappingTests {
    private let commit = String(repeating: "a1", count: 20)
    private var mapping: FileMapping {
        FileMapping(
            files: [
                "app.py", "shop/orders.py", "admin/orders.py", "shop/__init__.py", "src/main/java/com/shop/Orders.java",
                "vendor/x/node_modules/left/index.js", "Sources/Shop/Main.swift",
            ], commit: commit)
    }

    @Test func aPathInTheCheckoutIsWhatFollowsTheCommit() {
        #expect(mapping.files(for: "/data/checkouts/shop/\(commit)/shop/orders.py") == ["shop/orders.py"])
        #expect(mapping.files(for: "/data/checkouts/shop/\(commit)/.venv/lib/orders.py").isEmpty)
    }

    @Test(
        arguments: [
            ("shop/orders.py", ["shop/orders.py"]), ("./app.py", ["app.py"]),
            ("/app/shop/orders.py", ["shop/orders.py"]),
            ("orders.py", ["admin/orders.py", "shop/orders.py"]),
            ("com/shop/Orders.java", ["src/main/java/com/shop/Orders.java"]),
            ("C:\\build\\shop\\orders.py", ["shop/orders.py"]), ("Shop/Main.swift", ["Sources/Shop/Main.swift"]),
            ("/app/unknown.py", []), ("/app/orders.py", []), ("", []), ("/", []),
        ] as [(String, [String])])
    func otherPathsAreMatchedFromTheirEnd(_ path: String, _ files: [String]) {
        #expect(mapping.files(for: path) == files)
    }

    @Test(arguments: [
        "/usr/lib/python3/dist-packages/flask/app.py", "/srv/.venv/lib/python3.11/site-packages/x/app.py",
        "/usr/local/lib/python3.11/app.py",
    ])
    func aLibrarysFileOfTheSameNameIsNotOurs(_ path: String) {
        #expect(mapping.files(for: path).isEmpty)
    }

    @Test func aLibraryThatTheRepositoryHoldsIsOurs() {
        #expect(
            mapping.files(for: "/srv/shop/vendor/x/node_modules/left/index.js") == [
                "vendor/x/node_modules/left/index.js"
            ])
    }
}

@Suite struct FrameCountTests {
    private func trace(_ places: (String, Int)...) -> StackTrace {
        StackTrace(frames: places.map { StackFrame(format: .python, path: $0.0, line: $0.1, function: "f") })
    }

    @Test func aResponseCountsOnceAndDepthIsAmongOurOwnFrames() {
        let mapping = FileMapping(files: ["a.py", "b.py"], commit: "c")
        let one = TraceSource(
            isResponse: true,
            traces: [trace(("/usr/lib/x.py", 1), ("a.py", 3), ("b.py", 9)), trace(("a.py", 3))])
        let output = TraceSource(isResponse: false, traces: [trace(("a.py", 3), ("a.py", 3)), trace(("a.py", 3))])
        let found = FrameCount.found(in: [one, one, output], mapping: mapping)
        #expect(found.map(\.place) == ["a.py:3", "b.py:9"])
        #expect(found.map(\.depth) == [0, 1])
        #expect(found.map(\.requests) == [2, 2])
        #expect(found.map(\.traces) == [2, 0])
    }
}

@Suite struct FunctionExtentTests {
    private static let python = """
        import os

        class Shop:
            def place(self, order):
                total = 0

                return total

            def other(self):
                pass
        """

    @Test func aFunctionEndsWhereTheIndentationDoes() {
        #expect(FunctionExtent.lines(around: 5, function: "place", in: Self.python) == 4...7)
        #expect(FunctionExtent.lines(around: 10, function: "other", in: Self.python) == 9...10)
    }

    @Test func bracesOfTheFunctionAreOfIt() {
        let go = "package main\n\nfunc (s *Shop) place(o Order) {\n\ts.x()\n}\n\nfunc main() {\n}\n"
        #expect(FunctionExtent.lines(around: 4, function: "main.(*Shop).place", in: go) == 3...5)
    }

    @Test func withoutAFunctionItIsAFewLines() {
        #expect(FunctionExtent.lines(around: 1, function: "<module>", in: Self.python) == 1...4)
        #expect(FunctionExtent.lines(around: 5, function: "absent", in: Self.python) == 2...8)
        #expect(FunctionExtent.lines(around: 99, function: "place", in: Self.python) == nil)
        #expect(FunctionExtent.lines(around: 1, function: nil, in: "") == nil)
    }

    @Test(
        arguments: [
            ("main.(*Shop).place.func1", "place"), ("Shop::Orders#place", "place"), ("block in total", "total"),
            ("com.shop.Orders.place", "place"), ("place(_:)", "place"), ("static Main.main()", "Main"),
            ("<module>", nil),
            ("<lambda>", nil), ("main.main", "main"), ("Layer.handle", "handle"),
        ] as [(String, String?)])
    func namesAreMadeSimple(_ function: String, _ name: String?) {
        #expect(FunctionExtent.simpleName(function) == name)
    }
}
