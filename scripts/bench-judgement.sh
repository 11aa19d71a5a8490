#!/bin/sh
# How soon Perch's judging is right and how often it is wrong, beside its peers' rules: tables on standard output, exit code 1
# when a goal is missed. Simulated from fixed seeds, about eight minutes on one core.
#
#   scripts/bench-judgement.sh                       all of it
#   scripts/bench-judgement.sh quiet --releases 50   some of it
set -eu
cd "$(dirname "$0")/.."
swift build -c release --product bench-judgement >&2
exec .build/release/bench-judgement "$@"
