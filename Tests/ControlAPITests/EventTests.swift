// Goal: events arrive when they happen, in order, and a stream ends when there is nothing more to say.
// Method: the real servers; the in-memory controller is told events while callers wait.

import AsyncHTTPClient
import ControlModel
import ControlSupport
import NIOCore
import NIOHTTP1
import Releases
import Testing

private let id = ReleaseID("shop-1")!

private func control() async -> InMemoryControl {
    let control = await shopControl()
    await control.hold(sampleDetail(id))
    return control
}

@Suite(.timeLimit(.minutes(2))) struct EventTests {
    @Test func aPageHasWhatCameAfterASequenceNumber() async throws {
        let control = await control()
        await control.tell(id, "second")
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let all = try await api.call("/api/v1/releases/shop-1/events").document(EventList.self)
            #expect(all.events.map(\.sequence) == [1, 2] && all.last == 2)
            let rest = try await api.call("/api/v1/releases/shop-1/events?after=1").document(EventList.self)
            #expect(rest.events.map(\.text) == ["second"])
            let none = try await api.call("/api/v1/releases/shop-1/events?after=2").document(EventList.self)
            #expect(none.events.isEmpty && none.last == 2)
        }
    }

    @Test func aLongPollReturnsWhenSomethingHappens() async throws {
        let control = await control()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            async let page = api.call("/api/v1/releases/shop-1/events?after=1&wait=15")
            await control.tell(id, "second")
            let clock = ContinuousClock.now
            #expect(try await page.document(EventList.self).events.map(\.text) == ["second"])
            #expect(clock.duration(to: .now) < .seconds(10))
        }
    }

    @Test func aLongPollEndsEmptyWhenNothingHappens() async throws {
        try await withLiveAPI(control: await control()) { (api: LiveAPI) async throws in
            let page = try await api.call("/api/v1/releases/shop-1/events?after=1&wait=1").document(EventList.self)
            #expect(page.events.isEmpty && page.last == 1)
        }
    }

    @Test func aStreamTellsEventsAndEndsWithTheRelease() async throws {
        let control = await control()
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            var request = HTTPClientRequest(url: api.http + "/api/v1/releases/shop-1/events")
            request.headers.add(name: "authorization", value: "Bearer read-token")
            request.headers.add(name: "accept", value: "text/event-stream")
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
            #expect(response.headers.first(name: "content-type") == "text/event-stream")
            var text = ""
            var told = false
            for try await part in response.body {
                text += String(buffer: part)
                if !told {
                    told = true
                    await control.tell(id, "promoted", phase: "promoted", isTerminal: true)
                }
            }
            let first = try ControlJSON.encode(sampleDetail(id).events[0])
            #expect(text.hasPrefix("id: 1\ndata: \(first)\n\n"))
            #expect(text.contains("id: 2\ndata: {"))
            #expect(text.hasSuffix("event: end\ndata: {}\n\n"))
        }
    }

    @Test func aStreamGoesOnAfterTheLastEventSeen() async throws {
        let control = await control()
        await control.tell(id, "second", phase: "promoted", isTerminal: true)
        try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
            let answer = try await api.call(
                "/api/v1/releases/shop-1/events",
                headers: [("Accept", "text/event-stream"), ("Last-Event-ID", "1")])
            #expect(answer.body.hasPrefix("id: 2\n"))
            let unknown = try await api.call(
                "/api/v1/releases/shop-9/events", headers: [("Accept", "text/event-stream")])
            #expect(unknown.status == 404)
        }
    }

    @Test func waitingCallersDoNotKeepTheDaemonFromStopping() async throws {
        let control = await control()
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { callers in
            let (address, told) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingOldest(1))
            callers.addTask {
                guard let http = await address.first(where: { _ in true }) else { return }
                try await withThrowingTaskGroup(of: Void.self) { waiting in
                    waiting.addTask { try await wait(http + "/api/v1/releases/shop-1/events?after=1&wait=30", "*/*") }
                    waiting.addTask { try await wait(http + "/api/v1/releases/shop-1/events", "text/event-stream") }
                    try await waiting.waitForAll()
                }
            }
            try await withLiveAPI(control: control) { (api: LiveAPI) async throws in
                told.yield(api.http)
                #expect(try await eventually { await control.waiting == 2 }, "both callers wait for the next event")
            }
            try await callers.waitForAll()
        }
        #expect(start.duration(to: .now) < .seconds(12))
    }
}

private func wait(_ url: String, _ accept: String) async throws {
    var request = HTTPClientRequest(url: url)
    request.headers.add(name: "authorization", value: "Bearer read-token")
    request.headers.add(name: "accept", value: accept)
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    for try await _ in response.body {}
}
