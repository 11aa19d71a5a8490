// The small parts the platform is made of. Method: examples by hand, and the kernel's and RFCs' own values.

import CPosix
import Foundation
import Ports
import Releases
import Testing

@testable import Platforms

@Suite struct ChecksumTests {
    /// RFC 3720 appendix B.4.
    @Test(
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA), ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            (Array(0..<32), 0x46DD_794E), (Array((0..<32).reversed()), 0x113F_DB5C),
            (Array("123456789".utf8), 0xE306_9283),
            ([], 0),
        ] as [([UInt8], UInt32)])
    func crc32cHasTheStandardsValues(_ bytes: [UInt8], _ expected: UInt32) {
        #expect(perch_crc32c(0, bytes, bytes.count) == expected)
        #expect(perch_crc32c_portable(0, bytes, bytes.count) == expected)
    }

    @Test func bothWaysAgreeAtEveryLengthAndInPieces() {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<600).map { _ in UInt8.random(in: 0...255, using: &generator) }
        for length in bytes.indices {
            let whole = perch_crc32c(7, bytes, length)
            #expect(perch_crc32c_portable(7, bytes, length) == whole, "\(bytes[..<length])")
            let cut = length / 3
            let pieces = bytes.withUnsafeBytes { raw in
                perch_crc32c(perch_crc32c(7, raw.baseAddress, cut), raw.baseAddress! + cut, length - cut)
            }
            #expect(pieces == whole)
        }
    }
}

@Suite struct ProcessStatusTests {
    @Test func aNameWithParenthesesAndSpacesDoesNotShiftTheFields() {
        let rest = (0..<30).map { String(100 + $0) }.joined(separator: " ")
        let status = ProcessStatus(parsing: Array("42 (a) R 1 (b\n) S 7 42 41 \(rest)".utf8))
        #expect(status?.parent == 7 && status?.group == 42 && status?.session == 41)
        // Field 22 is the 16th after field 6.
        #expect(status?.startTicks == 115)
    }

    @Test(arguments: ["", "42", "42 (a) S", "42 (a) S x y z"])
    func partsOfALineAreNoStatus(_ line: String) {
        #expect(ProcessStatus(parsing: Array(line.utf8)) == nil)
    }

    @Test func weAreOurselves() throws {
        let ourselves = try #require(ProcessIdentity(of: getpid()))
        #expect(ourselves.status?.parent == getppid())
        #expect(ProcessIdentity(of: Int32.max) == nil)
    }
}

@Suite struct OutputLogTests {
    @Test func rotationEmptiesTheFileThatTheProcessGoesOnWriting() async throws {
        try await withScratch { scratch in
            let log = OutputLog(path: "\(scratch.path)/output.log")
            let file = try log.openForAppending()
            defer { close(file) }
            #expect(FileSystem.write(Array("one\ntwo\n".utf8), to: file))
            log.rotate(at: 8)
            #expect(log.size == 0)
            #expect(FileSystem.write(Array("three\n".utf8), to: file))
            #expect(log.size == 6)
            #expect(log.lastLines(10) == ["one", "two", "three"])
            #expect(log.lastLines(1) == ["three"])
            log.rotate(at: 7)
            #expect(log.size == 6)
        }
    }

