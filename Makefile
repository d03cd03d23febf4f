# The project's commands. `make` alone lists them.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The newest Python that the services run on; the test bed itself needs nothing but its standard library.
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
SHELL_SCRIPTS = $(shell git ls-files -co --exclude-standard ':!*.j2' ':!*.py' | xargs -r grep -lE '^\#!.*\b(ba)?sh$$' -- 2>/dev/null)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help python demo demo-down clean test test-fast bench-slurm bench-vk check check-format check-types check-imports check-ansible check-shell \
	check-runner format kubeconfig venv constraints docs kustomizations
.DEFAULT_GOAL := help

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: | python ## bring all of it up here and run a pod as a Slurm job
	@$(or $(PYTHON),python3) -m tests.demo up

demo-down: | python ## remove every trace of it but the caches
	@$(or $(PYTHON),python3) -m tests.testbed down

clean: | python ## remove the caches too, and what was built in this tree
	@$(or $(PYTHON),python3) -m tests.testbed clean
	@rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

kubeconfig: | python ## print where the test bed's kubeconfig is (export KUBECONFIG=$$(make -s kubeconfig))
	@$(or $(PYTHON),python3) -m tests.testbed kubeconfig

test: | python ## all tests: the fast ones, and the end-to-end ones on the test bed, which it brings up
	@$(or $(PYTHON),python3) -m tests.demo deploy
	@$(BIN)/pytest --durations 30 --durations-min 10

bench-slurm: | python ## measure the Slurm sidecar on the test bed, against a bare loop of pyslurm submits
	@$(or $(PYTHON),python3) -m tests.demo deploy
	@$(BIN)/python -m benchmarks.slurm

bench-vk: | python ## measure the virtual kubelet on the test bed, against bare loops of a kubelet's API writes and of its own
	@$(or $(PYTHON),python3) -m tests.demo deploy
	@$(BIN)/python -m benchmarks.vk

test-fast: $(VENV)/installed ## the fast tests
	@$(BIN)/pytest -q -n 3 tests/unit

check: $(VENV)/installed ## the quick gate: format, lint, types, contracts, roles, scripts, fast tests
	@$(MAKE) --no-print-directory -j2 -Otarget check-ansible check-format check-types check-imports check-shell check-runner test-fast

check-format:
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

check-types:
	@$(BIN)/mypy

check-imports:
	@$(BIN)/lint-imports

check-ansible:
	@$(BIN)/ansible-lint --offline --profile production -q

check-shell:
	@$(BIN)/shellcheck $(SHELL_SCRIPTS)

# The compute nodes' Python may be as old as 3.6, and so may a login node's.
check-runner:
	@$(BIN)/vermin -t=3.6- --violations --no-tips interlink/runner interlink/sidecars/slurm/transport/agent.py

format: $(VENV)/installed ## format the code
	@$(BIN)/ruff check --fix-only -q . ; $(BIN)/ruff format .

venv: $(VENV)/installed ## install the development tools in .venv

$(VENV)/installed: pyproject.toml constraints.txt | python
	@$(or $(PYTHON),python3) -m tests.demo venv

docs: $(VENV)/installed ## write the generated documentation again
	@$(BIN)/interlink config reference > docs/configuration.md
	@$(BIN)/interlink pod-api > docs/pod-api.md

kustomizations: $(VENV)/installed ## write the manifests of kustomizations/ again, from templates/cluster
	@$(BIN)/python -m tests.demo.kustomizations

constraints: ## take the newest versions of all dependencies into constraints.txt
	@$(or $(PYTHON),python3) -m tests.demo constraints

# A machine without Python 3.11 or newer gets Debian's.
python:
ifeq ($(PYTHON),)
	apt-get update -q && apt-get install -y -q --no-install-recommends python3 python3-venv
endif
