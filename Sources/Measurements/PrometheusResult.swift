// What Prometheus answers, as JSON has it (HTTP API: format overview, expression query result formats).

struct PrometheusBody: Decodable {
    var status: String
    var data: PrometheusResult?
    var error: String?
    var warnings: [String]?
}

enum PrometheusResult: Decodable {
    case scalar(Sample)
    case vector([InstantSeries])
    case matrix([RangeSeries])
    case text

    /// `[1435781430.781, "1"]`: seconds since 1970 and a number as text, which may be NaN, +Inf or -Inf.
    struct Sample: Decodable {
        /// Milliseconds since 1970.
        var at: Int64
        var value: String

        init(from decoder: any Decoder) throws {
            var pair = try decoder.unkeyedContainer()
            let seconds = try pair.decode(Double.self)
            guard abs(seconds) < 1e12 else {
                throw DecodingError.dataCorruptedError(in: pair, debugDescription: "no time")
            }
            at = Int64((seconds * 1_000).rounded())
            value = try pair.decode(String.self)
        }
    }

    struct InstantSeries: Decodable {
        var metric: [String: String]
        /// nil: the series is a native histogram.
        var value: Sample?
    }

    struct RangeSeries: Decodable {
        var metric: [String: String]
        /// nil: the series is a native histogram.
        var values: [Sample]?
    }

    private enum Key: String, CodingKey { case resultType, result }

    init(from decoder: any Decoder) throws {
        let data = try decoder.container(keyedBy: Key.self)
        switch try data.decode(String.self, forKey: .resultType) {
        case "scalar": self = .scalar(try data.decode(Sample.self, forKey: .result))
        case "vector": self = .vector(try data.decode([InstantSeries].self, forKey: .result))
        case "matrix": self = .matrix(try data.decode([RangeSeries].self, forKey: .result))
        case "string": self = .text
        case let other:
            throw DecodingError.dataCorruptedError(
                forKey: .resultType, in: data, debugDescription: "unknown type \(other)")
        }
    }
}
