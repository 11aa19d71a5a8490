// Where the blocking calls of one connection run: an OS thread of its own behind an actor's executor.

import Foundation

/// A serial executor that runs its actor's jobs on one dedicated thread, in the order in which they were asked for.
///
/// libpq's calls wait for the network. On the shared pool, which has as many threads as the machine has cores, two
/// waiting connections could stop the whole program.
///
/// The thread keeps the executor alive; the actor that owns the executor calls ``stop()`` when it goes away.
final class ConnectionThread: SerialExecutor, @unchecked Sendable {
    /// Guards `jobs` and `isStopped`.
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []
    private var isStopped = false

    init(name: String) {
        let thread = Thread { self.run() }
        thread.name = name
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        condition.withLock {
            jobs.append(unowned)
            condition.signal()
        }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    /// The thread ends once the jobs asked for so far are done. Does not wait, so the thread itself may call it.
    func stop() {
        condition.withLock {
            isStopped = true
            condition.signal()
        }
    }

    private func run() {
        while let batch = nextJobs() {
            for job in batch { job.runSynchronously(on: asUnownedSerialExecutor()) }
        }
    }

    /// Waits for jobs. nil when there are none and there will be none.
    private func nextJobs() -> [UnownedJob]? {
        condition.withLock {
            while jobs.isEmpty && !isStopped { condition.wait() }
            if jobs.isEmpty { return nil }
            let batch = jobs
            jobs.removeAll(keepingCapacity: true)
            return batch
        }
    }
}
