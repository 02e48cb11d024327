# make help lists the targets. PYTHON=… names the interpreter that makes .venv (3.11 or newer).

VENV    := .venv
BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.stamps
PYTHON  ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& { echo $$p; break; }; done)
BENCHES := $(patsubst benchmarks/%.py,bench-%,$(filter-out benchmarks/common.py,$(wildcard benchmarks/*.py)))
PEERS   := tpchgen-cli daft duckdb pyspark polars ray[data] deltalake pyarrow pandas pyiceberg aiohttp scikit-learn xgboost-cpu dask[dataframe] distributed
DUCKDB  := duckdb==1.5.5 duckdb-extension-delta==1.5.5
AZURITE := 3
CHROMES := chromium chromium-browser google-chrome google-chrome-stable

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-long check format browser peers peers-profilers peers-feast services clean $(BENCHES)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@for b in $(BENCHES); do printf '  %-12s run benchmarks/%s.py\n' "$$b" "$${b#bench-}"; done

venv: $(STAMPS)/dev ## make .venv and install everything, for work on raypipe

demo: $(STAMPS)/demo ## install what is needed and run the whole loop on a year of flights
	$(BIN)/raypipe demo

test: $(STAMPS)/dev browser services ## install everything and run the tests (about 15 minutes on two cores)
	$(BIN)/python -m tests.run -m "not long" tests/unit tests/e2e tests/faults tests/golden tests/property tests/examples

test-long: $(STAMPS)/dev browser services ## run the tests that take minutes each
	RAYPIPE_TEST_DRAWS=new $(BIN)/python -m pytest -m long

check: $(STAMPS)/dev ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMPS)/dev ## sort imports and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCHES): bench-%: $(STAMPS)/dev
	$(BIN)/python benchmarks/$*.py

browser: ## install headless Chromium, which one test needs
	@for c in $(CHROMES); do command -v $$c >/dev/null 2>&1 && { echo "$$c is installed"; exit 0; }; done; \
	if ! command -v apt-get >/dev/null 2>&1; then \
		echo "Install Chromium with the package manager of this system."; exit 1; \
	elif [ "$$(id -u)" != 0 ]; then \
		echo "Installing Chromium needs root: sudo make browser"; exit 1; \
	else \
		apt-get update -q && apt-get install -y -q --no-install-recommends chromium; \
	fi

peers: .venvs/peers/.made .venvs/duckdb/.made ## install what some benchmarks and tests compare with, in venvs of their own

.venvs/peers/.made:
	$(PYTHON) -m venv .venvs/peers
	.venvs/peers/bin/python -m pip install --quiet --disable-pip-version-check $(PEERS)
	@touch $@

peers-feast: .venvs/feast/.made ## install Feast, whose packages fit with no others, in a venv of its own

.venvs/feast/.made:
	$(PYTHON) -m venv .venvs/feast
	.venvs/feast/bin/python -m pip install --quiet --disable-pip-version-check feast
	@touch $@

# DuckDB fetches its reader of Delta tables from a server of its own; this package brings it along, for
# one release of DuckDB.
.venvs/duckdb/.made:
	$(PYTHON) -m venv .venvs/duckdb
	.venvs/duckdb/bin/python -m pip install --quiet --disable-pip-version-check $(DUCKDB)
	@touch $@

peers-profilers: .venvs/profilers/.made ## install the profilers of data that one benchmark compares with, which need an older pandas

.venvs/profilers/.made:
	$(PYTHON) -m venv .venvs/profilers
	.venvs/profilers/bin/python -m pip install --quiet --disable-pip-version-check evidently whylogs ydata-profiling pyarrow
	@touch $@

services: $(STAMPS)/dev ## install the servers that tests start: S3 (moto, with pip) and Azure (azurite, with npm)
	@if [ -f .services/node_modules/azurite/dist/src/blob/main.js ]; then echo "azurite is installed"; \
	elif command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; then \
		npm install --prefix .services --no-audit --no-fund --silent azurite@$(AZURITE); \
	else \
		echo "npm is not installed: the tests against Azure will be skipped."; \
	fi

clean: ## remove .venv, caches and what the demo wrote
	rm -rf $(VENV) .services build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache raypipe-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "raypipe needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# dev holds all that demo needs
$(STAMPS)/demo: pyproject.toml $(STAMPS)/venv
	@if [ ! $(STAMPS)/dev -nt pyproject.toml ]; then \
		echo "$(BIN)/python -m pip install -e .[demo]"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"; \
	fi
	@touch $@

$(STAMPS)/dev: pyproject.toml $(STAMPS)/venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@
