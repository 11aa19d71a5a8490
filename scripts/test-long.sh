#!/bin/sh
# The random proofs of the data rewind, played for long: the merge on a model, real SQL on a real PostgreSQL against stable
# alone, rewinds under load that something strikes. About half an hour a piece on two cores, and a line of figures each.
#
#   scripts/test-long.sh                                   from seeds that nobody has seen
#   PERCH_LONG=5 scripts/test-long.sh                      how many times what `make test` plays; 60 else
#   PERCH_FIRST_SEED=1 scripts/test-long.sh                from there on
#   PERCH_TEST_PG_BIN=/opt/pg18/bin scripts/test-long.sh   on that PostgreSQL; the newest in /usr/lib/postgresql else
#   scripts/test-long.sh RewindTests.FaultRunTests         one of them
#   PERCH_TEST_SEED=42 scripts/test-long.sh RewindTests.FaultRunTests      a failure again
set -eu
cd "$(dirname "$0")/.."
: "${PERCH_LONG:=60}" "${PERCH_FIRST_SEED:=$(date +%s)}"
export PERCH_LONG PERCH_FIRST_SEED
# The server's own pg_dump and pg_restore come with it.
[ -z "${PERCH_TEST_PG_BIN:-}" ] || export PATH="$PERCH_TEST_PG_BIN:$PATH"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=
echo "PERCH_LONG=$PERCH_LONG PERCH_FIRST_SEED=$PERCH_FIRST_SEED"
for tests in ${*:-MergeTests.HistoryTests RewindTests.RealHistoryTests RewindTests.FaultRunTests}; do
    began=$(date +%s)
    swift test --skip-build --disable-xctest --filter "^$tests/" >"$log" 2>&1 || failed="$failed $tests"
    grep '^figures: ' "$log" || { cat "$log"; failed="$failed $tests"; }
    grep -A 80 'recorded an issue' "$log" || true
    echo "$tests: $(($(date +%s) - began)) seconds"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
