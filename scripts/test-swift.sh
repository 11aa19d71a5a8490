#!/bin/sh
# Runs test targets one after the other, each in a process of its own: they start servers and measure nothing while another
# one has both cores.
#
#   scripts/test-swift.sh            every target, those of the whole system last
#   scripts/test-swift.sh A B ...    these
set -eu
cd "$(dirname "$0")/.."
system='IntegrationTests CrashTests'
targets=${*:-$(ls Tests | grep 'Tests$' | grep -v -e '^CrashTests$' -e '^IntegrationTests$') $system}
failed=
for target in $targets; do
    echo "== $target"
    timeout 1200 swift test --skip-build --disable-xctest --filter "^$target\\." || failed="$failed $target"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
