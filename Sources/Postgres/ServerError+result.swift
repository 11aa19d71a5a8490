// The fields of an error or a notice, out of libpq's results.

import CLibPQ

/// Codes of the fields (PostgreSQL: 55.8; `PG_DIAG_...` in postgres_ext.h, whose character macros Swift cannot import).
private enum Field: UnicodeScalar {
    case severityNotLocalized = "V"
    case sqlState = "C"
    case message = "M"
    case detail = "D"
    case hint = "H"
    case position = "P"
    case context = "W"
    case schema = "s"
    case table = "t"
    case column = "c"
    case constraint = "n"
}

extension ServerError {
    /// Without a SQLSTATE it was libpq itself that complained.
    init(of result: OpaquePointer) {
        func field(_ field: Field) -> String? {
            PQresultErrorField(result, Int32(field.rawValue.value)).map { String(cString: $0) }
        }
        self.init(
            sqlState: field(.sqlState) ?? "",
            severity: field(.severityNotLocalized) ?? "ERROR",
            message: field(.message) ?? oneLine(String(cString: PQresultErrorMessage(result))),
            detail: field(.detail), hint: field(.hint), position: field(.position).flatMap { Int($0) },
            context: field(.context), schema: field(.schema), table: field(.table), column: field(.column),
            constraint: field(.constraint))
    }
}

/// libpq's messages end with a newline and indent their further lines.
func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
}
