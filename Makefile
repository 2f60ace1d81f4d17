# Everything a person or CI does here. `make` alone lists it.
SHELL := /bin/bash
PYTHON ?= python3
E2E ?= tests/e2e
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help demo test check lab lab-down kubernetes kubernetes-down conformance bench packages programs image driver-image lock unit vm e2e sanity chart format clean clean-lab

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) packages ## Tell the driver's main job on the lab, end to end
	@$(BIN)/python -m lab.demo

test: $(READY) packages check unit vm ## Run checks and all tests but those on Kubernetes: real iSCSI in VMs, csi-sanity

check: $(READY) ## Lint, types, layers, sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry csi_solidfire --ignore DEP002
	$(BIN)/python -m tests.house

unit: $(READY) programs ## Run the tests that need no VM
	$(BIN)/pytest -m "not vm and not e2e" -n 2 --dist worksteal

vm: $(READY) packages programs image driver-image ## Run the tests that need the lab's VMs, csi-sanity among them
	$(BIN)/pytest -m vm -n 2 --dist loadfile

e2e: $(READY) packages driver-image ## Run the tests on a whole Kubernetes in VMs, the chart installed with helm
	@$(BIN)/python -m lab.kube build
	$(BIN)/pytest -m e2e --durations=20 $(E2E)

lab: $(READY) packages ## Start an array and two nodes and leave them up
	@$(BIN)/python -m lab up

lab-down: $(READY) ## End what `make lab` started
	@$(BIN)/python -m lab down

kubernetes: $(READY) packages driver-image ## Start a Kubernetes with the driver, two nodes and an array, and leave it up
	@$(BIN)/python -m lab.kube up

kubernetes-down: $(READY) ## End what `make kubernetes` started
	@$(BIN)/python -m lab.kube down

conformance: $(READY) packages driver-image ## Run Kubernetes' own storage suite (takes long; goes on where it was ended)
	@$(BIN)/python -m lab.conformance run $(CONFORMANCE)

bench: $(READY) packages ## Measure, as ratios against the bare thing
	@$(BIN)/python -m bench

packages: $(READY) ## Install the Debian packages the lab needs (asks before it uses sudo)
	@$(BIN)/python -m lab.packages

programs: $(READY) ## Build the Go programs that the tests run, unless the cache has them
	@$(BIN)/python -m lab.programs

image: $(READY) packages ## Build the VMs' image, unless the cache has it
	@$(BIN)/python -m lab.vm build

driver-image: $(READY) ## Build the driver's container image, unless the cache has it
	@$(BIN)/python -m lab.packages buildah
	@$(BIN)/python -m lab.driver_image

lock: $(READY) ## Choose anew the versions of the Python packages in the driver's image
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile $(LOCKED) --output-file deploy/image/run.txt --upgrade pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	| $(BIN)/uv pip compile $(LOCKED) --output-file deploy/image/build.txt --upgrade -

chart: $(READY) ## Write anew what is rendered from the Helm chart
	$(BIN)/python -m tests.chart.update

format: $(READY) ## Let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what was built in this checkout
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache csi_solidfire/pb/*_pb2*

clean-lab: ## Throw the lab's cached images away
	$(BIN)/python -m lab.driver_image clean
	$(BIN)/python -m lab.vm clean

$(READY): pyproject.toml hatch_build.py $(wildcard proto/*.proto)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12"; exit 1; }
	@echo "Installing the driver and its tools into $(VENV) (about half a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
