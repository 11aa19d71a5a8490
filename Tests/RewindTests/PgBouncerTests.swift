// Goal: clients that come through PgBouncer wait while the data is switched and meet no error, whatever becomes of the
// switch. Method: a real PgBouncer before a real server, clients that write through it, and ends of the world.

import Ports
import Postgres
import PostgresSupport
import Releases
import Synchronization
import Testing

@testable import Rewind

@Suite(.serialized, .timeLimit(.minutes(5))) struct PgBouncerTests {
    private let now = Instant(millisecondsSince1970: 0)

    @Test func `Clients of PgBouncer wait during the switch, meet no error and lose nothing`() async throws {
        let pooled = try await PooledStage()
        var writers: [PooledWriter] = []
        for number in 1...3 { writers.append(PooledWriter(number, through: try await pooled.client())) }
        func acknowledged() -> [Int] { writers.map(\.experience.acknowledged) }
        try await eventually("all write") { acknowledged().allSatisfy { $0 > 20 } }
        let newcomer = Mutex<Task<String?, any Error>?>(nil)
        let summary = try await pooled.rewind(at: "switch.fenced") {
            try await pooled.expect(isPaused: true)
            newcomer.withLock { newcomer in
                newcomer = Task {
                    let client = try await pooled.client()
                    let seen = try await client.query("SELECT balance FROM accounts WHERE id = 7").scalar
                    await client.close()
                    return seen
                }
            }
        }
        #expect(try await newcomer.withLock { $0 }?.value == "7")
        let then = acknowledged()
        try await eventually("all go on") { zip(acknowledged(), then).allSatisfy { $0 > $1 + 20 } }
        for writer in writers { await writer.stop() }

        for (index, writer) in writers.enumerated() {
            let experience = writer.experience
            #expect(experience.errors == [])
            #expect(experience.longest < .seconds(10))
            #expect(
                try await pooled.stage.rows("SELECT count(*), max(number) FROM moves WHERE client = \(index + 1)")
                    == ["\(experience.acknowledged)|\(experience.acknowledged)"])
        }
        let longest = writers.map(\.experience.longest).max() ?? .zero
        print("PgBouncer: held \(summary.heldMilliseconds) ms, longest write \(longest.milliseconds) ms")
        try await pooled.expect(isPaused: false)
        #expect(await pooled.stage.gate.calls == ["hold", "reconnect", "letGo"])
        try await pooled.expectTheSwitched()
        await pooled.pooler.stop()
    }

    @Test func `A transaction that stays open lets the switch be given up, and everybody goes on`() async throws {
        let pooled = try await PooledStage(freeze: .seconds(2))
        let slow = try await pooled.client()
        try await slow.execute("BEGIN; INSERT INTO moves (client, number) VALUES (1, 1)")
        let writer = PooledWriter(2, through: try await pooled.client())
        try await eventually("it writes") { writer.experience.acknowledged > 5 }
        let begin = ContinuousClock.now
        let failure = await #expect(throws: Failure.self) { try await pooled.rewind() }
        print("PgBouncer: given up after \((ContinuousClock.now - begin).milliseconds) ms: \(failure?.message ?? "")")
        let message = failure?.message ?? ""
        #expect(failure?.isTransient == true)
        #expect(message.contains("did not pause database \(pooled.stage.database) within"))
        #expect(message.contains("in use: shop_\(pooled.stage.database) of 127.0.0.1:"))
        #expect(message.contains("(transaction pooling)"))
        try await pooled.expect(isPaused: false)
        #expect(await !pooled.stage.gate.isHeld)
        #expect(try await pooled.stage.databases() == ["\(pooled.stage.database)|t", "\(pooled.stage.restored)|t"])
        let count = writer.experience.acknowledged
        try await eventually("it goes on") { writer.experience.acknowledged > count + 5 }
        try await slow.execute("COMMIT")
        await slow.close()

        try await pooled.rewind()
        await writer.stop()
        #expect(writer.experience.errors == [])
        #expect(writer.experience.longest < .seconds(4))
        #expect(
            try await pooled.stage.rows("SELECT client, max(number) FROM moves GROUP BY client ORDER BY client")
                == ["1|1", "2|\(writer.experience.acknowledged)"])
        try await pooled.expectTheSwitched()
        await pooled.pooler.stop()
    }

    @Test func `Where sessions are pooled, a client that stays lets the switch be given up`() async throws {
        let pooled = try await PooledStage(freeze: .seconds(2), settings: ["pool_mode": "session"])
        let idle = try await pooled.client()
        _ = try await idle.query("SELECT 1")
        let failure = await #expect(throws: Failure.self) { try await pooled.rewind() }
        #expect(failure?.message.hasSuffix("(session pooling)") == true)
        #expect(try await idle.query("SELECT balance FROM accounts WHERE id = 7").scalar == "-1")
        await idle.close()
        try await pooled.rewind()
        try await pooled.expectTheSwitched()
        await pooled.pooler.stop()
    }

    @Test(arguments: ["switch.paused", "switch.tail", "switch.renaming"])
    func `A step that fails behind the pause lets clients go on`(_ place: String) async throws {
        let pooled = try await PooledStage()
        let writer = PooledWriter(1, through: try await pooled.client())
        await #expect(throws: Failure.self) {
            try await pooled.rewind(at: place) {
                try await pooled.expect(isPaused: true)
                throw EndOfTheWorld()
            }
        }
        try await pooled.expect(isPaused: false)
        let count = writer.experience.acknowledged
        try await eventually("it goes on") { writer.experience.acknowledged > count + 5 }
        await writer.stop()
        #expect(writer.experience.errors == [])
        await pooled.pooler.stop()
    }

    @Test(arguments: ["switch.paused", "switch.fenced", "switch.renaming", "switch.renamed"])
    func `Perch falls silent during the pause, and the next run lets clients go on`(_ place: String) async throws {
        let pooled = try await PooledStage()
        let writer = PooledWriter(1, through: try await pooled.client())
        try await eventually("it writes") { writer.experience.acknowledged > 5 }
        try await fallSilent(pooled, at: place)
        let isSwitched = try await pooled.stage.databases().contains("\(pooled.stage.previous)|t")
        // Before anything else is done, where there is something to do.
        try await pooled.rewind(at: "replay.done") { try await pooled.expect(isPaused: false) }
        #expect(isSwitched == (place == "switch.renamed"))
        try await pooled.expect(isPaused: false)
        let count = writer.experience.acknowledged
        try await eventually("it goes on") { writer.experience.acknowledged > count + 5 }
        await writer.stop()
        #expect(writer.experience.errors == [])
        #expect(
            try await pooled.stage.rows("SELECT count(*) FROM moves") == ["\(writer.experience.acknowledged)"])
        try await pooled.expectTheSwitched()
        await pooled.pooler.stop()
    }

    @Test(arguments: ["switch.paused", "switch.fenced", "switch.renamed"])
    func `Clients that a given up rollback left waiting go on when tidying up`(_ place: String) async throws {
        let pooled = try await PooledStage()
        try await fallSilent(pooled, at: place)
        func tidyUp() async throws -> [String] { try await pooled.stage.data.tidyUp(policy: pooled.policy, now: now) }
        let done = try await tidyUp()
        #expect(
            done.last == "resumed database \(pooled.stage.database) of PgBouncer "
                + "\(pooled.pooler.console()), which the rollback of \(pooled.stage.release) had left paused")
        #expect(done.count == (place == "switch.fenced" ? 2 : 1))
        let client = try await pooled.client()
        #expect(try await client.query("SELECT count(*) FROM accounts").scalar == "20")
        // Somebody else's pause is not ours to end.
        let console = try await Connection.open(pooled.pooler.console())
        _ = try await console.simpleQuery("PAUSE \(pooled.stage.database)")
        await console.close()
        #expect(try await tidyUp() == [])
        try await pooled.expect(isPaused: true)
        await client.close()
        await pooled.pooler.stop()
    }

    /// As in `SwapCrashTests`; afterwards Perch may come back.
    private func fallSilent(_ pooled: PooledStage, at place: String) async throws {
        await #expect(throws: Failure.self) {
            try await pooled.rewind(at: place) {
                try await pooled.stage.silencePerch()
                throw EndOfTheWorld()
            }
        }
        try await pooled.stage.letPerchSpeak()
        try await pooled.expect(isPaused: true)
    }

    @Test func `A console that falls silent behind the switch is tried again`() async throws {
        let pooled = try await PooledStage()
        let client = try await pooled.client()
        let failure = await #expect(throws: Failure.self) {
            try await pooled.rewind(at: "switch.renamed") { try pooled.pooler.freeze(true) }
        }
        #expect(failure?.isTransient == true)
        #expect(failure?.message.contains("the data is switched, but PgBouncer keeper@127.0.0.1:") == true)
        #expect(await !pooled.stage.gate.isHeld)
        try pooled.pooler.freeze(false)
        try await pooled.expect(isPaused: true)
        #expect(try await pooled.rewind().heldMilliseconds > 0)
        #expect(try await client.query("SELECT balance FROM accounts WHERE id = 7").scalar == "7")
        await client.close()
        try await pooled.expectTheSwitched()
        await pooled.pooler.stop()
    }

    @Test func `A pooler that is not there is noticed before anybody waits`() async throws {
        let pooled = try await PooledStage()
        await pooled.pooler.stop()
        let failure = await #expect(throws: Failure.self) { try await pooled.rewind() }
        #expect(failure?.message.contains("cannot reach the console of PgBouncer keeper@127.0.0.1:") == true)
        #expect(await pooled.stage.gate.calls == [])
    }

    @Test func `Preflight looks at the pooler`() async throws {
        let stage = try await Stage(PooledStage.schema)
        let users = ["shop_\(stage.database)"]
        func findings(
            _ pooler: PgBouncerServer, user: String = "keeper", _ name: String? = nil
        ) async throws -> [Finding] {
            var policy = try PooledStage.policy(of: stage, console: pooler.console(user: user))
            policy.database?.pgbouncer?.database = name
            return await stage.data.preflight(policy).filter { $0.check == "pgbouncer" }
        }
        let healthy = try await PgBouncerServer.start(before: stage.server, database: stage.database, users: users)
        let good = try await findings(healthy)
        #expect(good.map(\.level) == [.ok])
        #expect(good.first?.message.hasPrefix("PgBouncer 1.") == true)

        let unknown = try await findings(healthy, "elsewhere")
        #expect(unknown.map(\.level) == [.failure])
        #expect(unknown.first?.message.hasSuffix("knows no database elsewhere") == true)
        let watching = try await findings(healthy, user: "watcher")
        #expect(watching.map(\.level) == [.failure])
        #expect(watching.first?.message.hasPrefix("watcher may not pause") == true)
        let stranger = try await findings(healthy, user: users[0])
        #expect(stranger.map(\.level) == [.failure])
        await healthy.stop()
        let gone = try await findings(healthy)
        #expect(gone.map(\.level) == [.failure])
        #expect(gone.first?.message.hasPrefix("cannot reach the console") == true)

        let odd = try await PgBouncerServer.start(
            before: stage.server, database: stage.database, as: "pooled", users: users, options: "user=\(users[0])",
            settings: ["pool_mode": "session", "query_wait_timeout": "5"])
        let doubts = try await findings(odd, "pooled")
        #expect(doubts.map(\.level) == [.failure, .warning, .warning])
        #expect(doubts.first?.message.contains("makes everybody \(users[0])") == true)
        #expect(doubts.dropFirst().first?.message.contains("pools sessions") == true)
        #expect(doubts.last?.message.contains("longer than 5.0 s") == true)
        #expect(doubts.allSatisfy { $0.hint != nil })
        await odd.stop()

        let other = try await PgBouncerServer.start(
            before: stage.server, database: "postgres", as: stage.database, users: users)
        let wrong = try await findings(other)
        #expect(wrong.map(\.level) == [.failure])
        #expect(wrong.first?.message.contains("is database postgres, the policy's is \(stage.database)") == true)
        await other.stop()
    }
}