    @Test func linesAreFitToBeShown() async throws {
        try await withScratch { scratch in
            try scratch.write(
                "\u{1B}[31mred\u{1B}[0m\r\npostgres://shop:hunter2@db/shop\n" + String(repeating: "x", count: 5_000)
                    + "\nend",
                to: "output.log")
            let lines = OutputLog(path: "\(scratch.path)/output.log").lastLines(10)
            #expect(
                lines == ["[31mred[0m", "postgres://shop:***@db/shop", String(repeating: "x", count: 2_000), "end"])
        }
    }

    @Test func onlyTheEndOfALargeFileIsRead() async throws {
        try await withScratch { scratch in
            try scratch.write((1...100_000).map { "line \($0)\n" }.joined(), to: "output.log")
            let lines = OutputLog(path: "\(scratch.path)/output.log").lastLines(100_000)
            #expect(lines.last == "line 100000")
            #expect(lines.count > 10_000 && lines.count < 30_000)
            #expect(lines.first?.hasPrefix("line ") == true)
        }
    }

    @Test func houseIsKeptForEveryKindOfProcess() async throws {
        try await withScratch { scratch in
            for kind in ["instances", "builds", "routers"] {
                try FileSystem.makeFolder("\(scratch.data)/\(kind)/old")
                try scratch.write("some output\n", to: "data/\(kind)/old/output.log")
            }
            scratch.platform.keepHouse(rotationSize: 5)
            for kind in ["instances", "builds", "routers"] {
                #expect(FileSystem.exists("\(scratch.data)/\(kind)/old/output.log.1"))
            }
            scratch.platform.keepHouse(now: Instant.now.advanced(by: .hours(24 * 8)))
            for kind in ["instances", "builds", "routers"] {
                #expect(!FileSystem.exists("\(scratch.data)/\(kind)/old"))
            }
        }
    }
}

@Suite struct RedactionTests {
    @Test(arguments: [
        ("see https://host/path?a=1", "see https://host/path?a=1"),
        ("https://user:pass@host/x", "https://user:***@host/x"),
        ("https://ghp_token@host/x", "https://***@host/x"),
        ("'postgres://u:p%40ss@h:5432/d' and redis://:pw@h", "'postgres://u:***@h:5432/d' and redis://:***@h"),
        ("mail://nobody", "mail://nobody"), ("a@b", "a@b"), ("://", "://"),
    ])
    func passwordsInURLsAreNotShown(_ text: String, _ shown: String) {
        #expect(Redaction.withoutURLPasswords(text) == shown)
    }
}

@Suite struct FreePortTests {
    @Test func portsTheKernelUsesForItselfAreLeftAlone() {
        let candidates = FreePort.candidates(ephemeral: 32_768...60_999)
        #expect(candidates.first == 20_000 && candidates.last == 65_535)
        #expect(!candidates.contains { (32_768...60_999).contains($0) })
        #expect(FreePort.candidates(ephemeral: 1_024...65_535).isEmpty)
    }

    @Test func aTakenPortIsNotGivenAgain() throws {
        let first = try FreePort.find(notIn: [])
        let all = Set(FreePort.candidates(ephemeral: 32_768...60_999))
        #expect(try FreePort.find(notIn: all.subtracting([first])) == first)
    }
}

@Suite struct GitMirrorTests {
    @Test(arguments: [
        ("/srv/shop.git", false), ("https://host/shop", false), ("git@host:shop.git", false), ("shop", true),
        ("./a:b/c", true), ("../shop", true),
    ])
    func relativePathsAreToldFromURLs(_ name: String, _ isRelative: Bool) {
        #expect(GitMirror.isRelativePath(name) == isRelative)
    }

    @Test func foldersOfMirrorsAreReadableAndDifferent() {
        let one = GitMirror.folderName(of: "/srv/one/shop.git")
        let other = GitMirror.folderName(of: "/srv/other/shop.git")
        #expect(one != other)
        #expect(one.hasPrefix("shopgit-") && one.hasSuffix(".git"))
    }
}

@Suite struct FileLockTests {
    @Test func whoWaitsTooLongIsToldWhichLock() async throws {
        try await withScratch { scratch in
            let path = "\(scratch.path)/lock"
            let failure = try await failure { () throws(Failure) in
                try await withFileLock(path, patience: .zero) { () throws(Failure) in
                    try await withFileLock(path, patience: .milliseconds(60)) { () throws(Failure) in }
                }
            }
            #expect(failure.isTransient && failure.message.hasPrefix("\(path) is locked by somebody else"))
            try await withFileLock(path, patience: .zero) { () throws(Failure) in }
        }
    }
}
