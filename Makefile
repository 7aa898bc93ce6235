# Everything runs from .venv, where each target first installs what it needs, and nothing more.
# Nothing but Python >= 3.11 and make is needed; `make` alone lists the targets.

PROFILE ?= quick
BENCHES ?= ensemble images cs_kd ldl metrics
ARGS ?=

BIN := .venv/bin
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,\
	$(shell $(name) -c '$(ENOUGH)' 2>/dev/null && echo $(name))))
FOUND = $(if $(PYTHON),,$(error Python 3.11 or newer is needed, none was found; set \
	PYTHON=/path/to/it))"$(PYTHON)"
HAVE = @$(FOUND) .ci/environment.py

.PHONY: help book test lint lab bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: ## Build the book in _build/html; PROFILE=smoke, quick (default), full or paper
	$(HAVE) book
	$(BIN)/ldlstudy book --profile $(PROFILE) $(ARGS)

test: lint ## Lint, check types, run every test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: ## Check style and types
	$(HAVE) book cluster lab test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: ## Open the notebooks in JupyterLab
	$(HAVE) book lab
	$(BIN)/jupyter lab --notebook-dir=. notebooks

bench: ## Measure speed; BENCHES names the benchmarks
	$(HAVE) test
	@set -e; for name in $(BENCHES); do $(BIN)/python -m tests.benchmarks.$$name $(ARGS); done

lock: ## Pin every dependency anew in requirements.txt, for all platforms
	$(FOUND) -m venv _build/uv
	_build/uv/bin/pip install --quiet uv
	_build/uv/bin/uv pip compile pyproject.toml --output-file requirements.txt --quiet \
		--universal --all-extras --python-version 3.11 --no-annotate \
		--custom-compile-command "make lock  (from pyproject.toml: all extras, all platforms)"

clean: ## Delete what was built; the environment and the records stay
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis
