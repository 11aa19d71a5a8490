// Goal: settings go in and out of URLs unchanged, and no text for people holds the password. Method: tables of cases,
// read back by libpq.

import Postgres
import Testing

@Suite("Connection settings")
struct ConnectionSettingsTests {
    @Test("are read from a URI and from keyword=value")
    func parsing() throws {
        let uri = try ConnectionSettings(url: "postgres://shop:p%40ss@db.example:5433/orders?sslmode=require")
        #expect(
            uri.parameters == [
                "user": "shop", "password": "p@ss", "host": "db.example", "port": "5433", "dbname": "orders",
                "sslmode": "require",
            ])
        #expect(uri.database == "orders")
        #expect(uri.user == "shop")
        let words = try ConnectionSettings(url: "host=/run/postgresql user=shop options='-c lock_timeout=1s'")
        #expect(words.parameters == ["host": "/run/postgresql", "user": "shop", "options": "-c lock_timeout=1s"])
        #expect(words.database == "shop", "libpq's rule: the user's name")
    }

    @Test(
        "survive the way into a URL and back",
        arguments: [
            ["host": "db", "port": "5432", "user": "shop", "password": "a:b/c@d?e#f&g=h%i j", "dbname": "shöp/1?"],
            ["host": "/tmp/a b/sock", "port": "5433", "user": "u", "dbname": "d"],
            ["host": "::1", "port": "5432", "user": "u", "dbname": "d"],
            ["host": "a,b,c", "port": "1,2,3", "user": "u", "dbname": "d", "target_session_attrs": "read-write"],
            ["host": "a,b", "port": "5432", "user": "u"],
            ["host": "db", "options": "-c search_path=a\\ b -c x=1", "application_name": "me & you"],
            ["password": "without a user", "host": "db"],
            ["hostaddr": "127.0.0.1", "dbname": "d"],
            ["port": "5433"],
            [:],
        ])
    func roundTrip(_ parameters: [String: String]) throws {
        let settings = ConnectionSettings(parameters: parameters)
        var back = try ConnectionSettings(url: settings.url).parameters
        // One port for all hosts may come back as that port for each.
        if parameters["host"] == "a,b" { back["port"] = back["port"] == "5432,5432" ? "5432" : back["port"] }
        #expect(back == parameters)
    }

    @Test("change one thing at a time, and another user does not keep the password")
    func changes() throws {
        let settings = try ConnectionSettings(url: "postgres://shop:secret@db/orders")
        #expect(settings.with(database: "other").url == "postgresql://shop:secret@db/other")
        #expect(settings.with(user: "canary", password: nil).url == "postgresql://canary@db/orders")
        #expect(settings.with(user: "canary", password: "s2").url == "postgresql://canary:s2@db/orders")
        #expect(settings.with("sslmode", "disable").url == "postgresql://shop:secret@db/orders?sslmode=disable")
    }

    @Test("never show the password to people")
    func redaction() throws {
        let settings = try ConnectionSettings(url: "postgres://shop:hunter2@db:5432/orders?sslpassword=hunter2")
        var dumped = ""
        dump(settings, to: &dumped)
        for text in ["\(settings)", String(reflecting: settings), dumped, "\([settings])", "\(["a": settings])"] {
            #expect(!text.contains("hunter2"))
            #expect(text.contains("db:5432/orders"))
        }
    }

    @Test(
        "are refused without repeating what may be a password",
        arguments: [
            "postgres://shop:hunter2@db:notaport:x/y%zz", "postgres://shop:hun%zzter2@db/x",
            "host=db password=a hunter2",
            "host=db hunter2=x", "postgres://shop:pa?hunter2=1@db/x", "host='db hunter2", "postgres://u:hunter2@[::1",
            "hunter2",
        ])
    func refusals(_ text: String) {
        do {
            let settings = try ConnectionSettings(url: text)
            // What libpq takes for settings is shown like any others.
            #expect(!"\(settings)".contains("hunter2"))
        } catch {
            guard case .usage(let reason) = error else {
                Issue.record("not a usage error: \(error)")
                return
            }
            #expect(reason.hasPrefix("connection string not understood: "))
            #expect(!reason.contains("hunter2"), "\(reason)")
        }
    }
}
