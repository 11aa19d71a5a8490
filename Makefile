# What can be done here; `make` alone prints it.

# Debian's own Python: the one that sees python3-psycopg2.
PYTHON ?= /usr/bin/python3

# From a clean checkout a debug build takes about half the time of a release build, and the demo's traffic needs no
# optimised daemon. Where a release build exists, bringing it up to date is quicker still.
DEMO_MODE ?= $(if $(wildcard .build/release/perchd),release,debug)

.PHONY: help deps build demo test test-long test-demo bench bench-judgement bench-rewind lint format generated clean

help:
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## what building, testing and the demo need (apt packages when root, else says what to install)
	@scripts/deps.sh

build: deps ## perchd and perch, optimised, in .build/release
	swift build -c release

demo: deps ## the whole story on a PostgreSQL of its own; KEEP=1 leaves it running
	swift build -c $(DEMO_MODE)
	@PERCH_BIN=.build/$(DEMO_MODE) $(PYTHON) -B demo/run.py

test: deps lint generated ## everything the project proves about itself
	swift build --build-tests
	scripts/test-swift.sh
	@$(MAKE) --no-print-directory test-demo

test-long: deps ## the random proofs of the data rewind, for an hour or two; see scripts/test-long.sh
	swift build --build-tests
	scripts/test-long.sh

test-demo: ## the tests of the demo's shop, traffic and verdict
	cd demo && $(PYTHON) -B -m unittest

bench: build ## every scripts/bench-*.sh, one after the other
	@set -e; ran=0; \
	for script in scripts/bench-*.sh; do \
		[ -x "$$script" ] || continue; \
		echo "== $$script"; "$$script"; ran=1; \
	done; \
	[ $$ran = 1 ] || echo "there is no scripts/bench-*.sh"

bench-judgement: ## Perch's judging beside its peers' rules, on simulated releases
	scripts/bench-judgement.sh

bench-rewind: ## Perch's replay beside PostgreSQL's own subscription, and what recording costs
	scripts/bench-rewind.sh

lint: ## formatting and syntax
	swift format lint --strict --parallel --recursive Sources Tests Package.swift
	for script in scripts/*.sh; do sh -n "$$script" || exit 1; done
	bash -n .ci/run
	$(PYTHON) -c 'import ast, sys; [ast.parse(open(path).read(), path) for path in sys.argv[1:]]' demo/*.py demo/shop/shop/*.py

format: ## puts the formatting right
	swift format --in-place --parallel --recursive Sources Tests Package.swift

generated: ## fails when a generated file is not what its sources say
	scripts/embed-sql.sh --check

clean: ## removes what was built and what a demo left behind
	rm -rf .build .demo
