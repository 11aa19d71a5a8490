// Values on their way into a statement: a column of many rows travels as one array, so a statement writes any number of
// rows. Pure: no clock, no I/O.
//
//     {"17","a \"b\"",NULL}        every value is quoted, NULL is not

import Merge
import Ports

/// Values as the text of a PostgreSQL array.
struct ArrayText: Hashable, Sendable {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    init() {}

    mutating func append(_ value: Value, unchanged: String = "NULL") {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        guard case .text(let text) = value else {
            bytes += Array((value == .null ? "NULL" : unchanged).utf8)
            return
        }
        bytes.append(UInt8(ascii: "\""))
        if text.contains(where: Self.isSpecial) {
            for byte in text {
                if Self.isSpecial(byte) { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
        } else {
            bytes.append(contentsOf: text)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func isSpecial(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") }

    /// - Throws: when a value is not UTF-8.
    func text() throws(Failure) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(
                "a recorded value is not UTF-8",
                hint: "databases of encoding SQL_ASCII cannot be replayed; use rollback.mode: keep")
        }
        return text + "}"
    }
}

extension [Value] {
    /// The values as one text, to be kept in Perch's own tables; one that was not sent is `U`.
    func arrayText() throws(Failure) -> String {
        var array = ArrayText()
        for value in self { array.append(value, unchanged: "U") }
        return try array.text()
    }

    /// Reads what ``arrayText()`` wrote.
    init(arrayText text: String) {
        self = []
        var bytes = Array<UInt8>(text.utf8).dropFirst()[...]
        while let first = bytes.popFirst(), first != UInt8(ascii: "}") {
            switch first {
            case UInt8(ascii: "N"):
                bytes = bytes.dropFirst(3)
                append(.null)
            case UInt8(ascii: "U"): append(.unchanged)
            case UInt8(ascii: "\""):
                var value: [UInt8] = []
                while let byte = bytes.popFirst(), byte != UInt8(ascii: "\"") {
                    if byte == UInt8(ascii: "\\"), let escaped = bytes.popFirst() {
                        value.append(escaped)
                    } else {
                        value.append(byte)
                    }
                }
                append(.text(value))
            default: break
            }
        }
    }
}

/// Rows of values, of columns with given types, as a FROM item named `v`.
struct ValueList: Sendable {
    struct Column: Hashable, Sendable {
        var type: String
        var travelsInArrays: Bool
    }

    let columns: [Column]
    /// The number of the first parameter.
    let first: Int
    private var arrays: [ArrayText]
    private(set) var count = 0

    init(_ columns: [Column], first: Int = 1) {
        self.columns = columns
        self.first = first
        arrays = Array(repeating: ArrayText(), count: columns.count)
    }

    mutating func append(_ values: [Value]) {
        for index in arrays.indices { arrays[index].append(values[index]) }
        count += 1
    }

    /// The first columns' values, and some of a row's for the others.
    mutating func append(_ first: [Value], _ row: Row, _ columns: [Int]) {
        for index in first.indices { arrays[index].append(first[index]) }
        for index in columns.indices { arrays[first.count + index].append(row[columns[index]]) }
        count += 1
    }

    /// `unnest($1::int[], $2::text[]) WITH ORDINALITY AS v(c0, c1, n)`; `n` counts from 1.
    var from: String {
        let parameters = columns.enumerated().map { "$\(first + $0)::\($1.travelsInArrays ? $1.type : "text")[]" }
        let names = columns.indices.map { "c\($0)" } + ["n"]
        return "unnest(\(parameters.joined(separator: ", "))) WITH ORDINALITY AS v(\(names.joined(separator: ", ")))"
    }

    /// A column's value, of the column's type.
    func value(_ column: Int) -> String {
        columns[column].travelsInArrays ? "v.c\(column)" : "v.c\(column)::\(columns[column].type)"
    }

    func parameters() throws(Failure) -> [String?] {
        var texts: [String?] = []
        for array in arrays { texts.append(try array.text()) }
        return texts
    }
}

extension CloneTable {
    func list(_ positions: [Int], first: Int = 1) -> ValueList {
        ValueList(
            positions.map { .init(type: columns[$0].type, travelsInArrays: columns[$0].travelsInArrays) }, first: first)
    }

    /// `t."id" OPERATOR(pg_catalog.=) v.c0 AND ...` for a list that begins with the key's values.
    func matchesKey(_ list: ValueList) -> String {
        key.indices.map { "t.\(quoted(key[$0])) \(keyOperators[$0]) \(list.value($0))" }.joined(separator: " AND ")
    }

    /// For a table without a key, and a list that begins with all columns as text: the same text in every column, which
    /// works for types without equality too. format() shows a value through its type's output function, as the stream
    /// does; num_nulls() tells a NULL from a composite of NULLs.
    func matchesWhole() -> String {
        let terms = columns.indices.map {
            "format('%s', t.\(quoted($0))) = coalesce(v.c\($0), '') AND num_nulls(t.\(quoted($0))) = num_nulls(v.c\($0))"
        }
        return terms.isEmpty ? "true" : terms.joined(separator: " AND ")
    }

    /// All columns as text, and more behind them.
    func texts(_ more: [ValueList.Column] = []) -> ValueList {
        ValueList(columns.map { _ in .init(type: "text", travelsInArrays: true) } + more)
    }

    var all: [Int] { Array(columns.indices) }

    /// `t."id", t."name"`
    func listed(_ alias: String) -> String {
        columns.indices.map { "\(alias).\(quoted($0))" }.joined(separator: ", ")
    }
}
