// Where the blocking calls of one connection run: an OS thread of its own behind an actor's executor.

import Foundation

/// A serial executor that runs its actor's jobs on one dedicated thread, in the order in which they were asked for.
///
/// libpq's calls wait for the network. On the shared pool, which has as many threads as the machine has cores, two
/// waiting connections could stop the whole program.
///
/// The thread keeps the executor alive; the actor that owns the executor calls ``stop()`` when it goes away.
final class ConnectionThread: SerialExecutor, @unchecked Sendable {
    /// Guards `work` and `isStopped`.
    private let condition = NSCondition()
    private var work: [() -> Void] = []
    private var isStopped = false

    /// - Parameter name: as `ps -L` and debuggers show it; Linux keeps 15 bytes.
    init(name: String) {
        let thread = Thread { self.run() }
        thread.name = name
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        append { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    /// Runs `body` on the thread, for what must happen before there is an actor.
    func perform<Value>(_ body: sending @escaping () -> sending Value) async -> sending Value {
        await withCheckedContinuation { continuation in
            append { continuation.resume(returning: body()) }
        }
    }

    /// The thread ends once what was asked for so far is done. Does not wait, so the thread itself may call it.
    func stop() {
        condition.withLock {
            isStopped = true
            condition.signal()
        }
    }

    private func append(_ item: @escaping () -> Void) {
        condition.withLock {
            work.append(item)
            condition.signal()
        }
    }

    private func run() {
        while let batch = nextBatch() {
            for item in batch { item() }
        }
    }

    /// Waits for work. nil when there is none and there will be none.
    private func nextBatch() -> [() -> Void]? {
        condition.withLock {
            while work.isEmpty && !isStopped { condition.wait() }
            if work.isEmpty { return nil }
            let batch = work
            work.removeAll(keepingCapacity: true)
            return batch
        }
    }
}
