// What is recorded and applied by both peers, and how much faster than PostgreSQL's own subscription Perch has to be.

enum Workload: String, CaseIterable {
    /// pgbench's own: three updates, two of them of hot rows, and an insert a transaction.
    case pgbench
    /// An insert a transaction.
    case inserts
    /// An update a transaction, never of the same row twice: nothing can be put together.
    case updates

    /// Times the native subscription's transactions a second.
    var goal: Double {
        switch self {
        case .pgbench: 5
        case .inserts: 3
        case .updates: 1
        }
    }

    var title: String {
        switch self {
        case .pgbench: "pgbench, tpcb-like"
        case .inserts: "one insert each"
        case .updates: "one update each, no row twice"
        }
    }

    /// Beside pgbench's own tables, which are there already.
    func schema(_ scale: Int) -> String {
        switch self {
        case .pgbench: ""
        case .inserts:
            """
            CREATE TABLE events (id bigserial PRIMARY KEY, account int NOT NULL, amount int NOT NULL,
              note text NOT NULL, at timestamptz NOT NULL DEFAULT now());
            """
        case .updates:
            // A walk over all accounts in an order without locality: the step is a prime that divides no 100,000.
            """
            CREATE SEQUENCE walk;
            CREATE FUNCTION next_account() RETURNS bigint LANGUAGE sql
              RETURN nextval('walk') * 611953 % \(scale * 100_000) + 1;
            """
        }
    }

    /// pgbench's script; nil is the built-in one.
    var script: String? {
        switch self {
        case .pgbench: nil
        case .inserts:
            """
            \\set account random(1, 100000 * :scale)
            \\set amount random(-5000, 5000)
            INSERT INTO events (account, amount, note) VALUES (:account, :amount, 'transfer of ' || :amount);
            """
        case .updates:
            """
            \\set delta random(-5000, 5000)
            SELECT next_account() AS account \\gset
            UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :account;
            """
        }
    }

    var tables: [String] {
        switch self {
        case .pgbench: ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]
        case .inserts: ["events"]
        case .updates: ["pgbench_accounts"]
        }
    }
}
