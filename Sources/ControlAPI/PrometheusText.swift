// The text exposition format 0.0.4 of Prometheus. Pure.

/// `# HELP`, `# TYPE` and one line a sample, by name and label set.
func exposition(_ families: [String: PrometheusRegistry.Family], help: [String: String]) -> String {
    var text = ""
    for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
        if let line = help[name] { text += "# HELP \(name) \(escaped(line, quotes: false))\n" }
        text += "# TYPE \(name) \(typeName(family.kind))\n"
        for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
            text += samples(name, labels.text, family.kind, series.reading)
        }
    }
    let dropped = families.filter { $0.value.dropped > 0 }.sorted { $0.key < $1.key }
    if !dropped.isEmpty {
        let name = "perch_metrics_dropped_total"
        text += "# HELP \(name) Times a label set of a metric found no room and was not counted.\n"
        text += "# TYPE \(name) counter\n"
        for (metric, family) in dropped { text += "\(name){metric=\"\(metric)\"} \(family.dropped)\n" }
    }
    return text
}

private func typeName(_ kind: Series.Kind) -> String {
    switch kind {
    case .counter: "counter"
    case .gauge: "gauge"
    case .histogram: "histogram"
    }
}

private func samples(_ name: String, _ labels: String, _ kind: Series.Kind, _ reading: Series.Reading) -> String {
    let set = labels.isEmpty ? "" : "{\(labels)}"
    guard case .histogram(let edges) = kind else { return "\(name)\(set) \(number(reading.value))\n" }
    let start = labels.isEmpty ? "" : labels + ","
    var text = ""
    var sum: UInt64 = 0
    for (edge, count) in zip(edges, reading.buckets) {
        sum += count
        text += "\(name)_bucket{\(start)le=\"\(number(edge))\"} \(sum)\n"
    }
    text += "\(name)_bucket{\(start)le=\"+Inf\"} \(reading.count)\n"
    text += "\(name)_sum\(set) \(number(reading.value))\n"
    return text + "\(name)_count\(set) \(reading.count)\n"
}

/// Whole numbers without `.0`; Prometheus's words for what is not finite.
func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
    return String(value)
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*` with the ending that the kind of metric has.
func metricName(_ label: String, ending: String = "") -> String {
    let name = allowed(label) { $0 == ":" }
    return name.hasSuffix(ending) ? name : name + ending
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`.
func labelName(_ label: String) -> String { allowed(label) { _ in false } }

private func allowed(_ label: String, _ isAlsoAllowed: (Character) -> Bool) -> String {
    let name = String(
        label.map { letter in
            (letter.isASCII && (letter.isLetter || letter.isNumber)) || isAlsoAllowed(letter) ? letter : "_"
        })
    guard let first = name.first else { return "_" }
    return first.isNumber ? "_" + name : name
}

/// Backslash and line feed are escaped; in a label value the double quote too.
func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\"" where quotes: result += "\\\""
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
