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
SCRIPTS := .ci/run .ci/engine $(wildcard infra/kind/*.sh) $(addprefix infra/kind/,up down smoke forward)
KINDS := cpu torch tensorflow
LOCK = $(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 \
  --python-platform x86_64-manylinux_2_28 --no-header --no-emit-index-url

.PHONY: help run test test-slow bench lint lint-infra compile goldens images \
  e2e-docker kind-up kind-down kind-smoke pin lock docs hooks clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run ## the main job: kelp, raw tiles to report, on data it makes itself
	$(BIN)/tenfold run $(CHALLENGE) --recipe $(RECIPE)

test: $(VENV)/.dev ## the tests
	$(BIN)/pytest

test-slow: $(VENV)/.dev ## the slow tests: whole runs, several seeds, a browser
	$(BIN)/pytest -m "slow or browser"

bench: $(VENV)/.dev ## speed and memory against the plain way, into benchmarks/README.md
	$(BIN)/python -m benchmarks --write

lint: $(VENV)/.dev ## style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-infra: $(VENV)/.dev $(VENV)/.infra ## Dockerfile, scripts, Terraform, pins
	$(BIN)/hadolint containers/Dockerfile
	$(BIN)/shellcheck $(SCRIPTS)
	if command -v terraform >/dev/null; then terraform fmt -check -recursive infra/terraform; fi
	$(VENV)/infra/bin/checkov -d infra/terraform --framework terraform --compact --quiet --skip-download
	$(VENV)/infra/bin/checkov -f containers/Dockerfile --framework dockerfile --compact --quiet --skip-download
	$(BIN)/python containers/pin.py --check

compile: $(VENV)/.run ## the graph of the published system for Kubeflow and Vertex AI
	$(BIN)/python pipelines/compile.py

goldens: $(VENV)/.dev ## write the reviewed compiled files anew; look at the diff
	UPDATE_GOLDENS=1 $(BIN)/pytest tests/graph/test_golden.py

images: $(VENV)/.run ## build the three images with a Docker engine
	$(BIN)/tenfold images build

e2e-docker: $(VENV)/.dev ## the smoke run inside the images, without a network
	$(BIN)/pytest -m docker

kind-up: $(VENV)/.run ## a local cluster with Kubeflow Pipelines (CLUSTER=kind or minikube)
	infra/kind/up

kind-down: ## remove the local cluster
	infra/kind/down

kind-smoke: $(VENV)/.run ## the smoke recipe on the local cluster, outputs checked
	infra/kind/smoke

pin: $(VENV)/.run ## ask the registries for the digests of all pinned images
	$(BIN)/python containers/pin.py

lock: $(VENV)/.uv ## resolve *.in into the hash-locked *.txt, the images' own too
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements.in requirements-dev.in -c requirements.txt -o requirements-dev.txt
	$(LOCK) requirements-infra.in -o requirements-infra.txt
	for kind in $(KINDS); do \
	  $(LOCK) containers/$$kind/requirements.in -c requirements.txt \
	    -o containers/$$kind/requirements.txt; \
	done
	$(LOCK) --no-deps containers/kfp.in -c requirements.txt -o containers/kfp.txt
	$(LOCK) containers/build.in -o containers/build.txt

docs: $(VENV)/.run ## write the reference pages that follow from the code
	$(BIN)/python docs/generate.py

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
	@echo "installing what a run needs (about 8 GB, most of it PyTorch and TensorFlow)"
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements-dev.txt
	touch $@

# Checkov wants versions of its own, so it has an environment of its own.
$(VENV)/.infra: $(VENV)/.uv requirements-infra.txt
	$(BIN)/uv venv -q --clear $(VENV)/infra
	$(BIN)/uv pip install -q --python $(VENV)/infra/bin/python --require-hashes -r requirements-infra.txt
	touch $@
