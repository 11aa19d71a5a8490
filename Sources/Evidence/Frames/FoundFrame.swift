// Which places of the repository the failures name, and how often. Pure.

/// A frame that lies in the repository.
struct FoundFrame: Hashable, Sendable {
    var format: TraceFormat
    var file: String
    var line: Int
    var function: String?
    /// Frames of the repository between it and the call that failed: 0 is where it broke.
    var depth: Int
    /// Kept failing requests whose response names it.
    var requests: Int
    /// Traces in the instances' output that name it.
    var traces: Int
    /// Other files its path could mean.
    var alternatives: [String]

    var isAmbiguous: Bool { !alternatives.isEmpty }
    var place: String { "\(file):\(line)" }
}

/// The traces of one failing response, or of one instance's output.
struct TraceSource: Hashable, Sendable {
    var isResponse: Bool
    var traces: [StackTrace]
}

enum FrameCount {
    private struct Place: Hashable {
        var file: String
        var line: Int
    }

    /// Frames of the repository, those where it broke most often first.
    ///
    /// A response counts once for each place, however often it names it; output counts by its traces.
    static func found(in sources: [TraceSource], mapping: FileMapping) -> [FoundFrame] {
        var found: [Place: FoundFrame] = [:]
        for source in sources {
            var seenInResponse: Set<Place> = []
            for trace in source.traces {
                var seenInTrace: Set<Place> = []
                var depth = 0
                for frame in trace.frames {
                    let files = mapping.files(for: frame.path)
                    for file in files {
                        let place = Place(file: file, line: frame.line)
                        // Recursion names a place more than once.
                        guard seenInTrace.insert(place).inserted else { continue }
                        var entry =
                            found[place]
                            ?? FoundFrame(
                                format: frame.format, file: file, line: frame.line, function: frame.function,
                                depth: depth, requests: 0, traces: 0, alternatives: files.filter { $0 != file })
                        entry.depth = min(entry.depth, depth)
                        entry.function = entry.function ?? frame.function
                        if !source.isResponse {
                            entry.traces += 1
                        } else if seenInResponse.insert(place).inserted {
                            entry.requests += 1
                        }
                        found[place] = entry
                    }
                    if !files.isEmpty { depth += 1 }
                }
            }
        }
        return found.values.sorted { left, right in
            (left.isAmbiguous ? 1 : 0, left.depth, -left.requests, -left.traces, left.place)
                < (right.isAmbiguous ? 1 : 0, right.depth, -right.requests, -right.traces, right.place)
        }
    }
}
