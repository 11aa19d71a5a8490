#!/usr/bin/env python3
"""Recomputes what a rollback makes of the data, from the export of a recording alone.

    perch recording export shop-42 > recording.jsonl
    scripts/recompute-clone.py SNAPSHOT.json < recording.jsonl > after.json

SNAPSHOT.json has the rows of the dump: {"public.orders": {"key": ["id"], "rows": [{"id": "1", "state": null}]}}.
Both files have values as PostgreSQL's text. The rules are those of docs/merging.md, written a second time from that page
and docs/recording.md; nothing of Perch is used. Rows that a constraint or a foreign key of the database changes on top,
tables without a key and `mode: cascade` are not followed: the first change of such a kind ends the program.
"""

import json
import sys
from decimal import Decimal, InvalidOperation, getcontext
from itertools import groupby


class NotFollowed(Exception):
    pass


class Table:
    """Live's rows and those of the clone, by key. Live is what both arms wrote, the clone what is to be."""

    def __init__(self, name, key, rows, rules):
        if not key:
            raise NotFollowed(f"table {name} has no key")
        self.name, self.key, self.rules = name, key, rules
        self.live = {self.key_of(row): dict(row) for row in rows}
        self.clone = {key: dict(row) for key, row in self.live.items()}

    def key_of(self, row):
        return tuple(row[column] for column in self.key)

    def merged(self, old, new, own):
        """Stable made `new` of live's `old`; the clone has `own`."""
        row = {}
        for column, value in new.items():
            if value == old[column]:
                row[column] = own[column]
            elif own[column] == old[column] or column in self.key:
                row[column] = value
            elif self.rules.get(column) == "add":
                row[column] = added(own[column], old[column], value)
            else:
                row[column] = value
        return row

    def change(self, line, is_canary, keeps_canary_rows):
        operation = line["operation"]
        if operation == "insert":
            row = line["row"]
            key = self.key_of(row)
            self.live[key] = dict(row)
            if not is_canary:
                self.clone[key] = dict(row)
        else:
            before = self.key_of(line.get("old") or line["key"])
            old = self.live.pop(before)
            own = self.clone.get(before)
            if operation == "delete":
                if not is_canary:
                    self.clone.pop(before, None)
                return
            new = {**old, **line["row"]}
            key = self.key_of(new)
            self.live[key] = new
            if not is_canary:
                self.clone.pop(before, None)
                if own is not None:
                    self.clone[key] = self.merged(old, new, own)
                elif keeps_canary_rows:
                    self.clone[key] = dict(new)
        if key in self.clone:
            for column, rule in self.rules.items():
                if rule == "follow":
                    self.clone[key][column] = self.live[key][column]


def added(own, old, new):
    try:
        return format(Decimal(own) + Decimal(new) - Decimal(old), "f")
    except (InvalidOperation, TypeError):
        return new


def recompute(snapshot, lines):
    header = json.loads(next(lines))
    if header["format"] != "perch-recording-2":
        raise NotFollowed(f"format {header['format']}")
    merge = header["merge"]
    if merge["mode"] == "cascade":
        raise NotFollowed("mode cascade")
    tables = {
        name: Table(name, table["key"], table["rows"], merge["columns"].get(name, {}))
        for name, table in snapshot.items()
    }
    changes = (line for line in map(json.loads, lines) if line["operation"] not in ("relation", "schema"))
    for _, transaction in groupby(changes, key=lambda line: line["commit_lsn"]):
        for line in transaction:
            is_canary = line["origin"] in ("canary", "heal")
            if line["origin"] == "neither" and merge["unattributed"] == "canary":
                is_canary = True
            if merge["writes"] == "all":
                is_canary = False
            if line["operation"] == "truncate":
                for name in line["tables"]:
                    tables[name].live.clear()
                    if not is_canary:
                        tables[name].clone.clear()
                continue
            table = tables[f"{line['schema']}.{line['table']}"]
            table.change(line, is_canary, merge["canary_row"] == "keep")
    return {name: sorted(table.clone.values(), key=table.key_of) for name, table in tables.items()}


if __name__ == "__main__":
    getcontext().prec = 1000
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        snapshot = json.load(file)
    try:
        print(json.dumps(recompute(snapshot, sys.stdin)))
    except NotFollowed as error:
        sys.exit(f"recompute-clone: {error} is not followed")
