// What a database is besides its contents. A dump of the contents does not carry it, so a restored database is created
// with the same.

import Ports
import Postgres

struct DatabaseSettings: Hashable, Sendable, Codable {
    var owner: String
    var encoding: String
    /// `c`, `i` or, from 17 on, `b`.
    var localeProvider: String
    var collate: String
    var ctype: String
    /// ICU's or the built-in provider's locale.
    var locale: String?
    var icuRules: String?
    var collationVersion: String?
    var tablespace: String
    var connectionLimit: Int
    /// `aclitem[]` as text; nil: the default rights.
    var acl: String?
    var comment: String?
    /// `ALTER DATABASE ... [IN ROLE ...] SET`, one setting each.
    var settings: [Setting]

    struct Setting: Hashable, Sendable, Codable {
        /// Empty: for every role.
        var role: String
        var name: String
        var value: String
    }

    /// Of the database this session is connected to, or of another one by name.
    static func read(_ database: String, on connection: Connection) async throws(PostgresError) -> DatabaseSettings {
        let version = await connection.serverVersion
        let locale = version >= 170_000 ? "datlocale" : "daticulocale"
        let rules = version >= 160_000 ? "daticurules" : "null"
        let result = try await connection.query(
            """
            select pg_get_userbyid(datdba) as owner, pg_encoding_to_char(encoding) as encoding, datlocprovider, datcollate,
              datctype, \(locale) as locale, \(rules) as rules, datcollversion, spcname, datconnlimit, datacl::text as acl,
              shobj_description(pg_database.oid, 'pg_database') as comment
            from pg_database join pg_tablespace on pg_tablespace.oid = dattablespace where datname = $1
            """, [database])
        guard !result.rows.isEmpty else { throw .usage("database \(database) does not exist") }
        let set = try await connection.query(
            """
            select coalesce(rolname, '') as role, split_part(line, '=', 1) as name,
              substr(line, strpos(line, '=') + 1) as value
            from pg_db_role_setting
            join pg_database on pg_database.oid = setdatabase and datname = $1
            left join pg_roles on pg_roles.oid = setrole
            cross join unnest(setconfig) as line order by 1, 2
            """, [database])
        return DatabaseSettings(
            owner: result[0, "owner"] ?? "", encoding: result[0, "encoding"] ?? "UTF8",
            localeProvider: result[0, "datlocprovider"] ?? "c", collate: result[0, "datcollate"] ?? "C",
            ctype: result[0, "datctype"] ?? "C", locale: result[0, "locale"], icuRules: result[0, "rules"],
            collationVersion: result[0, "datcollversion"], tablespace: result[0, "spcname"] ?? "pg_default",
            connectionLimit: result[0, "datconnlimit"].flatMap { Int($0) } ?? -1, acl: result[0, "acl"],
            comment: result[0, "comment"],
            settings: set.rows.map { Setting(role: $0[0] ?? "", name: $0[1] ?? "", value: $0[2] ?? "") })
    }

    /// `CREATE DATABASE` of an empty one that is alike.
    func creation(of database: String) -> String {
        var options = [
            "owner = \(quoteIdentifier(owner))", "template = template0", "encoding = \(quoteLiteral(encoding))",
            "lc_collate = \(quoteLiteral(collate))", "lc_ctype = \(quoteLiteral(ctype))",
        ]
        // Naming it asks for a right on it that leaving it out does not.
        if tablespace != "pg_default" { options.append("tablespace = \(quoteIdentifier(tablespace))") }
        switch localeProvider {
        case "i":
            options.append("locale_provider = icu")
            if let locale { options.append("icu_locale = \(quoteLiteral(locale))") }
            if let icuRules { options.append("icu_rules = \(quoteLiteral(icuRules))") }
        case "b":
            options.append("locale_provider = builtin")
            if let locale { options.append("builtin_locale = \(quoteLiteral(locale))") }
        default: options.append("locale_provider = libc")
        }
        return "create database \(quoteIdentifier(database)) with \(options.joined(separator: " "))"
    }

    /// Everything after the creation that a service would miss: settings, comment, connection limit.
    ///
    /// Rights are copied as they stand in the catalog, because GRANT could only be said by each grantor.
    func completion(of database: String) -> [String] {
        let name = quoteIdentifier(database)
        var statements = settings.map { setting -> String in
            let place =
                setting.role.isEmpty
                ? "alter database \(name)" : "alter role \(quoteIdentifier(setting.role)) in database \(name)"
            return "\(place) set \(quoteIdentifier(setting.name)) to \(Self.value(setting))"
        }
        if let comment { statements.append("comment on database \(name) is \(quoteLiteral(comment))") }
        if connectionLimit != -1 { statements.append("alter database \(name) connection limit \(connectionLimit)") }
        return statements + grants(on: name)
    }

    /// Settings that are lists are stored as they were written, quotes and all; the others are one literal.
    private static func value(_ setting: Setting) -> String {
        let lists = [
            "search_path", "temp_tablespaces", "session_preload_libraries", "shared_preload_libraries",
            "local_preload_libraries", "unix_socket_directories", "datestyle",
        ]
        if lists.contains(setting.name.lowercased()) { return setting.value.isEmpty ? "''" : setting.value }
        return quoteLiteral(setting.value)
    }

    /// `{=Tc/shop,shop=CTc/shop}` as REVOKE and GRANT.
    private func grants(on name: String) -> [String] {
        guard let acl else { return [] }
        var statements = ["revoke all on database \(name) from public"]
        for item in aclItems(acl) {
            guard let equals = item.lastIndex(of: "=") else { continue }
            let grantee = item[..<equals]
            let role = grantee.isEmpty ? "public" : quoteIdentifier(unquoted(String(grantee)))
            let rights = item[item.index(after: equals)...].prefix { $0 != "/" }
            for (letter, right) in [("C", "create"), ("T", "temporary"), ("c", "connect")]
            where rights.contains(letter) {
                let isGrantable = rights.contains("\(letter)*")
                statements.append(
                    "grant \(right) on database \(name) to \(role)\(isGrantable ? " with grant option" : "")")
            }
        }
        return statements
    }

    /// Elements of an array's text; those in quotes have theirs taken away.
    private func aclItems(_ text: String) -> [String] {
        var items: [String] = []
        var current = ""
        var isQuoted = false
        var isEscaped = false
        for character in text.dropFirst().dropLast() {
            if isEscaped {
                current.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
            } else if character == ",", !isQuoted {
                items.append(current)
                current = ""
            } else {
                current.append(character)
            }
        }
        if !current.isEmpty { items.append(current) }
        return items
    }

    /// A role's name as an ACL quotes it.
    private func unquoted(_ name: String) -> String {
        guard name.hasPrefix("\""), name.hasSuffix("\""), name.count >= 2 else { return name }
        return String(name.dropFirst().dropLast()).replacing("\"\"", with: "\"")
    }
}
