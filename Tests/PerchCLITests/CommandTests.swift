// Goal: every command does what it says over the real API, with the exit code and texts it promises.
// Method: command lines run in this process against a live API on a Unix socket and on TCP.

import ControlAPI
import ControlModel
import ControlSupport
import Foundation
import PerchCLI
import Releases
import Testing

private let commit = String(repeating: "c", count: 40)

@Suite struct CommandTests {
    @Test func lookingCommandsPrintTextOrTheDocument() async throws {
        let control = await shopControl {
            $0.report = "# Why\n"
            $0.recording = ["{\"lsn\":1}", "{\"lsn\":2}"]
            $0.quarantine = [
                QuarantineLine(
                    id: 7, reason: "canary", origin: "canary", table: "public.orders", operation: "insert",
                    key: ["order_id": "9"], row: nil, commitLSN: "0/1", committedAt: "2026-08-01T10:00:00Z", detail: "d"
                )
            ]
        }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            for (arguments, part) in [
                (["status"], "shop     aaaaaaaaaa  shop-1"), (["status", "shop"], "Listens:  127.0.0.1:8080"),
                (["releases"], "shop-1   bbbbbbbbbb  ◌ canary"), (["releases", "--service", "shop"], "shop-1"),
                (["show", "shop-1"], "  ▶ 1  5% for 2m"), (["report", "shop-1"], "# Why\n"),
                (["report", "shop-1", "--format", "json"], "{\"release\":\"shop-1\"}\n"),
                (["quarantine", "list", "shop-1"], "public.orders  order_id=9"),
                (["quarantine", "show", "shop-1", "7"], "7  insert of public.orders"),
                (["quarantine", "export", "shop-1"], "\"key\":{\"order_id\":\"9\"}"),
                (["recording", "export", "shop-1"], "{\"lsn\":1}\n{\"lsn\":2}\n"),
                (["policy", "show", "shop"], "service: shop\n"),
                (["plan", "shop"], "1  5% for 1m"), (["plan", "shop"], "GOOD IS PROVEN"),
                (["plan", "shop", "-o", "json"], "\"rates\":[1,0.5,0.05,0.01]"),
                (["simulate", "--release", "shop-1"], "not rolled back"),
                (["simulate", "--release", "shop-1", "-o", "json"], "\"decision\":\"go-on\""),
                (["status", "-o", "json"], "{\"services\":[{\"active\":{"),
                (["releases", "--output", "json"], "{\"releases\":[{"),
                (["show", "shop-1", "-o", "json"], "\"current_step\":0"),
                (["report", "shop-1", "-o", "json"], "{\"release\":\"shop-1\"}\n"),
                (["quarantine", "list", "shop-1", "-o", "json"], "{\"changes\":[{"),
                (["policy", "show", "shop", "-o", "json"], "{\"policy\":\"service: shop\\n\"}"),
            ] {
                let run = await PerchCLITests.perch(
                    arguments, environment: ["PERCH_SERVER": "unix://\(api.socketPath)"])
                #expect(run.outcome == .ok && run.err == "", "\(arguments): \(run.err)")
                #expect(run.out.contains(part), "\(arguments): \(run.out)")
                #expect(!run.out.contains("\u{1B}"), "no colours when piped")
            }
        }
    }

    @Test func aPolicyThatWouldHaveRolledBackEndsSimulateWithOne() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            let folder = "\(NSTemporaryDirectory())/simulate-\(UInt64.random(in: 0...UInt64.max))"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let file = "\(folder)/shop.yaml"
            let policy = """
                service: shop
                source: {repository: /srv/shop.git}
                platform: {process: {command: ["./shop", "{port}"]}}
                traffic: {listen: "127.0.0.1:8080"}
                cohort: {steps: [{share: 5%, for: 2m}]}
                """
            try policy.write(toFile: file, atomically: true, encoding: .utf8)
            let strict = await api.perch("simulate", "--release", "shop-1", "--policy", file)
            #expect(strict.out.contains("rolled back at 2026-03-01T12:00:02.250Z"), "\(strict.err)")
            #expect(strict.outcome == .failed)
            try "service: shop\n".write(toFile: file, atomically: true, encoding: .utf8)
            let mistaken = await api.perch("simulate", "--release", "shop-1", "--policy", file)
            #expect(mistaken.outcome == .usage)
            #expect(mistaken.err.contains("perch policy check \(file)"))
        }
    }

    @Test func colorsAreForTerminalsThatWantThem() async throws {
        try await withLiveAPI(control: await shopControl()) { (api: LiveAPI) async throws in
            #expect(await api.perch("show", "shop-1", isTerminal: true).out.contains("\u{1B}["))
            #expect(!(await api.perch("show", "shop-1", "--no-color", isTerminal: true).out.contains("\u{1B}")))
            let quiet = await api.perch("show", "shop-1", environment: ["NO_COLOR": "1"], isTerminal: true)
            #expect(!quiet.out.contains("\u{1B}"))
        }
    }

    @Test func commandsSayWhoAndWhy() async throws {
        let control = await shopControl { $0.detail.allowed = ["promote", "abort", "rollback"] }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let promoted = await api.perch("promote", "shop-1")
            #expect(promoted.outcome == .ok)
            #expect(promoted.out == "shop-1  ◌ promoting  promotion asked for by alice\n")
            #expect(await api.perch("abort", "shop-1", "--reason", "slow").outcome == .ok)
            for choice in [["--data"], ["--keep-data"], []] {
                let run = await PerchCLITests.perch(
                    ["rollback", "shop", "--reason", "bad"] + choice,
                    environment: ["PERCH_SERVER": "unix://\(api.socketPath)"])
                #expect(run.outcome == .ok, "\(run.err)")
            }
            let undone = await api.perch("rollback", "undo", "shop-1", "--skip-changed")
            #expect(
                undone.out
                    == "3 rows put back\nwritten since it was healed, left as it is: public.orders (id = 7)\n")
            #expect(
                await control.calls == [
                    "promote shop-1 alice", "abort shop-1 alice slow", "rollback shop true alice bad",
                    "rollback shop false alice bad", "rollback shop - alice bad", "undo shop-1 alice true",
                ])
        }
    }

    @Test func aReleaseByHandIsSignedAndAnsweredOnceItIsStored() async throws {
        let control = InMemoryControl()
        await control.add(samplePolicy("shop"), secrets: ["s3cret"])
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let run = await api.perch(
                "release", "shop", commit, "--previous", "main", "--build-id", "4711", "--build-url",
                "https://ci.test/1",
                "--artifact", "shop.tar", "--link", "pull request=https://git.test/?a=b", "--secret", "env:HOOK",
                "--delivery", "d-1", environment: ["HOOK": "s3cret"])
            #expect(run.outcome == .ok, "\(run.err)")
            #expect(run.out == "shop-1  https://perch.test/releases/shop-1\n" && run.err == "")
            let request = await control.lastRequest
            #expect(request?.commit == commit && request?.previous == "main" && request?.delivery == "d-1")
            #expect(
                request?.build == BuildReference(id: "4711", url: "https://ci.test/1", artifact: "shop.tar"))
            #expect(request?.links == ["pull request": "https://git.test/?a=b"])
            #expect(request?.sender == "cli:alice")
            let again = await api.perch(
                "release", "shop", commit, "--secret", "env:HOOK", "--delivery", "d-1", environment: ["HOOK": "s3cret"])
            #expect(again.outcome == .ok && again.err.contains("known already"))
            let other = await api.perch(
                "release", "shop", commit, "--secret", "env:HOOK", environment: ["HOOK": "s3cret"])
            #expect(other.outcome == .refused)
            #expect(
                other.err == """
                    perch: release shop-1 of service shop is accepted
                    hint: wait for it, or abort it

                    """)
        }
    }

    @Test func anUnsignedReleaseSaysThatItWasNotSigned() async throws {
        let control = InMemoryControl()
        await control.add(samplePolicy("shop", secrets: []))
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let run = await api.perch("release", "shop", commit)
            #expect(run.outcome == .ok && run.err.contains("not signed"))
        }
    }

    @Test func completionsAreForThreeShells() async {
        for (shell, part) in [("bash", "complete "), ("zsh", "#compdef perch"), ("fish", "complete -c")] {
            let run = await perch(["completions", shell])
            #expect(run.outcome == .ok && run.out.contains(part), "\(shell)")
        }
    }
}

