# Every target works as the first command in a fresh clone: it makes .venv and fills it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Only wheels are installed, so nothing is built here but bitveil itself.
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --only-binary :all:
# bitveil's own build uses the pinned hatchling and editables from .venv, not fresh ones.
EDITABLE := --no-build-isolation --editable

RUN := $(VENV)/.ready-run
DEV := $(VENV)/.ready-dev
WHEELS := $(VENV)/.ready-wheels

.PHONY: demo test check docs bench clean
.DEFAULT_GOAL := test

# What bitveil needs to run.
$(RUN): pyproject.toml constraints.txt
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	$(INSTALL) hatchling editables
	$(INSTALL) $(EDITABLE) .
	touch $@

# What its tests and its documentation need besides.
$(DEV): $(RUN)
	$(INSTALL) $(EDITABLE) ".[dev]"
	touch $@

# Every requirement has a wheel under its pin. Neither installed packages nor pip's cache count.
$(WHEELS): $(RUN)
	$(INSTALL) --dry-run --ignore-installed --no-cache-dir --no-build-isolation \
		pip hatchling editables ".[dev]"
	touch $@

demo: $(RUN)
	$(BIN)/bitveil demo

check: $(WHEELS) $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of the API are made anew: one of a module that is gone would not build. Two processes
# read and write the pages; threads beside them would only wait for each other.
docs: $(DEV)
	rm -rf docs/api
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 \
		docs docs/_build/html

test: check docs
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

bench: $(DEV)
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) docs/_build docs/api docs/api.rst docs/command_line.md docs/gallery dist build
