// Goal: a crash at any byte of a save leaves a whole table. Method: files cut and damaged at every place.

import Foundation
import Logging
import Testing
import Traffic

@testable import Router

private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "table-\(UInt64.random(in: .min ... .max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder + "/table")
}

private func table(_ generation: UInt64) -> RoutingTable {
    .serving(stable: [Backend(name: "a", host: "127.0.0.1", port: 1)], generation: generation)
}

private let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

@Suite struct TableFileTests {
    @Test func `what is saved is loaded`() throws {
        try withFolder { path in
            let file = TableFile(path: path)
            #expect(file.load(logger: silent) == nil)
            for generation in 1...3 as ClosedRange<UInt64> {
                try file.save(table(generation))
                #expect(file.load(logger: silent) == table(generation))
            }
        }
    }

    @Test func `a file cut or changed anywhere is put aside and the one before is used`() throws {
        try withFolder { path in
            let file = TableFile(path: path)
            try file.save(table(1))
            try file.save(table(2))
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            let previous = try Data(contentsOf: URL(fileURLWithPath: path + ".previous"))
            for place in stride(from: 0, to: whole.count, by: 7) {
                var flipped = whole
                flipped[place] ^= 0x04
                for damaged in [whole.prefix(place), flipped] {
                    try Data(damaged).write(to: URL(fileURLWithPath: path))
                    try previous.write(to: URL(fileURLWithPath: path + ".previous"))
                    #expect(file.load(logger: silent) == table(1), "damaged at \(place)")
                    #expect(FileManager.default.fileExists(atPath: path + ".corrupt"))
                    #expect(!FileManager.default.fileExists(atPath: path))
                }
            }
        }
    }

    @Test func `without its file the one before is used`() throws {
        try withFolder { path in
            let file = TableFile(path: path)
            try file.save(table(1))
            try file.save(table(2))
            try FileManager.default.removeItem(atPath: path)
            #expect(file.load(logger: silent) == table(1))
        }
    }

    @Test func `a folder that is not there is an error that names the file`() {
        let file = TableFile(path: "/nonexistent/table")
        #expect(throws: RouterError.file(path: "/nonexistent/table.new", reason: "No such file or directory")) {
            try file.save(table(1))
        }
    }
}
