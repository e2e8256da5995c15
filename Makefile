# Everything is done through these targets; `.ci/run` and people call the same ones.
PYTHON ?= python3
DATA ?= .data
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-build-isolation
PACKAGES := schemas detections runtime producers pipeline consumers console cli

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test chaos check lint types imports tidy fmt schema screenshots bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-11s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements-build.lock requirements.lock pyproject.toml runtime/kafka.lock | $(VENV)/bin/python
	@echo "Installing what is pinned in requirements.lock into $(VENV) (about a minute, once) ..."
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps -e .
	@$(BIN)/python -m runtime.broker --install
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the test tools pinned in requirements-dev.lock ..."
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

setup: $(VENV)/.run ## make .venv with `audit` in it, and fetch Kafka's jars into it

setup-dev: $(VENV)/.dev ## the same, with the test tools

run: setup ## start everything on loopback and play sample traffic (Ctrl-C stops it)
	@exec $(BIN)/audit up --sample --data $(DATA)

test: setup-dev ## run every test
	@exec $(BIN)/python -m pytest

KILLS ?= 50
chaos: setup-dev ## run the kill tests KILLS times over (default 50)
	@AUDIT_TEST_KILLS=$(KILLS) exec $(BIN)/python -m pytest tests/chaos --timeout 3600

check: lint types imports tidy ## ruff, mypy --strict, import-linter, tidy and docs tests

lint: setup-dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup-dev
	@$(BIN)/mypy $(PACKAGES)

imports: setup-dev
	@$(BIN)/lint-imports --no-cache

tidy: setup-dev
	@$(BIN)/python -m pytest -q tests/test_tidy.py tests/test_docs.py

fmt: setup-dev ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix-only .

schema: setup ## write schemas/event.schema.json anew from the model
	@$(BIN)/python -m schemas.publish

screenshots: setup-dev ## take the pictures of the README and docs/console.md anew (needs Chromium)
	@exec $(BIN)/python -m tests.browser.screenshots

.venv-bench/.done: bench/requirements.lock $(VENV)/.run
	@echo "Installing what we are measured against, pinned in bench/requirements.lock, into .venv-bench ..."
	@$(BIN)/python -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $<
	@touch $@

bench: setup .venv-bench/.done ## measure against the plain way of doing the same work (docs/performance.md)
	@exec $(BIN)/python -m bench

lock: ## pin newest versions anew (needs uv)
	@uv pip compile -q -U --universal --generate-hashes --no-emit-index-url --no-header requirements-build.in -o requirements-build.lock
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements-build.lock pyproject.toml -o requirements.lock
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header bench/requirements.in -o bench/requirements.lock
	@$(BIN)/python -m runtime.broker --lock

clean: ## remove what setup and tests made, but no data folder
	@rm -rf $(VENV) .venv-bench build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
