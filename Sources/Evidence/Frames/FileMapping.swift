// From the path in a trace to files of the repository. Pure.
//
// A path with the commit's id in it lies in the checkout, and what follows is the file. Other paths are matched from their
// end, because nobody knows where the service thinks it lives; libraries are told apart by the folders they live in.

struct FileMapping: Sendable {
    private let commit: String
    private let files: Set<String>
    /// Last part of the path -> files of that name.
    private let byName: [Substring: [String]]

    init(files: [String], commit: String) {
        self.commit = commit
        self.files = Set(files)
        byName = Dictionary(grouping: files) { Self.name(of: $0[...]) }
    }

    /// The files a path can mean: one, or several when it is ambiguous; none when it is not of the repository.
    func files(for path: String) -> [String] {
        let path = path.replacing("\\", with: "/")
        if let range = path.ranges(of: "/\(commit)/").last {
            let rest = String(path[range.upperBound...])
            return files.contains(rest) ? [rest] : []
        }
        let relative = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        if files.contains(relative) { return [relative] }

        let candidates = byName[Self.name(of: relative[...]), default: []]
        // The longest end that is a whole file of the repository.
        let whole = candidates.filter { relative.hasSuffix("/\($0)") }.sorted { $0.utf8.count > $1.utf8.count }
        if let best = whole.first { return isOfLibrary(relative, before: best) ? [] : [best] }
        // A path relative to a folder below the repository's root.
        let below = candidates.filter { $0.hasSuffix("/\(relative)") }
        return path.hasPrefix("/") ? [] : below.sorted()
    }

    /// Whether the part of the path before the file belongs to an installed library or the language itself.
    private func isOfLibrary(_ path: String, before file: String) -> Bool {
        let prefix = path.dropLast(file.utf8.count)
        return Self.libraryFolders.contains { prefix.contains($0) }
    }

    private static let libraryFolders = [
        "/site-packages/", "/dist-packages/", "/node_modules/", "/gems/", "/vendor/bundle/", "/pkg/mod/", "/usr/lib/",
        "/usr/local/lib/", "/usr/local/go/src/", "/lib/ruby/", "/lib/python", "/.venv/", "/.build/checkouts/",
    ]

    private static func name(of path: Substring) -> Substring {
        path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path
    }
}
