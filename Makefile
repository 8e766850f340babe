# Tenfold: everything a person or a CI runs. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
CHALLENGE ?= kelp
RECIPE ?= smoke

.PHONY: help run test test-slow lint types compile lock hooks clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run ## the main job: kelp, raw tiles to report, on data it makes itself
	$(BIN)/tenfold run $(CHALLENGE) --recipe $(RECIPE)

test: $(VENV)/.dev ## the tests
	$(BIN)/pytest

test-slow: $(VENV)/.dev ## the slow tests: whole runs, several seeds, a browser
	$(BIN)/pytest -m "slow or browser"

lint: $(VENV)/.dev ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

compile: $(VENV)/.run ## the graph of the published system for Kubeflow and Vertex AI
	$(BIN)/python pipelines/compile.py

lock: $(VENV)/.uv ## resolve requirements*.in into the hash-locked requirements*.txt
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-header \
	  --no-emit-index-url requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-header \
	  --no-emit-index-url requirements.in requirements-dev.in -c requirements.txt \
	  -o requirements-dev.txt

hooks: $(VENV)/.dev ## run the checks before every commit
	$(BIN)/pre-commit install

clean: ## remove the environment and what was built; runs/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

# Stamps: the environment is made again only when what it is made from changed.
$(VENV)/.uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tenfold needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

$(VENV)/.run: $(VENV)/.uv requirements.txt pyproject.toml
	@echo "installing what a run needs (about 6 GB, most of it PyTorch)"
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.txt
	touch $@
