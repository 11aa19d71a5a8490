// The versions of the service under test: what each commit makes of release.py.

/// One commit of the service.
package struct ServiceVersion: Hashable, Sendable {
    /// What the service says in `X-Version` and writes into its rows.
    package let name: String
    let stored: String
    let confirm: String
    /// Done before every request but those for readiness.
    let meet: String
    let start: String
    let isReady: String

    private init(
        _ name: String, stored: String = "value", confirm: String = "pass", meet: String = "pass",
        start: String = "pass", isReady: String = "True"
    ) {
        self.name = name
        self.stored = stored
        self.confirm = confirm
        self.meet = meet
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

    // Faults that only the counts tell of; none writes wrong values.

    /// Fails one request of twenty.
    package static let rarelyFailing = ServiceVersion("v9", meet: failing("random.random() < 0.05"))
    package static let oftenFailing = ServiceVersion("v10", meet: failing("random.random() < 0.5"))
    /// Answers no request before its client or the router gives up.
    package static let hanging = ServiceVersion("v11", meet: "time.sleep(60)")
    package static let slower = ServiceVersion("v12", meet: "time.sleep(0.5)")
    /// Good for five seconds.
    package static let failingLater = ServiceVersion("v13", meet: failing("time.monotonic() > BEGAN + 5"))
    /// As ``first`` until the file `outage` appears: then it fails at once.
    package static let fallible = ServiceVersion("v14", meet: failing("outage()"))
    package static let fallibleToo = ServiceVersion("v16", meet: failing("outage()"))
    /// As ``first`` until the file `outage` appears: then it fails after two seconds.
    package static let slowlyFallible = ServiceVersion(
        "v15", meet: #"if outage(): time.sleep(2); raise RuntimeError("no answer from the bank")"#)

    private static func failing(_ condition: String) -> String {
        #"if \#(condition): raise RuntimeError("no answer from the bank")"#
    }

    private static let failing = #"if value % 3 == 0: raise KeyError("no rate for " + str(value))"#

    var source: String {
        """
        import os
        import random
        import time

        VERSION = "\(name)"
        BEGAN = time.monotonic()


        def outage():
            return os.path.exists(os.path.join(os.environ["TMPDIR"], "outage"))


        def meet():
            \(meet)


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
