# Lũy Tre. `make` alone explains itself; `make demo` and `make test` install what they need.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := agent/core/Cargo.toml
# maturin and the linters are found in the venv.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
MEMBERS := proto rules collector agent

CORE_SOURCES := $(shell find agent/core/src agent/core/build.rs agent/core/Cargo.* agent/luytre_agent/ebpf -type f 2>/dev/null)
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate \
	--no-emit-package luytre-common --no-emit-package luytre-agent --no-emit-package luytre-collector --no-emit-package luytre-rules

.DEFAULT_GOAL := help
.PHONY: help setup proto fmt lint test test-rust test-python bench bench-agent bench-collector bench-idle bench-store torture demo wheels deb bundle sbom lock clean

help: ## show this
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET\n"} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.core ## make .venv with everything locked, and build the core into it

$(VENV)/.locked: requirements/dev.txt
	deploy/setup.sh $(PYTHON)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.members: $(VENV)/.locked $(MEMBERS:%=%/pyproject.toml)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e proto -e rules -e collector
	@touch $@

$(VENV)/.core: $(VENV)/.members agent/pyproject.toml $(CORE_SOURCES)
	@echo "building the core (the first time takes some minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e agent
	@touch $@

proto: $(VENV)/.locked ## write what derives from proto/: protobuf modules, the core's row builders, SCHEMA.md
	$(BIN)/python proto/generate.py

fmt: $(VENV)/.locked ## format Python and Rust
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .
	cargo fmt --manifest-path $(CORE)

lint: setup ## formatting, style, types, generated files, stubs, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/python proto/generate.py --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest luytre_agent._core --ignore-missing-stub
	$(BIN)/lint-imports
	cargo fmt --manifest-path $(CORE) --check
	cargo clippy --manifest-path $(CORE) --quiet --all-targets --features python -- -D warnings

test: lint test-rust test-python ## every test, after lint

test-rust: setup ## the core's own tests
	cargo test --manifest-path $(CORE) --quiet

test-python: setup ## the Python tests; root runs the ones on the real kernel too
	$(BIN)/python -m pytest -q

bench: setup ## packets per second of replay, rows per second end to end, beside the floor
	$(BIN)/python -m tests.bench

bench-agent: setup ## the whole agent under load, and 2,000 agents that come back at once; root
	$(BIN)/python -m tests.bench.bench_agent

bench-collector: setup ## rows, CPU, delays and memory of the collector alone, beside a bare insert
	$(BIN)/python -m tests.bench.bench_collector --engine embedded --engine server

bench-idle: setup ## CPU and memory of the whole agent on an idle server, beside auditd and softflowd; root, 20 minutes
	$(BIN)/python -m tests.bench.bench_idle

bench-store: setup ## bytes of every column by codec, and what indexes save
	$(BIN)/python -m tests.bench.bench_store
	$(BIN)/python -m tests.bench.bench_indexes

ROUNDS ?= 1000
torture: setup ## agents and collector killed, cut off and starved ROUNDS times; the tables must hold every row once
	$(BIN)/python -m tests.torture --rounds $(ROUNDS)

demo: setup ## collector and agent on this machine, a harmless attack story, the alerts
	$(BIN)/python -m deploy.demo

wheels: setup ## wheels of the four distributions into dist/, for every glibc from 2.17 on
	$(BIN)/python -m deploy.package wheels
	@ls -l dist

deb: wheels ## Debian packages of agent and collector into dist/; root, for the one with a Python of its own
	$(BIN)/python -m deploy.package deb

bundle: deb ## dist/bundle: all that hosts without a network need, with install.sh
	$(BIN)/python -m deploy.package bundle

sbom: wheels ## bills of materials (CycloneDX) into dist/
	$(BIN)/python -m deploy.package sbom

lock: $(VENV)/.locked ## solve the dependencies anew, with hashes, naming no index
	$(COMPILE) --upgrade pyproject.toml --group dev --group build -o requirements/dev.txt
	$(COMPILE) pyproject.toml --group agent -c requirements/dev.txt -o requirements/agent.txt
	$(COMPILE) pyproject.toml --group collector -c requirements/dev.txt -o requirements/collector.txt
	echo ziglang | $(COMPILE) --upgrade - -o requirements/zig.txt

clean: ## remove what was built; keeps the sources only
	rm -rf $(VENV) agent/core/target build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache agent/luytre_agent/*.so
