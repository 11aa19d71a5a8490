// Goal: whatever answers in Prometheus's place, a number is only what is one beyond doubt.
// Method: a server that answers each test's bytes, asked over a real socket.

import Measurements
import Ports
import PostgresSupport
import Releases
import Testing

@Suite("An answer that is not Prometheus's", .timeLimit(.minutes(2)))
struct AnswerTests {
    private func reading(_ answer: HTTPServer.Answer, path: String = "", timeout: Span = .seconds(5)) async throws
        -> MetricReading
    {
        let server = try await HTTPServer { asked in
            asked == "\(path == "/" ? "" : path)/api/v1/query" ? answer : .whole(status: 404, body: "nothing here")
        }
        defer { Task { try await server.close() } }
        let address = "http://\(server.address)\(path)"
        var metric = Policy.Metric(
            name: "m", source: .prometheus(.init(address: address, query: "up", limits: .init(max: 1))))
        metric.timeout = timeout
        let reading = await MetricSources { _ throws(Failure) in throw Failure("no secrets here") }.read(metric)
        guard case .noData(let why) = reading else { return reading }
        return .noData(why.replacing("http://\(server.address)", with: "ADDRESS"))
    }

    private func vector(_ value: String) -> HTTPServer.Answer {
        .whole(body: #"{"status":"success","data":{"resultType":"vector","result":[\#(value)]}}"#)
    }

    @Test("a number is one wherever it is served", arguments: ["", "/", "/mesh"])
    func number(path: String) async throws {
        let answer = vector(#"{"metric":{},"value":[1435781430.781,"-1.5e-3"]}"#)
        #expect(try await reading(answer, path: path) == .value(-0.0015))
    }

    @Test(
        "all that is no JSON of Prometheus is no data",
        arguments: [
            "", "null", "[]", "{", "<html>", #"{"status":"success"#, #"{"data":{"resultType":"scalar"}}"#,
            #"{"status":"success","data":{"resultType":"vector","result":{}}}"#,
            #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
            #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["1","2"]}]}}"#,
            #"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e300,"2"]}]}}"#,
            #"{"status":"success","data":{"resultType":"matrices","result":[]}}"#,
            String(repeating: "[", count: 100_000),
        ])
    func malformed(_ body: String) async throws {
        #expect(
            try await reading(.whole(body: body)) == .noData("ADDRESS answers 200 and not as Prometheus does"))
    }

    @Test("success without data, an error and any other status are no data")
    func errors() async throws {
        #expect(
            try await reading(.whole(body: #"{"status":"success"}"#))
                == .noData("ADDRESS answers 200: no reason given"))
        let failed = #"{"status":"error","errorType":"timeout","error":"query timed out\nin expression"}"#
        #expect(
            try await reading(.whole(status: 503, body: failed))
                == .noData("ADDRESS answers 503: query timed out in expression"))
        let fine = #"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#
        #expect(try await reading(.whole(body: fine)) == .value(2))
        for status in [201, 206, 400, 500] {
            #expect(
                try await reading(.whole(status: status, body: fine))
                    == .noData("ADDRESS answers \(status): no reason given"))
        }
    }

    @Test("a number that comes with a warning may be a part of it, and is no data")
    func warnings() async throws {
        let body =
            #"{"status":"success","warnings":["one store did not answer"],"#
            + #""data":{"resultType":"scalar","result":[1,"2"]}}"#
        #expect(try await reading(.whole(body: body)) == .noData("ADDRESS warns: one store did not answer"))
        let hint = #"{"status":"success","infos":["x"],"data":{"resultType":"scalar","result":[1,"2"]}}"#
        #expect(try await reading(.whole(body: hint)) == .value(2))
    }

    @Test("a histogram is no number")
    func histogram() async throws {
        #expect(
            try await reading(vector(#"{"metric":{},"histogram":[1,{"count":"1","sum":"1"}]}"#))
                == .noData("a histogram answers the query, one number is needed"))
    }

    @Test("a redirect is not followed")
    func redirect() async throws {
        let answer = HTTPServer.Answer.whole(status: 302, headers: [("location", "/elsewhere")], body: "")
        #expect(try await reading(answer) == .noData("ADDRESS answers 302 and not as Prometheus does"))
    }

    @Test("an answer of any length is not read beyond its bound")
    func tooLong() async throws {
        #expect(
            try await reading(.whole(body: String(repeating: " ", count: 2 << 20)))
                == .noData("ADDRESS answers with more than 1 MiB"))
    }

    @Test("an answer that does not come, or does not end, is no data in time")
    func slow() async throws {
        let late = MetricReading.noData("ADDRESS did not answer within 200ms")
        #expect(try await reading(.silence, timeout: .milliseconds(200)) == late)
        #expect(try await reading(.endless("{\"status\":"), timeout: .milliseconds(200)) == late)
    }

    @Test("a reason has an end, whoever gives it")
    func longReason() async throws {
        let failed = #"{"status":"error","error":"\#(String(repeating: "e", count: 10_000))"}"#
        let why = try #require(try await reading(.whole(status: 500, body: failed)).why)
        #expect(why.utf8.count < 450 && why.hasSuffix("..."))
    }

    @Test("nobody there is no data")
    func nobody() async throws {
        // Below the ports that the kernel gives to the servers of other tests.
        let address = "http://127.0.0.1:\(try freePort())"
        var metric = Policy.Metric(
            name: "m", source: .prometheus(.init(address: address, query: "up", limits: .init(max: 1))))
        metric.timeout = .seconds(20)
        let reading = await MetricSources { _ throws(Failure) in "" }.read(metric)
        #expect(reading == .noData("\(address) cannot be asked: connection refused"))
    }
}
