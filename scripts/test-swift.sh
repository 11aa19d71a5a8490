#!/bin/sh
# Runs test targets one after the other, each in a process of its own: they start servers and measure nothing while another
# one has both cores.
#
#   scripts/test-swift.sh            every target but the two of the whole system
#   scripts/test-swift.sh A B ...    these
set -eu
cd "$(dirname "$0")/.."
targets=${*:-$(ls Tests | grep 'Tests$' | grep -v -e '^CrashTests$' -e '^IntegrationTests$')}
failed=
for target in $targets; do
    echo "== $target"
    timeout 900 swift test --skip-build --disable-xctest --filter "^$target\\." || failed="$failed $target"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
