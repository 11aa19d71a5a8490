// The report as a value: the same for machines (JSON) and for people (Markdown). Keys are stable; new ones may be added.

import FoundationEssentials
import Releases

/// Property names in snake case are the JSON's keys. Moments are ISO 8601 in UTC; what is unknown is null or absent.
struct ReportDocument: Codable, Hashable, Sendable {
    /// Rises when a key changes its meaning.
    var format = 1
    /// `shop-42`
    var release: String
    var service: String
    /// How it ended, a sentence.
    var outcome: String
    /// The numbers against their limits, a sentence each.
    var why: [String]
    /// What the verdict rests on; absent when the release did not go back for one.
    var judgement: Judgement?
    /// Full commit ids.
    var stable: String?
    var canary: String
    var build: Build?
    /// Name -> URL, as the trigger gave them.
    var links: [String: String]
    var exposure: Exposure
    var failingRequests: FailingRequests
    /// Places of the repository in stack traces, where it broke most often first.
    var frames: [Frame]
    var attribution: Found
    /// Most suspected first; empty when nobody is suspected.
    var suspects: [SuspectCommit]
    var data: Outcome
    /// What no rollback can take back.
    var notUndone: [String]
    /// What a person can do, first things first.
    var whatToDo: [String]
    var timeline: [Moment]
    /// Instance -> its last lines.
    var output: [String: [String]]

    struct Build: Codable, Hashable, Sendable {
        var id: String
        var url: String?
        var artifact: String?
    }

    struct Judgement: Codable, Hashable, Sendable {
        /// Requests or users of each version in the release, and how many of them failed.
        var stableBad: UInt64
        var stableTotal: UInt64
        var canaryBad: UInt64
        var canaryTotal: UInt64
        /// Evidence against the canary, and the evidence that rolls back.
        var evidence: Double
        var limit: Double
        /// The metric that contributed most.
        var metric: String?
        /// Number of the recorded look that decided.
        var look: Int
    }

    struct Exposure: Codable, Hashable, Sendable {
        var firstBadResponseAt: String?
        var shareZeroAt: String?
        /// From the first to the second.
        var seconds: Double?
    }

    struct FailingRequests: Codable, Hashable, Sendable {
        /// How many are below; the router keeps a bounded number.
        var kept: Int
        /// How many more failed.
        var notKept: UInt64
        /// Of the kept ones, most frequent first.
        var byRoute: [Route]
        /// Oldest first.
        var requests: [Request]
    }

    struct Route: Codable, Hashable, Sendable {
        var method: String
        /// Path without query; numbers and ids as `:id`.
        var route: String
        var requests: Int
        /// Status -> requests; `timeout`, `reset`, `connect failure` where there was no response.
        var statuses: [String: Int]
    }

    struct Request: Codable, Hashable, Sendable {
        var at: String
        var instance: String
        /// `status`, `timeout`, `reset` or `connectFailure`.
        var kind: String
        var method: String
        var target: String
        /// 0: there was no response.
        var status: Int
        var latencyMilliseconds: Double
        /// W3C traceparent.
        var trace: String?
        var requestHeaders: [Header]
        /// Starts of the bodies.
        var requestBody: String
        var responseHeaders: [Header]
        var responseBody: String
    }

    struct Header: Codable, Hashable, Sendable {
        var name: String
        var value: String
    }

    struct Frame: Codable, Hashable, Sendable {
        /// `python`, `node`, `java`, `go`, `ruby` or `swift`
        var language: String
        /// Path in the repository at the new version.
        var file: String
        var line: Int
        var function: String?
        /// 0: where it broke; 1: what called that.
        var depth: Int
        /// Kept failing requests whose response shows it.
        var requests: Int
        /// Traces in the instances' output that show it.
        var tracesInOutput: Int
        /// Other files the path could mean.
        var alternatives: [String]
    }

    struct Found: Codable, Hashable, Sendable {
        /// `certain`, `suspected` or `unknown`
        var certainty: String
        var reason: String
        /// Commits the new version brought, newest first.
        var commits: [Commit]
        /// Commits of stable the new version lacks, newest first.
        var missing: [Commit]
    }

    struct Commit: Codable, Hashable, Sendable {
        var id: String
        var author: String
        var subject: String
        var committedAt: String
    }

    struct SuspectCommit: Codable, Hashable, Sendable {
        var commit: Commit
        var evidence: [Evidence]
    }

    struct Evidence: Codable, Hashable, Sendable {
        /// What the commit touched: `line`, `function`, `file`, or a file only `named` in the text.
        var touched: String
        /// `shop/pricing.py:12`, or a file without a line.
        var place: String
        var function: String?
        /// The line at the new version.
        var text: String?
        /// What the commit changed there, a unified diff.
        var diff: String?
        /// Kept failing requests that show the place.
        var requests: Int
        var note: String?
    }

    struct Outcome: Codable, Hashable, Sendable {
        /// `replayed`, `kept` or `untouched`, as the rollback went; nil when there was none.
        var rollback: Rollback?
        var recording: Recording?
        /// What is in quarantine, by reason.
        var quarantined: [String: Int]
        /// Rows the canary wrote.
        var canaryRows: CanaryRows
    }

    struct Rollback: Codable, Hashable, Sendable {
        /// `swap`, `heal`, `keep` or `none` (the canary wrote nothing).
        var mode: String
        /// Why this way; empty when there was no choice.
        var why: String
        /// Written in place.
        var rowsHealed: Int
        var stableTransactionsReplayed: Int
        var changesReplayed: Int
        var canaryTransactionsKeptOut: Int
        var conflictsQuarantined: Int
        var tablesVerified: Int
        var rowsVerified: Int64
        var requestsHeldMilliseconds: Int64
        var previousDatabase: String?
    }

    struct Recording: Codable, Hashable, Sendable {
        /// `recording`, `stopped`, `broken` or `overBudget`
        var state: String
        var reason: String?
        var stableTransactions: Int
        var canaryTransactions: Int
        var canaryRows: Int
    }

    struct CanaryRows: Codable, Hashable, Sendable {
        var total: Int
        var byTable: [TableCount]
        /// The first few.
        var first: [Row]
    }

    struct TableCount: Codable, Hashable, Sendable {
        var table: String
        var rows: Int
        /// `insert` -> rows
        var operations: [String: Int]
    }

    struct Row: Codable, Hashable, Sendable {
        var table: String
        var operation: String
        var key: [String: String?]
        var row: [String: String?]?
        var at: String
    }

    struct Moment: Codable, Hashable, Sendable {
        var at: String
        var text: String
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        } catch {
            // Every number in it is finite and every key a string.
            preconditionFailure("a report cannot be encoded: \(error)")
        }
    }
}
