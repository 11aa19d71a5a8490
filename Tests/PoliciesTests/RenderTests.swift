// Goal: a rendered policy reads back as an equal policy, and nothing written to a file crashes the reader.
// Method: random policies and random damage from a printed seed (PERCH_TEST_SEED repeats a run).

import Foundation
import Policies
import Releases
import Testing

struct RenderTests {
    static let seed =
        ProcessInfo.processInfo.environment["PERCH_TEST_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0 ... .max)

    @Test("any valid policy survives being written and read again")
    func roundTrip() throws {
        var random = SeededGenerator(state: Self.seed)
        for round in 0..<400 {
            let policy = randomPolicy(&random)
            let text = PolicyFile.render(policy)
            let note: Comment = "seed \(Self.seed), round \(round)\n\(text)"
            do {
                #expect(try PolicyFile.parse(text: text, file: "-") == policy, note)
            } catch {
                Issue.record(error, note)
            }
        }
    }

    @Test("a rendered policy says everything itself, whatever the defaults are")
    func rendersEverything() throws {
        var random = SeededGenerator(state: Self.seed)
        for round in 0..<100 {
            var (policy, other) = (randomPolicy(&random), randomPolicy(&random))
            // Maps of free names merge, so only there the other policy may show through.
            (other.platform.process.environment, other.cohort.includeHeaders) = ([:], [:])
            other.database?.rollback.columns = [:]
            (other.watch.latency.max, policy.database) = ([], other.database == nil ? nil : policy.database)
            let defaults = PolicyFile.render(other).replacing(
                "\nservice: \(other.service)", with: "", maxReplacements: 1
            )
            .replacing(try Regex("(?m)^service: .*$"), with: "")
            let read = try PolicyFile.parse(
                text: PolicyFile.render(policy), file: "-", defaults: (text: defaults, file: "default.yaml"))
            #expect(read == policy, "seed \(Self.seed), round \(round)")
        }
    }

    @Test("a damaged file is a policy or a list of mistakes, never a crash")
    func damage() {
        var random = SeededGenerator(state: Self.seed)
        let alphabet = Array("{}[]:,-#&*!|>'\"%@`\n \t?~x0😀".unicodeScalars)
        for round in 0..<600 {
            var scalars = Array(PolicyFile.render(randomPolicy(&random)).unicodeScalars)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let index = Int.random(in: 0..<scalars.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: scalars.remove(at: index)
                case 1: scalars.insert(alphabet.randomElement(using: &random)!, at: index)
                default: scalars.removeSubrange(index..<min(scalars.count, index + 40))
                }
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            do {
                _ = try PolicyFile.parse(text: text, file: "-")
            } catch {
                let isPlaced = error.mistakes.allSatisfy { $0.line > 0 && $0.column > 0 && !$0.message.isEmpty }
                #expect(!error.mistakes.isEmpty && isPlaced, "seed \(Self.seed), round \(round)\n\(error)")
            }
        }
    }

    @Test("every key of the format is in a rendered policy, with nothing left for a reader to know")
    func writesEveryKey() throws {
        let text = PolicyFile.render(try PolicyFile.parse(text: "service: shop\n", file: "-", defaults: complete))
        for key in [
            "deadline: 4h", "build: []", "build_within: 15m", "instances: {stable: 1, canary: 1}", "drain: 30s",
            "ready: {path: /healthz, within: 30s}", "env: {}", "database_variable: DATABASE_URL", "timeout: 30s",
            "by: [cookie:session, header:X-User-Id, client-address]", "header: {}", "admin_url: env:SHOP_DATABASE_URL",
            "canary_password: null", "snapshot: {mode: dump}", "recording: {budget: 10GiB}", "mode: swap",
            "writes: stable", "freeze: 10s", "reconnect: restart", "keep_before: 7d", "minimum_requests: 50",
            "no_data: {wait: 10m, then: hold}", "minimum_failures: 3", "false_alarms: 1%", "shared_incident: hold",
            "settle: null", "max: 1%", "times: 1 ", "worse_by: 0.1%", "proven: 0.5%", "weight: 0.6", "worse_by: 10%",
            "plus: 0s", "quantiles: [p50, p95, p99]", "weight: 0.4", "dry_run: false", "routes: []", "metrics: []",
            "max_parallel: 1", "bake: 10m",
            "undo_window: 30m", "automatic: true", "deadline: 10m", "secrets: []", "on_newer: queue", "branch: main",
            "workflow: null", "environment: null", "events: [deployment, workflow_run]",
            "headers: [authorization, cookie, set-cookie, proxy-authorization, x-api-key]",
            "fields: [password, card, token, secret]",
        ] {
            #expect(text.contains(key), "\(key) is not in\n\(text)")
        }
    }
}
