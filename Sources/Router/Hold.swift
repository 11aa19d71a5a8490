// Requests that wait while the data is switched.

import NIOCore
import Synchronization

/// How many requests are held, all event loops together.
final class HeldCount: Sendable {
    private let count = Atomic<Int>(0)

    /// - Returns: false when `maximum` requests are held already.
    func enter(maximum: Int) -> Bool {
        if count.add(1, ordering: .relaxed).newValue <= maximum { return true }
        leave()
        return false
    }

    func leave() { count.subtract(1, ordering: .relaxed) }
}

/// A hold as one event loop sees it: the requests in the order in which they came. Confined to its loop.
struct LaneHold {
    /// Tells this hold from one before it, whose deadline may still be under way.
    let number: UInt64
    var maximum: Int
    var deadline: NIODeadline
    private var queue = CircularBuffer<Exchange>()
    private(set) var count = 0

    init(number: UInt64, maximum: Int, deadline: NIODeadline) {
        self.number = number
        self.maximum = maximum
        self.deadline = deadline
    }

    mutating func append(_ exchange: Exchange) {
        queue.append(exchange)
        count += 1
    }

    /// A held request's client went away: it stays in the queue until most of the queue is such requests.
    mutating func left() {
        count -= 1
        if queue.count > 64, queue.count > 2 * count {
            queue = CircularBuffer(queue.filter { $0.phase == .held })
        }
    }

    /// Those that still wait, oldest first.
    var waiting: [Exchange] { queue.filter { $0.phase == .held } }
}