@Suite struct ExitCodeTests {
    @Test func eachKindOfFailureHasItsOwn() async throws {
        let control = await shopControl { $0.detail.allowed = [] }
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            #expect(await api.perch("abort", "shop-1").outcome == .refused)
            #expect(await api.perch("show", "shop-9").outcome == .notFound)
            #expect(await api.perch("report", "shop-1").outcome == .notFound)
            #expect(await api.perch("recording", "export", "shop-1").outcome == .notFound)
            #expect(await api.perch("quarantine", "show", "shop-1", "7").outcome == .notFound)
            #expect(await api.perch("release", "shop", commit).outcome == .notAuthorised)
            let tcp = ["PERCH_SERVER": api.http]
            #expect(await api.perch("status", environment: tcp).outcome == .notAuthorised)
            #expect(
                await api.perch("status", environment: tcp.merging(["PERCH_TOKEN": "read-token"]) { $1 }).outcome == .ok
            )
            let reader = tcp.merging(["T": "read-token"]) { $1 }
            #expect(await api.perch("status", "--token", "env:T", environment: reader).outcome == .ok)
            #expect(
                await api.perch("abort", "shop-1", "--token", "env:T", environment: reader).outcome == .notAuthorised)
            await control.lead(false)
            let asleep = await api.perch("status")
            #expect(asleep.outcome == .unreachable)
            #expect(asleep.err == "perch: this daemon does not lead\nhint: ask the one that does\n")
        }
    }

    @Test(arguments: ["unix:///nowhere/perchd.sock", "http://127.0.0.1:1"])
    func aDaemonThatIsNotThereIsToldAtOnce(_ server: String) async {
        let start = ContinuousClock.now
        let run = await perch(["status", "--server", server])
        #expect(run.outcome == .unreachable)
        #expect(run.err.contains("hint: is perchd running?"))
        #expect(start.duration(to: .now) < .seconds(8))
    }

    @Test(arguments: [
        ["nonsense"], ["show"], ["show", "Shop"], ["releases", "--limit", "0"], ["rollback", "shop"],
        ["rollback", "shop", "--data", "--keep-data", "--reason", "x"], ["wait", "shop-1", "--for", "promted"],
        ["wait", "shop-1", "--timeout", "30"], ["status", "--server", "ftp://x"], ["status", "--token", "plain"],
        ["status", "--token", "env:UNSET"], ["release", "shop", "main", "--link", "x"],
        ["quarantine", "apply", "shop-1"], ["quarantine", "discard", "shop-1"],
        ["quarantine", "apply", "shop-1", "7", "--take", "mine"],
        ["quarantine", "apply", "shop-1", "7", "--column", "a", "--whole-row"],
        ["quarantine", "apply", "shop-1", "7", "--seen", "/nowhere"],
        ["release", "shop", "main", "--build-url", "https://x"], ["completions", "tcsh"], ["status", "-o", "yaml"],
    ])
    func aWrongCommandLineIsUsage(_ arguments: [String]) async {
        let run = await perch(arguments)
        #expect(run.outcome == .usage && run.out == "")
        #expect(run.err.hasPrefix("perch: "), "\(run.err)")
    }

    @Test func helpIsNoFailure() async {
        for arguments in [["--help"], [], ["help", "wait"], ["quarantine", "--help"]] {
            let run = await perch(arguments)
            #expect(run.outcome == .ok && run.err == "" && run.out.contains("USAGE:"), "\(arguments)")
        }
        #expect(await perch(["--help"]).out.contains("7  the time given ran out"))
    }

    @Test func errorsAreJSONWhenResultsAre() async throws {
        try await withLiveAPI(control: await shopControl { $0.detail.allowed = [] }) { (api: LiveAPI) async throws in
            let run = await api.perch("abort", "shop-1", "--output", "json")
            #expect(run.out == "")
            #expect(
                run.err == """
                    {"error":{"exit_code":4,"message":"release shop-1 is canary: it cannot abort now","release":"shop-1"}}

                    """)
        }
        #expect(await perch(["show", "-o", "json"]).err.hasPrefix("{\"error\":{\"exit_code\":2,"))
    }

    @Test func aTokenOnTheCommandLineIsRefusedAndNeverShown() async {
        let run = await perch(["status", "--token", "hunter2", "--server", "http://127.0.0.1:1"])
        #expect(run.outcome == .usage && !run.err.contains("hunter2"))
    }
}

