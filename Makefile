# Everything runs from .venv, which each target makes when it is missing or the lock has changed.
# Nothing but Python >= 3.11 and make is needed; `make` alone lists the targets.

PROFILE ?= quick
BENCHES ?= ensemble images cs_kd ldl metrics
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check --timeout 120 --retries 10
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,\
	$(shell $(name) -c '$(ENOUGH)' 2>/dev/null && echo $(name))))

.PHONY: help book test lint lab bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(READY) ## Build the book in _build/html; PROFILE=smoke, quick (default) or paper
	$(BIN)/ldlstudy book --profile $(PROFILE) $(ARGS)

test: lint ## Lint, check types, run every test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(READY) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: $(READY) ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=. notebooks

bench: $(READY) ## Measure speed; BENCHES names the benchmarks
	@set -e; for name in $(BENCHES); do $(BIN)/python -m tests.benchmarks.$$name $(ARGS); done

lock: ## Pin every dependency anew in requirements.txt, for all platforms
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed, none was found))
	$(PYTHON) -m venv _build/uv
	_build/uv/bin/pip install --quiet uv
	_build/uv/bin/uv pip compile pyproject.toml --output-file requirements.txt --quiet \
		--universal --all-extras --python-version 3.11 --no-annotate \
		--custom-compile-command "make lock  (from pyproject.toml: all extras, all platforms)"

clean: ## Delete what was built; the environment and the records stay
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): requirements.txt pyproject.toml
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed, none was found; set PYTHON=/path/to/it))
	$(BIN)/python -c '$(ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --progress-bar off -r requirements.txt
	$(PIP) install --quiet --progress-bar off --no-deps --editable .
	@touch $@
