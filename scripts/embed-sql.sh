#!/bin/sh
# Turns sql/ into Sources/Controller/Generated/SQL.swift: every query a string, the migrations a sorted list.
#
#   scripts/embed-sql.sh           write the file
#   scripts/embed-sql.sh --check   fail when the file is not what sql/ says
set -eu
export LC_ALL=C # one order of files everywhere

cd "$(dirname "$0")/.."
target=Sources/Controller/Generated/SQL.swift

# The text of a SQL file as the inside of a multi-line raw string, indented by $2.
embedded() {
    awk -v indent="$2" '
        /"""#|\\#/ { print FILENAME ":" FNR ": would end the Swift string" > "/dev/stderr"; exit 1 }
        { sub(/[ \t\r]+$/, ""); print ($0 == "" ? "" : indent $0) }
    ' "$1"
}

# append_fact -> appendFact
camel_case() {
    printf '%s\n' "$1" | awk -F _ '{ for (i = 2; i <= NF; i++) $i = toupper(substr($i, 1, 1)) substr($i, 2) } 1' OFS=
}

generated() {
    echo '// Generated from sql/ by scripts/embed-sql.sh; do not edit.'
    echo
    echo 'enum SQL {'
    for file in sql/queries/*.sql; do
        name=$(basename "$file" .sql)
        case $name in
        *[!a-z0-9_]* | [!a-z]*)
            echo "$file: a query's name is lower case words joined by _" >&2
            return 1
            ;;
        esac
        printf '    static let %s = #"""\n' "$(camel_case "$name")"
        embedded "$file" '        ' || return 1
        printf '        """#\n\n'
    done
    list=
    last=0
    for file in sql/migrations/*.sql; do
        name=$(basename "$file" .sql)
        case $name in
        [0-9][0-9][0-9][0-9]_[a-z]*) ;;
        *)
            echo "$file: a migration is called NNNN_name.sql" >&2
            return 1
            ;;
        esac
        number=$(echo "${name%%_*}" | sed 's/^0*//')
        if [ "${number:-0}" -ne $((last + 1)) ]; then
            echo "$file: follows migration $last, so its number must be $((last + 1))" >&2
            return 1
        fi
        last=$number
        list="$list        (number: $number, name: \"$name\", text: migration$number),
"
        printf '    private static let migration%s = #"""\n' "$number"
        embedded "$file" '        ' || return 1
        printf '        """#\n\n'
    done
    echo '    /// In the order in which they are applied; a number is never reused.'
    echo '    static let migrations: [(number: Int, name: String, text: String)] = ['
    # swift-format wants the last comma in a list of several lines and refuses it after a single element.
    if [ "$last" -eq 1 ]; then list=$(printf '%s' "$list" | sed '$s/,$//'); fi
    printf '%s\n' "${list%
}"
    echo '    ]'
    echo '}'
}

fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
generated >"$fresh"

case ${1:-} in
--check)
    if ! diff -u "$target" "$fresh" >&2; then
        echo "$target is stale" >&2
        echo "hint: run scripts/embed-sql.sh and commit the result" >&2
        exit 1
    fi
    ;;
'')
    mkdir -p "$(dirname "$target")"
    if ! cmp -s "$fresh" "$target"; then
        cat "$fresh" >"$target"
        echo "wrote $target"
    fi
    ;;
*)
    echo "usage: scripts/embed-sql.sh [--check]" >&2
    exit 64
    ;;
esac
