// A wire between Perch and PostgreSQL that can be cut at the worst moment: behind a COMMIT, before its answer.

import Glibc
import Ports
import Synchronization

/// Forwards TCP connections of 127.0.0.1, two threads each. Ends with its object.
final class CuttingProxy: Sendable {
    let port: Int
    private let listener: Int32
    private let armed: Armed

    init(to server: Int) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let (listener, armed) = (listener, Armed())
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        guard bound else { throw Failure("no port for the wire: \(String(cString: strerror(errno)))") }
        port = Int(UInt16(bigEndian: address.sin_port))
        self.armed = armed
        Self.thread {
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { break }
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                guard let upstream = Self.connect(server) else {
                    close(client)
                    continue
                }
                Wire(client, upstream, armed).start()
            }
            close(listener)
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    /// The next COMMIT gets through, its answer does not.
    func cutAfterCommit() { armed.arm() }

    /// Whether that has happened.
    var hasCut: Bool { armed.hasFired }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func connect(_ port: Int) -> Int32? {
        let upstream = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = address(port)
        let isOpen = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(upstream, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isOpen { return upstream }
        close(upstream)
        return nil
    }

    fileprivate static func thread(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Body(run: body))
        pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        pthread_detach(thread)
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }
}

/// Whether the next COMMIT's answer is to be lost; of all connections.
private final class Armed: Sendable {
    private let flag = Atomic<Bool>(false)
    private let fired = Atomic<Bool>(false)
    func arm() { flag.store(true, ordering: .sequentiallyConsistent) }
    /// True once.
    func take() -> Bool { flag.exchange(false, ordering: .sequentiallyConsistent) }
    /// The answer has come and was thrown away.
    func fire() { fired.store(true, ordering: .sequentiallyConsistent) }
    var hasFired: Bool { fired.load(ordering: .sequentiallyConsistent) }
}

/// One connection, both ways. Whichever way ends first ends the other; the second closes.
private final class Wire: Sendable {
    private static let commit = Array("COMMIT".utf8)
    private let client: Int32
    private let server: Int32
    private let armed: Armed
    private let isCut = Atomic<Bool>(false)
    private let ended = Atomic<Int>(0)

    init(_ client: Int32, _ server: Int32, _ armed: Armed) {
        (self.client, self.server, self.armed) = (client, server, armed)
    }

    func start() {
        CuttingProxy.thread { self.pump(self.client, self.server, isQuestion: true) }
        CuttingProxy.thread { self.pump(self.server, self.client, isQuestion: false) }
    }

    private func pump(_ from: Int32, _ to: Int32, isQuestion: Bool) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            if isQuestion, Self.isCommit(buffer[..<count]), armed.take() {
                isCut.store(true, ordering: .sequentiallyConsistent)
            }
            if !isQuestion, isCut.load(ordering: .sequentiallyConsistent) {
                armed.fire()
                break
            }
            guard send(to, &buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        shutdown(client, Int32(SHUT_RDWR))
        shutdown(server, Int32(SHUT_RDWR))
        if ended.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue == 2 {
            close(client)
            close(server)
        }
    }

    private static func isCommit(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count >= commit.count else { return false }
        return (bytes.startIndex...(bytes.endIndex - commit.count)).contains { start in
            bytes[start..<(start + commit.count)].elementsEqual(commit)
        }
    }
}