@Suite struct PolicyCheckTests {
    private func withFiles(_ files: [String: String], _ body: (String) async throws -> Void) async throws {
        let folder = "/tmp/perch-policy-\(UInt32.random(in: 0..<UInt32.max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for (name, text) in files {
            guard FileManager.default.createFile(atPath: "\(folder)/\(name)", contents: Data(text.utf8)) else {
                throw CocoaError(.fileWriteUnknown)
            }
        }
        try await body(folder)
    }

    private let good = """
        service: shop
        source: {repository: /srv/git/shop.git}
        platform: {process: {command: ["./shop", "{port}"]}}
        traffic: {listen: "127.0.0.1:8080"}
        cohort: {steps: [{share: 5%, for: 5m}]}
        """

    @Test func aGoodFileIsGood() async throws {
        try await withFiles(["shop.yaml": good]) { folder in
            let run = await perch(["policy", "check", "\(folder)/shop.yaml"])
            #expect(run.outcome == .ok, "\(run.err)")
            #expect(run.out == "1 policy file without a mistake\n")
        }
    }

    @Test func everyMistakeHasItsPlaceOnStandardError() async throws {
        let files = ["shop.yaml": good + "\nsurprise: 1\n", "default.yaml": "watchh: 1\n"]
        try await withFiles(files) { folder in
            let run = await perch(["policy", "check", "\(folder)/shop.yaml", "\(folder)/default.yaml"])
            #expect(run.outcome == .failed && run.out == "")
            #expect(run.err.contains("\(folder)/shop.yaml:6:1: "))
            #expect(run.err.contains("\(folder)/default.yaml:1:1: "))
            #expect(run.err.contains("\nhint: "))
            let json = await perch(["policy", "check", "\(folder)/shop.yaml", "--output", "json"])
            #expect(json.outcome == .failed && json.err == "")
            #expect(json.out.hasPrefix("{\"mistakes\":[{") && json.out.contains("\"line\":6"))
        }
    }

    @Test func aFileThatIsNotThereIsAMistake() async {
        let run = await perch(["policy", "check", "/nowhere/shop.yaml"])
        #expect(run.outcome == .failed && run.err.contains("no such file"))
    }
}
