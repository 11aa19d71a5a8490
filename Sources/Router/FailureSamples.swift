// The kept failing canary requests of one event loop. Pure: the clock is an argument.

import NIOCore
import NIOHTTP1
import Traffic

/// The first and the last failures of a release: how it began and what it came to.
struct FailureSamples: Sendable {
    static let kept = 50
    private static let half = kept / 2

    private(set) var first: [FailureSample] = []
    private(set) var last: [FailureSample] = []
    private(set) var failures: UInt64 = 0
    private(set) var firstFailureAt: Int64?

    mutating func add(_ sample: FailureSample) {
        failures += 1
        firstFailureAt = min(firstFailureAt ?? sample.at, sample.at)
        if first.count < Self.half {
            first.append(sample)
        } else {
            if last.count == Self.half { last.removeFirst() }
            last.append(sample)
        }
    }

    /// Of several event loops the earliest and the latest are kept again.
    static func report(release: String, _ parts: [FailureSamples]) -> SampleReport {
        let all = parts.flatMap { $0.first + $0.last }.sorted { $0.at < $1.at }
        let samples = all.count <= kept ? all : Array(all.prefix(half) + all.suffix(half))
        let failures = parts.reduce(0) { $0 + $1.failures }
        return SampleReport(
            release: release, samples: samples, dropped: failures - UInt64(samples.count),
            firstFailureAt: parts.compactMap(\.firstFailureAt).min())
    }
}

/// What is copied of a canary request while it passes, in case it fails.
struct Capture: Sendable {
    static let bodyBytes = 4_096

    private(set) var requestBody: [UInt8] = []
    private(set) var responseBody: [UInt8] = []
    var response: HTTPResponseHead?

    mutating func request(_ bytes: ByteBuffer) { Self.keep(bytes, in: &requestBody) }
    mutating func response(_ bytes: ByteBuffer) { Self.keep(bytes, in: &responseBody) }

    private static func keep(_ bytes: ByteBuffer, in kept: inout [UInt8]) {
        let room = bodyBytes - kept.count
        guard room > 0 else { return }
        kept += bytes.readableBytesView.prefix(room)
    }

    /// The evidence of a failure; nil when the request did not fail.
    func sample(
        of request: AdmittedRequest, instance: String, outcome: Outcome, at: Int64, latencyMicroseconds: UInt64,
        redaction: Redaction
    ) -> FailureSample? {
        guard outcome.isFailure else { return nil }
        let kind: FailureSample.Kind
        switch outcome {
        case .answered, .clientAbort: kind = .status
        case .connectFailure: kind = .connectFailure
        case .reset: kind = .reset
        case .timeout: kind = .timeout
        }
        func redacted(_ headers: HTTPHeaders) -> [FailureSample.Header] {
            headers.map { FailureSample.Header(name: $0.name, value: redaction.header($0.name, $0.value)) }
        }
        func text(_ bytes: [UInt8], _ headers: HTTPHeaders) -> String {
            redaction.body(
                bytes, contentType: headers.first(name: "content-type"),
                contentEncoding: headers.first(name: "content-encoding"))
        }
        return FailureSample(
            arm: "canary", instance: instance, at: at, kind: kind, method: request.head.method.rawValue,
            target: redaction.target(request.head.uri), requestHeaders: redacted(request.received),
            requestBody: text(requestBody, request.received), status: response.map { Int($0.status.code) } ?? 0,
            responseHeaders: response.map { redacted($0.headers) } ?? [],
            responseBody: response.map { text(responseBody, $0.headers) } ?? "",
            latencyMicroseconds: latencyMicroseconds, trace: request.received.first(name: "traceparent"))
    }
}
