#!/bin/sh
# Runs test targets one after the other, each in a process of its own: they start servers and measure nothing while another
# one has both cores.
#
#   scripts/test-swift.sh            every target, those of the whole system last
#   scripts/test-swift.sh A B ...    these
#
# The random proofs of RewindTests keep both cores busy for minutes, so they too run by themselves.
set -eu
cd "$(dirname "$0")/.."
system='IntegrationTests CrashTests'
targets=${*:-$(ls Tests | grep 'Tests$' | grep -v -e '^CrashTests$' -e '^IntegrationTests$') $system}
proofs='(FaultRunTests|RealHistoryTests)'
failed=

# What to run as `swift test` selects it, under a name.
run() {
    name=$1
    shift
    echo "== $name"
    timeout 1200 swift test --skip-build --disable-xctest "$@" || failed="$failed $name"
}

for target in $targets; do
    run "$target" --filter "^$target\\." --skip "^RewindTests\\.$proofs"
    [ "$target" != RewindTests ] || run "the proofs of $target" --filter "^RewindTests\\.$proofs"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
