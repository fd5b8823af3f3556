# `make demo` and `make test` are the README's two commands; `make check` is what CI runs.
# Every target sets up .venv by itself, and again when setup.cfg has changed.

PYTHON ?= python3
SEED ?= 0
STORMS ?= 10
RUN := .venv/bin/python
INSTALL := $(RUN) -m pip install --quiet --quiet --disable-pip-version-check --use-pep517 --editable
STEP := @printf '\n== %s\n'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test check bench bench-quick bench-dist docs test-gpu test-chaos test-ray build clean \
	lines check-lint check-types check-tests check-doctests check-examples check-packaging

help: ## show this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' Makefile

demo: .venv/demo.stamp ## train a network on handwritten digits and look at what comes out
	@$(RUN) -m matrixslow demo

test: .venv/dev.stamp ## run the whole suite (installs the development tools, PyTorch among them)
	@$(RUN) -m pytest

check: check-lint check-types check-tests check-doctests check-examples check-packaging lines ## do everything that CI does
	$(STEP) "all good"

check-lint: .venv/dev.stamp ## style: ruff check and ruff format
	$(STEP) "lint"
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check --diff .

check-types: .venv/dev.stamp ## types: mypy, strict
	$(STEP) "types"
	@$(RUN) -m mypy

check-tests: .venv/dev.stamp ## the suite but for packaging
	$(STEP) "tests"
	@$(RUN) -m pytest --ignore=tests/test_packaging.py

check-doctests: .venv/dev.stamp ## the examples in docstrings
	$(STEP) "doctests"
	@$(RUN) -m pytest --doctest-modules matrixslow

check-examples: .venv/dev.stamp ## every example, in its short form
	$(STEP) "examples"
	@for example in examples/*.py; do \
		echo "$$example --smoke"; $(RUN) $$example --smoke || exit 1; done

check-packaging: .venv/dev.stamp ## sdist and wheel, used from elsewhere in a clean environment
	$(STEP) "packaging"
	@$(RUN) -m pytest tests/test_packaging.py

lines: ## count lines of Python per folder
	$(STEP) "lines of Python"
	@for folder in matrixslow/*/ examples/ benchmarks/ tests/; do \
		printf '%7d  %s\n' "$$(find -L "$$folder" -name '*.py' -exec cat {} + | wc -l)" "$$folder"; done
	@printf '%7d  %s\n' "$$(cat matrixslow/*.py | wc -l)" "matrixslow/*.py"

bench: .venv/dev.stamp ## write docs/benchmarks.md: steps beside every peer that is there (ten minutes)
	$(STEP) "import"
	@$(RUN) benchmarks/import_time.py
	$(STEP) "steps"
	@$(RUN) benchmarks/speed.py --write

bench-quick: .venv/dev.stamp ## some steps beside PyTorch and JAX, in a minute
	@$(RUN) benchmarks/speed.py --quick

bench-dist: .venv/dev.stamp ## steps per second on 1, 2 and 3 workers beside PyTorch DDP (three minutes)
	@$(RUN) benchmarks/dist.py

docs: .venv/dev.stamp ## write the reference to build/docs, and draw the pictures of the guide anew
	@$(RUN) docs/reference.py build/docs
	@$(RUN) docs/pictures.py
	@$(RUN) docs/cluster_pictures.py

test-gpu: .venv/dev.stamp ## tests that need a GPU; first: .venv/bin/pip install -e '.[gpu13]'
	@$(RUN) -m pytest -m gpu

test-chaos: .venv/dev.stamp ## kill, pause, cut off and starve servers and workers (an hour; SEED=3 STORMS=1 repeats one storm)
	@$(RUN) -m pytest -m chaos tests/chaos --seed $(SEED) --storms $(STORMS)

test-ray: .venv/dev.stamp ## the Ray engine on a Ray of its own (installs Ray, 470 MB)
	@$(INSTALL) '.[ray]'
	@$(RUN) -m pytest -m ray

build: .venv/dev.stamp ## sdist and wheel into build/artifacts
	@$(RUN) -m build --outdir build/artifacts

clean: ## remove what was built (.venv stays; dist/ is source)
	@rm -rf build demo run lessons matrixslow.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage
	@find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is the last thing that a new environment gets, so its presence says that the rest is there.
.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "matrixslow needs Python 3.11 or newer, and $(PYTHON) is missing or older;" \
			"name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/demo.stamp: setup.cfg setup.py | .venv/bin/pip
	@echo "installing matrixslow and what it needs into .venv"
	@$(INSTALL) .
	@touch $@

.venv/dev.stamp: setup.cfg setup.py | .venv/bin/pip
	@echo "installing matrixslow and the development tools into .venv"
	@$(INSTALL) '.[dev]'
	@touch .venv/demo.stamp $@
