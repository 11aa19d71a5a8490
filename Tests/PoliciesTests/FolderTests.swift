// Goal: policies are found as files, and the ones this repository ships work. Method: real files; temporary folders.

import Foundation
import Policies
import Releases
import Testing

/// `policies/` of this repository.
private let shipped = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "policies").path

struct FolderTests {
    @Test("the policies of this repository are all valid and survive being written and read again")
    func shippedPolicies() throws {
        let (policies, mistakes) = PolicyFile.loadFolder(shipped)
        #expect(mistakes == [])
        #expect(Set(policies.keys.map(\.rawValue)).isSuperset(of: ["shop", "ledger"]))
        for policy in policies.values {
            #expect(try PolicyFile.parse(text: PolicyFile.render(policy), file: "-") == policy)
        }
    }

    @Test("every file of the folder can be checked by its name, the defaults too")
    func checkByName() {
        for name in ["default", "shop", "ledger"] {
            #expect(PolicyFile.check("\(shipped)/\(name).yaml") == [])
        }
        #expect(PolicyFile.check(shipped + "/nobody.yaml").count == 1)
    }

    @Test("shop.yaml inherits the organisation's steps and names only its own")
    func shippedShop() throws {
        let policy = try PolicyFile.load(shipped + "/shop.yaml")
        #expect(policy.cohort.steps.count == 3)
        #expect(policy.trigger.secrets == [.environment("PERCH_WEBHOOK_SECRET")])
        #expect(policy.database?.adminURL == .environment("SHOP_DATABASE_URL"))
        #expect(policy.platform.process.stableInstances == 2)
    }

    @Test("the good policies of a folder are used and the bad ones reported, a mistake in the defaults once")
    func folder() throws {
        try withFolder([
            "default.yaml": complete.text + "\nwatch: {errors: {max: lots}}\n",
            "a.yaml": "service: a\nwatch: {errors: {max: 1%}}\n",
            "b.yaml": "service: b\ntraffic: {listen: \"127.0.0.1:2\"}\n",
            "c.yml": "service: c\ntraffic: {listen: \"127.0.0.1:3\"}\n",
            "notes.txt": "not a policy", ".hidden.yaml": "not a policy",
        ]) { (folder: String) throws in
            let (policies, mistakes) = PolicyFile.loadFolder(folder)
            #expect(policies.keys.map(\.rawValue) == ["a"])
            #expect(mistakes.map(\.message) == ["max must be a percentage, not 'lots'"])
            #expect(mistakes.first?.file == folder + "/default.yaml")
            #expect(mistakes.first?.line == 6)
        }
    }

    @Test(
        "two services cannot listen at one address, nor be in two files",
        arguments: [
            (
                "b.yaml", "service: b\ntraffic: {listen: \"127.0.0.1:8080\"}\n",
                "b listens at 127.0.0.1:8080, which a takes"
            ),
            ("b.yaml", "service: b\ntraffic: {listen: \"0.0.0.0:8080\"}\n", "b listens at 0.0.0.0:8080, which a takes"),
            (
                "b.yaml", "service: b\ntraffic: {listen: \"127.0.0.1:1\", metrics: \"127.0.0.1:8080\"}\n",
                "b listens at 127.0.0.1:8080, which a takes"
            ),
            ("a.yml", "service: a\ntraffic: {listen: \"127.0.0.1:1\"}\n", "service a is also in FOLDER/a.yaml"),
        ])
    func clashes(_ name: String, _ text: String, _ expected: String) throws {
        try withFolder(["default.yaml": complete.text, "a.yaml": "service: a\n", name: text]) {
            (folder: String) throws in
            let (policies, mistakes) = PolicyFile.loadFolder(folder)
            #expect(policies.count == 1)
            #expect(mistakes.map(\.message) == [expected.replacing("FOLDER", with: folder)])
        }
    }

    @Test("a service on another port and another address of the same port are no clash")
    func noClash() throws {
        try withFolder([
            "default.yaml": complete.text, "a.yaml": "service: a\n",
            "b.yaml": "service: b\ntraffic: {listen: \"127.0.0.1:8081\"}\n",
            "c.yaml": "service: c\ntraffic: {listen: \"127.0.0.2:8080\"}\n",
        ]) { (folder: String) throws in
            #expect(PolicyFile.loadFolder(folder).policies.count == 3)
            #expect(PolicyFile.loadFolder(folder).mistakes == [])
        }
    }

    @Test("defaults are checked by themselves, and belong to no service")
    func defaultsAlone() throws {
        try withFolder(["default.yaml": "service: shop\nwatch: {minimum_request: 5}\n"]) { (folder: String) throws in
            #expect(
                PolicyFile.check(defaults: folder + "/default.yaml").map(\.message) == [
                    "the defaults belong to no service", "unknown key 'minimum_request' in watch",
                ])
            #expect(PolicyFile.loadFolder(folder).mistakes.count == 2)
        }
    }

    @Test("a file that is not there is a mistake with the reason, and so is one that is not text")
    func unreadable() throws {
        try withFolder([:]) { (folder: String) throws in
            #expect(
                PolicyFile.loadFolder(folder + "/nothing").mistakes.map(\.message) == [
                    "the folder of policies cannot be read"
                ])
            let absent = #expect(throws: PolicyRejected.self) { try PolicyFile.load(folder + "/shop.yaml") }
            #expect(absent?.mistakes.map(\.message) == ["the file cannot be read: no such file or directory"])
            try Data([0x61, 0xFF]).write(to: URL(filePath: folder + "/shop.yaml"))
            let binary = #expect(throws: PolicyRejected.self) { try PolicyFile.load(folder + "/shop.yaml") }
            #expect(binary?.mistakes.map(\.message) == ["the file cannot be read: not UTF-8"])
        }
    }

    @Test("a secret is read from where the policy says, without the line break at its end")
    func secrets() throws {
        try withFolder(["a": "s3cret\n", "b": "two\nlines\r\n", "empty": "\n", "c": " spaced "]) {
            (folder: String) throws in
            #expect(try resolve(.file(folder + "/a")) == "s3cret")
            #expect(try resolve(.file(folder + "/b")) == "two\nlines")
            #expect(try resolve(.file(folder + "/c")) == " spaced ")
            #expect(try resolve(.environment("X")) { $0 == "X" ? "from env" : nil } == "from env")
            for secret in [
                Secret.file(folder + "/empty"), .file(folder + "/none"), .file(folder), .environment("PERCH_NOT_SET"),
            ] {
                let error = #expect(throws: SecretUnreadable.self) { try resolve(secret) }
                #expect(error?.description.contains("\(secret)") == true)
            }
        }
    }

    @Test("an error about a secret never holds its value")
    func secretErrors() throws {
        try withFolder(["large": String(repeating: "hunter2", count: 20_000)]) { (folder: String) throws in
            let error = #expect(throws: SecretUnreadable.self) { try resolve(.file(folder + "/large")) }
            #expect(error?.description.contains("hunter2") == false)
            #expect(error?.message.hasSuffix("larger than 64KiB") == true)
        }
    }
}

/// A temporary folder with files in it, removed at the end.
private func withFolder(_ files: [String: String], _ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "perch-policies-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in files { try Data(text.utf8).write(to: folder.appending(path: name)) }
    try body(folder.path)
}
