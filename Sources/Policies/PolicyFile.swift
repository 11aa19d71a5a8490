// Policies as files: one YAML file a service, merged over `default.yaml` beside it.

import Foundation
package import Releases

package enum PolicyFile {
    /// Holds an organisation's defaults, in the folder of the services' files.
    package static let defaultsName = "default.yaml"

    private static let largestFile = 1 << 20

    /// Reads a service's policy.
    ///
    /// - Parameter defaults: The file with the defaults; nil: `default.yaml` in the same folder, if there is one.
    package static func load(_ path: String, defaults: String? = nil) throws(PolicyRejected) -> Policy {
        try load(path, defaults: try defaultsFile(defaults, for: path)).policy
    }

    /// Reads a service's policy from text.
    ///
    /// - Parameter file: What mistakes are reported under. When it ends in `.yaml` or `.yml`, the service must be
    ///   called as the file is.
    package static func parse(
        text: String, file: String, defaults: (text: String, file: String)? = nil
    ) throws(PolicyRejected) -> Policy {
        try read(text: text, file: file, defaults: defaults).policy
    }

    /// Everything that is wrong with a file, a service's or the defaults, as its name says.
    package static func check(_ path: String) -> [PolicyMistake] {
        guard path.split(separator: "/").last != Substring(defaultsName) else { return check(defaults: path) }
        do {
            _ = try load(path)
            return []
        } catch {
            return error.mistakes
        }
    }

    /// Everything that is wrong with a file of defaults by itself; what only services can say may be missing.
    package static func check(defaults path: String) -> [PolicyMistake] {
        do {
            let root = try Located.read(try fileText(path), file: path).withoutNulls()
            var reader = PolicyReader()
            reader.isPartial = true
            _ = reader.policy(root, name: nil)
            return ordered(reader.mistakes, first: path)
        } catch {
            return error.mistakes
        }
    }

    /// Reads every policy of a folder: `*.yaml` and `*.yml` except the defaults and hidden files.
    ///
    /// - Returns: the policies that can be used, and every mistake of those that cannot.
    package static func loadFolder(_ path: String) -> (policies: [ServiceName: Policy], mistakes: [PolicyMistake]) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            let place = Place(file: path, line: 1, column: 1)
            return ([:], [PolicyMistake(place, "", "the folder of policies cannot be read", hint: "is it there?")])
        }
        let folder = path.hasSuffix("/") ? path : path + "/"
        var mistakes = names.contains(defaultsName) ? check(defaults: folder + defaultsName) : []
        var loaded: [Loaded] = []
        for name in names where isPolicy(name) {
            do {
                let file = folder + name
                let next = try load(file, defaults: try defaultsFile(nil, for: file))
                if let clash = clash(of: next, with: loaded) {
                    mistakes.append(clash)
                } else {
                    loaded.append(next)
                }
            } catch {
                // A mistake in the defaults is one mistake, however many services inherit it.
                mistakes += error.mistakes.filter { !mistakes.contains($0) }
            }
        }
        let policies = Dictionary(uniqueKeysWithValues: loaded.map { ($0.policy.service, $0.policy) })
        return (policies, mistakes)
    }

    private static func isPolicy(_ name: String) -> Bool {
        (name.hasSuffix(".yaml") || name.hasSuffix(".yml")) && name != defaultsName && !name.hasPrefix(".")
    }

    // MARK: - One file

    private struct Loaded {
        var policy: Policy
        /// Where its file, or the defaults, say `traffic.listen`, `traffic.metrics` and `service`.
        var listenPlace: Place
        var metricsPlace: Place
        var servicePlace: Place

        /// The addresses that its router listens at.
        var addresses: [(key: String, address: String, place: Place)] {
            let listen = (key: "traffic.listen", address: policy.traffic.listen, place: listenPlace)
            guard let metrics = policy.traffic.metrics else { return [listen] }
            return [listen, (key: "traffic.metrics", address: metrics, place: metricsPlace)]
        }
    }

    private static func load(
        _ path: String, defaults: (text: String, file: String)?
    ) throws(PolicyRejected) -> Loaded {
        try read(text: try fileText(path), file: path, defaults: defaults)
    }

    private static func read(
        text: String, file: String, defaults: (text: String, file: String)?
    ) throws(PolicyRejected) -> Loaded {
        var root: Located
        do {
            root = try Located.read(text, file: file)
        } catch {
            guard let defaults else { throw error }
            // Both files are broken: say so at once.
            do { _ = try Located.read(defaults.text, file: defaults.file) } catch let second {
                throw PolicyRejected(mistakes: error.mistakes + second.mistakes)
            }
            throw error
        }
        if let defaults {
            root = root.merged(over: try Located.read(defaults.text, file: defaults.file))
        }
        root = root.withoutNulls()
        var reader = PolicyReader()
        let policy = reader.policy(root, name: serviceName(ofFile: file))
        guard reader.mistakes.isEmpty else {
            throw PolicyRejected(mistakes: ordered(reader.mistakes, first: file))
        }
        let top = reader.topLevel(root)
        return Loaded(
            policy: policy, listenPlace: reader.section(top, "traffic").place(of: "listen"),
            metricsPlace: reader.section(top, "traffic").place(of: "metrics"),
            servicePlace: top.place(of: "service"))
    }

    private static func serviceName(ofFile file: String) -> String? {
        let name = file.split(separator: "/").last ?? ""
        for ending in [".yaml", ".yml"] where name.hasSuffix(ending) { return String(name.dropLast(ending.count)) }
        return nil
    }

    private static func defaultsFile(
        _ defaults: String?, for path: String
    ) throws(PolicyRejected) -> (text: String, file: String)? {
        if let defaults { return (try fileText(defaults), defaults) }
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
        let beside = folder + defaultsName
        guard beside != path, FileManager.default.fileExists(atPath: String(beside)) else { return nil }
        return (try fileText(String(beside)), String(beside))
    }

    private static func fileText(_ path: String) throws(PolicyRejected) -> String {
        do {
            return try readText(path: path, atMost: largestFile)
        } catch {
            let place = Place(file: path, line: 1, column: 1)
            throw PolicyRejected(mistakes: [PolicyMistake(place, "", "the file cannot be read: \(error.reason)")])
        }
    }

    private static func ordered(_ mistakes: [PolicyMistake], first: String) -> [PolicyMistake] {
        mistakes.sorted { left, right in
            if left.file != right.file { return left.file == first }
            return (left.line, left.column, left.path) < (right.line, right.column, right.path)
        }
    }

    /// Two services cannot have one name or listen at one address.
    private static func clash(of next: Loaded, with loaded: [Loaded]) -> PolicyMistake? {
        for other in loaded {
            if other.policy.service == next.policy.service {
                return PolicyMistake(
                    next.servicePlace, "service",
                    "service \(next.policy.service) is also in \(other.servicePlace.file)",
                    hint: "keep one of the files")
            }
            for mine in next.addresses {
                guard let address = try? ListenAddress(mine.address),
                    other.addresses.contains(where: {
                        (try? ListenAddress($0.address))?.collides(with: address) == true
                    })
                else { continue }
                return PolicyMistake(
                    mine.place, mine.key,
                    "\(next.policy.service) listens at \(mine.address), which \(other.policy.service) takes",
                    hint: "give each service its own port")
            }
        }
        return nil
    }
}
