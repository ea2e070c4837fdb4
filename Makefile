# The commands of the project. Everything is installed inside it: .venv, peers/node_modules and,
# for `make bench`, benchmarks/peers/node_modules (Bun has 100 MB).
# Only a browser and a C compiler come from the system (`make browser compiler`).

PYTHON ?= python3
PORT ?= 3000
JOBS ?= 2
PYTEST_ARGS ?=
BENCH_ARGS ?=
MICRO_ARGS ?= --fast
SANITIZE_SECONDS ?= 60
SOAK_MINUTES ?= 60
SOAK_ARGS ?=

BIN := .venv/bin
# Neighbours stay with one worker, which starts servers and browsers for them once.
PARALLEL = -n $(JOBS) --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# What has a compiled form runs a second time without it (TELEX_PURE=1).
PURE_TESTS := tests/engine tests/events tests/server tests/fronts tests/native tests/test_hot_path.py \
	tests/test_hot_path_allocations.py --ignore tests/native/test_equivalence.py
SOURCES = $(wildcard src tests benchmarks tools examples)

export PYTHON
# make has a CC of its own; only one that the user names is passed on.
ifeq ($(origin CC),default)
CC :=
endif
# pyright's wheel asks PyPI for newer versions unless told not to.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv peers browser compiler native client demo test thorough sanitize lint format types options bench micro soak clean

help: ## list the targets
	@echo "telex: make TARGET"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: .venv/.development ## the Python environment, with all tools, in .venv
	@:

peers: peers/node_modules/.installed ## the JavaScript peers of the tests, in peers/node_modules
	@:

browser: ## a Chromium for the browser tests (from apt, unless one is there)
	@tools/install.sh browser

compiler: ## a C compiler for the compiled part and the load generator (from apt, unless one is there)
	@tools/install.sh compiler

native: compiler venv ## the compiled part of telex, for the Python in .venv
	@$(BIN)/python tools/compile_native.py >/dev/null

client: src/telex/client_bundle/files/VERSION ## the JavaScript client bundle that servers hand out
	@:

demo: .venv/.runtime client ## the chat on http://localhost:3000 (PORT=… for another port)
	@$(BIN)/telex demo --port $(PORT)

test: lint types peers client browser compiler native ## everything that has to hold (PYTEST_ARGS=… goes to pytest)
	@tools/need.sh git
	@echo "• pytest"
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)
	@$(if $(PYTEST_ARGS),,echo "• pytest, with nothing compiled"; \
		TELEX_PURE=1 $(BIN)/python -m pytest $(PARALLEL) $(PURE_TESTS))

thorough: peers client browser compiler native ## forty times as many generated examples, new ones in each run
	@echo "• pytest, every test that generates its examples"
	@HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest $(PARALLEL) -m hypothesis --timeout 3600 $(PYTEST_ARGS)

sanitize: compiler venv ## the compiled part under ASan and UBSan: its tests, and a fuzzer (SANITIZE_SECONDS=…)
	@$(BIN)/python -m tests.native.sanitize --seconds $(SANITIZE_SECONDS)

lint: venv ## ruff, and the import contracts of the floors
	@echo "• ruff"
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { \
		$(BIN)/ruff format --check $(SOURCES); echo "make format puts it right" >&2; exit 1; }
	@echo "• import contracts"
	@$(BIN)/lint-imports --no-logo >.venv/.imports.log 2>&1 || { cat .venv/.imports.log; exit 1; }

format: venv ## let ruff format and fix what it can
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format $(SOURCES)

types: venv ## strict mypy and strict pyright
	@tools/need.sh node
	@echo "• mypy"
	@$(BIN)/mypy --no-error-summary $(SOURCES)
	@echo "• pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python >.venv/.pyright.log 2>&1 || { cat .venv/.pyright.log; exit 1; }

options: venv ## docs/options.md and the docstrings that list options, from the types of the options
	@$(BIN)/python tools/write_options.py

bench: venv peers client compiler native benchmarks/peers/node_modules/.installed ## telex and other Socket.IO servers compared (BENCH_ARGS=…)
	@tools/need.sh git
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

micro: venv ## what single steps of telex cost, with pyperf (MICRO_ARGS=…)
	@$(BIN)/python -m benchmarks.micro $(MICRO_ARGS)

soak: venv compiler native ## memory under mixed load for an hour (SOAK_MINUTES=… SOAK_ARGS=…)
	@$(BIN)/python -m benchmarks.soak --minutes $(SOAK_MINUTES) $(SOAK_ARGS)

clean: ## remove everything that is generated or installed
	rm -rf .venv peers/node_modules benchmarks/peers/node_modules src/telex/client_bundle/files src/telex/client_bundle/.files-*
	rm -f src/telex/native/_telex.*.so*
	rm -rf build dist benchmarks/build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks tools examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# What is installed is remembered by files that are newer than what asked for it.

.venv/.runtime: pyproject.toml
	@tools/need.sh python
	@echo "• .venv: telex and what it runs on"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv --clear .venv
	@$(PIP) install --upgrade pip
	@$(PIP) install --editable '.[cli,uvloop]'
	@touch $@

.venv/.development: .venv/.runtime
	@echo "• .venv: tools for tests, types and benchmarks"
	@$(PIP) install --group dev
	@touch $@

peers/node_modules/.installed benchmarks/peers/node_modules/.installed: \
%/node_modules/.installed: %/package.json %/package-lock.json %/.npmrc
	@tools/need.sh node
	@echo "• $*: npm packages"
	@cd $* && npm ci --loglevel=error >/dev/null
	@touch $@

src/telex/client_bundle/files/VERSION: peers/package-lock.json tools/fetch_client.py
	@tools/need.sh python node
	@echo "• client bundle"
	@$(PYTHON) tools/fetch_client.py >/dev/null
