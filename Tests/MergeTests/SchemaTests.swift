// Goal: tables and rules that cannot be merged are refused before anything is.

import Merge
import Testing

@Suite struct SchemaTests {
    private let id = TableID(rawValue: 1)

    private func table(
        key: [Int] = [0], uniques: [UniqueIndex] = [UniqueIndex(id: UniqueID(rawValue: 1), columns: [0])],
        foreignKeys: [ForeignKey] = []
    ) -> TableSchema {
        TableSchema(
            id: id, name: "t",
            columns: [.init(name: "id"), .init(name: "n", addition: .integer(bits: 32)), .init(name: "a")], key: key,
            uniques: uniques, foreignKeys: foreignKeys)
    }

    private func key(_ columns: [Int], _ unique: UInt32 = 1) -> ForeignKey {
        ForeignKey(id: ForeignKeyID(rawValue: 5), columns: columns, references: UniqueID(rawValue: unique))
    }

    @Test func `tables that do not fit together are refused`() {
        let fk = ForeignKeyID(rawValue: 5)
        let wrong: [([TableSchema], SchemaError)] = [
            ([table(), table()], .tableTwice(name: "t")),
            ([table(key: [7])], .noSuchColumn(table: "t", position: 7)),
            (
                [table(key: [0, 1], uniques: [UniqueIndex(id: UniqueID(rawValue: 1), columns: [1, 0])])],
                .keyIndexOrder(table: "t")
            ),
            ([table(foreignKeys: [key([1], 9)])], .noSuchIndex(table: "t", UniqueID(rawValue: 9))),
            ([table(foreignKeys: [key([1, 2])])], .columnCount(table: "t", fk)),
            (
                [
                    table(
                        uniques: [UniqueIndex(id: UniqueID(rawValue: 1), columns: [2], entries: .computed)],
                        foreignKeys: [key([1])])
                ], .referencesComputed(table: "t", fk)
            ),
            ([table(key: [], foreignKeys: [key([1])])], .referencesKeyless(table: "t", fk)),
        ]
        for (tables, error) in wrong { #expect(throws: error) { try Schema(tables) } }
    }

    @Test func `rules that do not fit their column are refused`() throws {
        let wrong: [([TableID: [String: ColumnRule]], RuleError)] = [
            ([TableID(rawValue: 2): [:]], .noSuchTable(TableID(rawValue: 2))),
            ([id: ["x": .add]], .noSuchColumn(table: "t", column: "x")),
            ([id: ["a": .add]], .cannotAdd(table: "t", column: "a")),
            ([id: ["id": .follow]], .cannotFollow(table: "t", column: "id")),
        ]
        for (rules, error) in wrong { #expect(throws: error) { try Schema([table()], rules: rules) } }
        #expect(throws: RuleError.keyless(table: "t")) {
            try Schema([table(key: [], uniques: [])], rules: [id: ["n": .add]])
        }
        _ = try Schema([table()], rules: [id: ["n": .add, "a": .follow]])
    }
}
