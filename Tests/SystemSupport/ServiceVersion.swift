// The versions of the service under test: what each commit makes of release.py.

/// One commit of the service.
package struct ServiceVersion: Hashable, Sendable {
    /// What the service says in `X-Version` and writes into its rows.
    package let name: String
    let stored: String
    let confirm: String
    let start: String
    let isReady: String

    private init(
        _ name: String, stored: String = "value", confirm: String = "pass", start: String = "pass",
        isReady: String = "True"
    ) {
        self.name = name
        self.stored = stored
        self.confirm = confirm
        self.start = start
        self.isReady = isReady
    }

    package static let first = ServiceVersion("v1")
    package static let good = ServiceVersion("v2")
    /// Writes wrong values, and fails a third of the requests after it has committed them.
    package static let bad = ServiceVersion("v3", stored: "value + 1", confirm: failing)
    /// Writes wrong values and answers as if nothing were wrong: only a person notices.
    package static let subtle = ServiceVersion("v4", stored: "value + 1")
    package static let crashing = ServiceVersion("v5", start: #"raise RuntimeError("no licence for v5")"#)
    package static let neverReady = ServiceVersion(
        "v6", start: #"print("v6 waits for a licence", flush=True)"#, isReady: "False")
    /// Good, but takes its time to start.
    package static let slow = ServiceVersion("v7", start: "time.sleep(2)")
    package static let better = ServiceVersion("v8")

    private static let failing = #"if value % 3 == 0: raise KeyError("no rate for " + str(value))"#

    var source: String {
        """
        import time

        VERSION = "\(name)"


        def stored(value):
            return \(stored)


        def confirm(value):
            \(confirm)


        def start():
            \(start)


        def is_ready():
            return \(isReady)

        """
    }
}
