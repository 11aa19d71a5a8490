#!/bin/sh
# What releasing costs: webhook, verdict to share 0, recovery, memory, recording. About nine minutes.
set -eu
cd "$(dirname "$0")/.."
PERCH_BIN=${PERCH_BIN:-.build/release} exec "${PYTHON:-/usr/bin/python3}" -B bench/operations.py
