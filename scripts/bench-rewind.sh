#!/bin/sh
# How fast a recording is applied to a restored database, beside PostgreSQL's own subscription on the same transactions, and
# what recording costs stable: tables on standard output, exit code 1 when a goal is missed. On a PostgreSQL of its own, about
# ten minutes; wants a machine that does nothing else.
#
#   scripts/bench-rewind.sh                                       all of it
#   scripts/bench-rewind.sh pgbench --transactions 20000 --runs 1 some of it
set -eu
cd "$(dirname "$0")/.."
swift build -c release --product bench-rewind >&2
exec .build/release/bench-rewind "$@"
