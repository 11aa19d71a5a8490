// Goal: a number out of a database, or why there is none; nothing is written and nothing waits for ever.
// Method: a real PostgreSQL.

import Measurements
import Ports
import Postgres
import PostgresSupport
import Releases
import Testing

@Suite("A number asked of a database", .timeLimit(.minutes(2)))
struct SQLTests {
    private func ask(
        _ sql: String, at url: String, timeout: Span = .seconds(5)
    ) async -> MetricReading {
        var metric = Policy.Metric(
            name: "m", source: .sql(.init(sql: sql, url: .environment("READER_URL"), limits: .init(max: 0))))
        metric.timeout = timeout
        return await MetricSources { _ throws(Failure) in url }.read(metric)
    }

    private func database() async throws -> String { try await PostgresServer.shared().freshDatabase() }

    @Test(
        "is the one number of its one row",
        arguments: [
            ("select count(*) from orders where total < 0", 2), ("select sum(total) from orders", -5.5),
            ("select 3 -- and no more", 3), ("select 1e-3::float8;", 0.001), ("values (-7::smallint)", -7),
            ("with o as (select total from orders) select max(total) from o", 10), ("select '12'::text", 12),
        ] as [(String, Double)])
    func number(_ sql: String, _ expected: Double) async throws {
        let url = try await database()
        let connection = try await Connection.open(ConnectionSettings(url: url))
        try await connection.execute(
            "CREATE TABLE orders (total numeric); INSERT INTO orders VALUES (10), (-5), (-10.5)")
        await connection.close()
        #expect(await ask(sql, at: url) == .value(expected))
    }

    @Test(
        "is no data when the answer is not one number",
        arguments: [
            ("select 1 where false", "the query answers no row, one number is needed"),
            ("select generate_series(1, 3)", "the query answers several rows, one number is needed"),
            ("select 1, 2", "the query answers 2 columns, one number is needed"),
            ("select null::int", "the query answers NULL, one number is needed"),
            ("select 'NaN'::float8", "the query answers 'NaN', a number is needed"),
            ("select 'Infinity'::float8", "the query answers 'Infinity', a number is needed"),
            ("select true", "the query answers 't', a number is needed"),
            ("select '0x10'", "the query answers '0x10', a number is needed"),
            ("select ''", "the query answers '', a number is needed"),
            ("select 1/0", "env:READER_URL: division by zero"),
            ("select missing", "env:READER_URL: column \"missing\" does not exist"),
        ])
    func noNumber(_ sql: String, _ why: String) async throws {
        #expect(await ask(sql, at: try await database()) == .noData(why))
    }

    @Test(
        "cannot change anything",
        arguments: [
            "insert into orders values (1) returning 1", "select 1; drop table orders", "drop table orders", "commit",
            "with i as (insert into orders values (1) returning total) select total from i",
            "select write_one()", "select set_config('transaction_read_only', 'off', true)::int + write_one()",
            "select total from orders for update",
        ])
    func readsOnly(_ sql: String) async throws {
        let url = try await database()
        let connection = try await Connection.open(ConnectionSettings(url: url))
        try await connection.execute(
            """
            CREATE TABLE orders (total int); INSERT INTO orders VALUES (5);
            CREATE FUNCTION write_one() RETURNS int LANGUAGE sql AS 'INSERT INTO orders VALUES (1) RETURNING 1'
            """)
        let reading = await ask(sql, at: url)
        #expect(reading.isNoData, "\(reading)")
        #expect(try await connection.query("SELECT count(*) || ':' || sum(total) FROM orders").scalar == "1:5")
        await connection.close()
    }

    @Test("is no data when it takes longer than its timeout, and the server is not left working")
    func timeout() async throws {
        let url = try await database()
        #expect(
            await ask("select pg_sleep(30)::text", at: url, timeout: .milliseconds(300))
                == .noData("the database did not answer within 300ms"))
        let connection = try await Connection.open(ConnectionSettings(url: url))
        let working =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        try await eventually("no session is left") { try await connection.query(working).scalar == "0" }
        await connection.close()
    }

    @Test("is no data when a lock keeps it waiting")
    func locked() async throws {
        let url = try await database()
        let connection = try await Connection.open(ConnectionSettings(url: url))
        try await connection.execute("CREATE TABLE orders (total int)")
        let reading = try await connection.transaction { connection in
            try connection.execute("LOCK TABLE orders")
            return await ask("select count(*) from orders", at: url, timeout: .milliseconds(300))
        }
        #expect(reading == .noData("the database did not answer within 300ms"))
        #expect(await ask("select count(*) from orders", at: url) == .value(0))
        await connection.close()
    }

    @Test("is no data while the server is away, and a number when it is back")
    func serverAway() async throws {
        let server = try await PostgresServer.start()
        let url = server.url()
        #expect(await ask("select 1", at: url) == .value(1))
        try await server.stop(.immediate)
        let reading = await ask("select 1", at: url)
        #expect(reading.why?.hasPrefix("env:READER_URL: ") == true, "\(reading)")
        try await server.start()
        #expect(await ask("select 1", at: url) == .value(1))
        server.remove()
    }

    @Test("says who asks")
    func applicationName() async throws {
        let sql = "select count(*) from pg_stat_activity where application_name = 'perchd' and pid = pg_backend_pid()"
        #expect(await ask(sql, at: try await database()) == .value(1))
    }

    @Test("is no data when its secret is missing or no address, and never repeats the secret")
    func secrets() async {
        var metric = Policy.Metric(
            name: "m", source: .sql(.init(sql: "select 1", url: .environment("READER_URL"), limits: .init(max: 0))))
        metric.timeout = .seconds(1)
        let missing = MetricSources { secret throws(Failure) in throw Failure("secret \(secret) is not set") }
        #expect(await missing.read(metric) == .noData("secret env:READER_URL is not set"))
        for url in ["hunter2", "postgres://shop:hunter2@127.0.0.1:1/shop"] {
            let reading = await MetricSources { _ throws(Failure) in url }.read(metric)
            #expect(reading.why?.contains("hunter2") == false, "\(reading)")
        }
    }
}
