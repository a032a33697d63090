# Everything people and CI run. `make` alone lists the targets.

VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
SHELL_SCRIPTS := $(wildcard deploy/*.sh) .ci/run
# Two processes; what starts a farm runs in groups: see tests/conftest.py.
SHARED := --numprocesses 2 --dist loadscope
PYTEST_ARGS ?=
BENCH ?=

# A tree that was moved or a shell with its own environment must not leak into .venv.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit integration acceptance chaos soak lint types bench bench-picture gallery pictures up down styles env lock clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with everything in it (a second call starts in seconds)
	@sh deploy/setup.sh

demo: setup ## paint a real clip through a real farm on this machine: out/demo.mp4
	@$(BIN)/farm demo out

test: setup ## all tests: unit, integration, acceptance
	@$(PY) -m pytest $(SHARED) $(PYTEST_ARGS)

unit: setup ## unit tests only
	@$(PY) -m pytest $(SHARED) tests/unit $(PYTEST_ARGS)

integration: setup ## tests against real Redis, S3 and codecs
	@$(PY) -m pytest tests/integration $(PYTEST_ARGS)

acceptance: setup ## tests of the whole farm with real workers
	@$(PY) -m pytest tests/acceptance $(PYTEST_ARGS)

chaos: setup ## faults of every kind and hostile inputs, forty minutes or so: bench/results/chaos.md, hostile.md
	@CHAOS_TABLE=bench/results/chaos.md $(PY) -m pytest tests/chaos tests/hostile -m "not soak" $(PYTEST_ARGS)

soak: setup ## two hundred jobs in ten minutes while workers die: bench/results/soak.md; SOAK_JOBS=10 SOAK_S=60 is a short one
	@SOAK_TABLE=bench/results/soak.md $(PY) -m pytest tests/chaos/test_soak.py -m soak $(PYTEST_ARGS)

lint: setup ## style, import rules, Dockerfile, shell, YAML, compose file, Kubernetes manifests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile.worker
	@$(BIN)/shellcheck $(SHELL_SCRIPTS)
	@$(BIN)/yamllint --strict docker-compose.yml deploy
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(PY) deploy/manifests.py

types: setup ## mypy, strict, on both packages
	@$(PY) -m mypy

bench: setup ## speed, by hand: tables in bench/results; BENCH="step memory gatys chunk overhead scaling simulation" picks
	@$(PY) -m bench $(BENCH)

bench-picture: setup ## the picture against its bars, four hours or so: bench/results/picture.md
	@$(PY) -m bench.picture

gallery: setup ## three clips in four styles beside the method of 2015: docs/gallery.md
	@$(PY) -m bench.gallery

pictures: setup ## the pictures in docs/, from the demo's film
	@$(PY) -m bench.pictures out/demo.mp4

up: setup ## start the private farm on this machine
	@$(BIN)/farm up

down: setup ## stop the private farm
	@$(BIN)/farm down

styles: setup ## paint the built-in styles as pictures: out/styles
	@$(BIN)/farm styles --output out/styles

env: ## write .env with generated secrets for docker compose (never overwrites), and secrets/ from it
	@python3 deploy/env.py .env

lock: setup ## resolve the dependencies anew: constraints.txt
	@sh deploy/lock.sh

clean: ## remove out/, build/ and caches
	@rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf $(VENV) *.egg-info
