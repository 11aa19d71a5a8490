// From connection to connection: check that nothing is missing, stream, fall back to the durable end, try again.

import Logging
import Ports
import Postgres
import Releases
import Synchronization

extension Recorder {
    /// Why a stream ended.
    private enum Ending {
        case asked
        /// Asking again may help.
        case interrupted(String)
        /// A gap, or nothing to read any more.
        case broken(String)
    }

    func stream() async {
        var wait = Duration.milliseconds(50)
        var opened: JournalWriter?
        while isRunning {
            let begin = ContinuousClock.now
            let ending: Ending
            do throws(JournalError) {
                var writer: JournalWriter
                if let opened {
                    writer = opened
                    try writer.forgetUndurable()
                } else {
                    writer = try JournalWriter.open(
                        storage, expecting: file.identity, segmentBytes: settings.segmentBytes)
                }
                opened = writer
                publish(writer.durable)
                ending = await connectAndRead(&writer)
                opened = writer
            } catch {
                ending = Self.ending(error)
            }
            state.withLock { $0.isConnected = false }
            switch ending {
            case .asked: return
            case .broken(let reason): return end(.broken, reason)
            case .interrupted(let reason):
                guard isRunning else { return }
                state.withLock { $0.reason = "\(reason); trying again" }
                logger.warning("recording interrupted", metadata: ["reason": "\(reason)"])
            }
            if ContinuousClock.now - begin > .seconds(10) { wait = .milliseconds(50) }
            try? await Task.sleep(for: wait)
            wait = min(wait * 2, settings.retryLimit)
        }
    }

    private func connectAndRead(_ writer: inout JournalWriter) async -> Ending {
        let connection: ReplicationConnection
        do throws(PostgresError) {
            connection = try await ReplicationConnection.open(
                server, sessionOptions: ["logical_decoding_work_mem": "256MB"])
        } catch {
            return Self.ending(error)
        }
        let ending: Ending
        do throws(PostgresError) {
            if let reason = try await gap(behind: writer.durable.lsn, on: connection) {
                ending = .broken(reason)
            } else {
                try await connection.startReplication(
                    slot: file.slot, from: writer.durable.lsn, publications: [file.publication])
                state.withLock { state in
                    state.isConnected = true
                    // A recording that ended meanwhile keeps its reason.
                    if state.phase == .recording { state.reason = nil }
                }
                ending = await read(connection, &writer)
            }
        } catch {
            ending = Self.ending(error)
        }
        await connection.close()
        return ending
    }

    /// Whether what the server would send continues the journal without a gap.
    private func gap(
        behind durable: LogSequenceNumber, on connection: ReplicationConnection
    ) async throws(PostgresError) -> String? {
        let identity = try await connection.identifySystem()
        guard identity.systemIdentifier == String(file.systemIdentifier) else {
            return "the server is another one: its system identifier is \(identity.systemIdentifier), the journal's is "
                + "\(file.systemIdentifier)"
        }
        guard identity.timeline == file.timeline else {
            return "the server changed to timeline \(identity.timeline), the journal is of timeline \(file.timeline)"
        }
        let session = try await Connection.open(server)
        let slot = try await ReplicationSlot.read(file.slot, on: session)
        let isPublished = try await isPublished(session)
        await session.close()
        guard let slot else { return "slot \(file.slot) is gone" }
        if slot.isLost {
            return "slot \(file.slot) was invalidated by the server (\(slot.invalidation ?? slot.walStatus))"
        }
        guard slot.confirmed <= durable else {
            return "slot \(file.slot) has confirmed \(slot.confirmed), but the journal ends at \(durable): "
                + "what lies between is lost"
        }
        return isPublished ? nil : unpublished
    }

    /// Reads until something ends it. All of it runs on the connection's own thread: the disk is waited for there.
    private func read(_ connection: isolated ReplicationConnection, _ writer: inout JournalWriter) -> Ending {
        var assembler = StreamAssembler(file.attribution)
        var keepalive = LogSequenceNumber.zero
        var lastIdleMark = ContinuousClock.now
        var lastStatus = ContinuousClock.now
        do {
            while isRunning {
                let frames = try connection.nextBatch(timeout: .milliseconds(200), maximumBytes: 4 << 20)
                for frame in frames {
                    switch frame {
                    case .data(_, _, _, let bytes): try assembler.take(bytes, into: &writer)
                    case .keepalive(let walEnd, _, _): if !assembler.isInTransaction { keepalive = walEnd }
                    }
                }
                let now = ContinuousClock.now
                // A busy cluster sends many; each on disk would cost an fsync.
                if !assembler.isInTransaction, keepalive > writer.written.lsn,
                    now - lastIdleMark >= .seconds(1) || isWanted(beyond: writer.durable.lsn)
                {
                    writer.advance(to: keepalive)
                    lastIdleMark = now
                }
                let before = writer.durable.lsn
                try writer.synchronize()
                if writer.durable.lsn > before || now - lastStatus >= .seconds(1) {
                    let durable = writer.durable.lsn
                    publish(writer.durable, sentinel: assembler.sentinel)
                    try connection.sendStatus(written: durable, flushed: durable, applied: durable)
                    lastStatus = now
                }
            }
            return .asked
        } catch let error as JournalError {
            return Self.ending(error)
        } catch let error as PostgresError {
            return Self.ending(error)
        } catch {
            return .interrupted("\(error)")
        }
    }

    private func isWanted(beyond position: LogSequenceNumber) -> Bool { state.withLock { $0.wanted > position } }

    private func publish(_ durable: JournalWriter.Mark, sentinel: String? = nil) {
        state.withLock { state in
            state.durable = durable.lsn
            state.tally = durable.tally
            if let sentinel { state.sentinel = sentinel }
        }
    }

    private static func ending(_ error: JournalError) -> Ending {
        switch error {
        case .broken(let reason): .broken(reason)
        case .storage: .interrupted("the journal cannot be written, nothing is acknowledged: \(error)")
        case .endsBefore: .broken("\(error)")
        }
    }

    private static func ending(_ error: PostgresError) -> Ending {
        // 42704: the slot or the publication does not exist. 55000: the slot was invalidated, or the server would skip the
        // publication. 58P01: the log is gone. What can come and go stays with the checks of the next connection.
        switch error.sqlState {
        case "42704", "55000", "58P01": .broken("\(error)")
        default: .interrupted("\(error)")
        }
    }
}
