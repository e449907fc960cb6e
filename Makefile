# The first two targets do everything on a machine that has python3 (3.11 or newer), venv and make.
# A stamp file marks each finished install: after the first run nothing here needs the network.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
    --constraint constraints.txt
# pip would compile on one core, which takes as long as all the rest of it.
COMPILE := $(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib || true

.PHONY: demo test test-slow lint docs reports clean

## demo: set up, then train a network on real handwritten digits and say how good it is
demo: $(VENV)/core.stamp
	$(BIN)/thalweg train digits --model deep-bn --lr 3e-3 --schedule cosine --epochs 15

## test: set up, then lint, types, layers, the test suite with its doctests, and the coverage gate
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal --cov --cov-report=term

## test-slow: the long tests, which reproduce published numbers on full data sets
test-slow: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal -m slow

## lint: style, docstrings, format, types and the direction of imports
lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## docs: the documentation, in docs/_build; any warning is an error
docs: $(VENV)/docs.stamp
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

## reports: the reports of the demo, of lab and of perfect-fit (which need MNIST), in docs/_build/reports
reports: $(VENV)/core.stamp
	rm -rf docs/_build/reports
	$(BIN)/thalweg train digits --model deep-bn --lr 3e-3 --schedule cosine --epochs 15 --out docs/_build/reports/demo
	$(BIN)/thalweg train --recipe lab --out docs/_build/reports/lab
	$(BIN)/thalweg train --recipe perfect-fit --out docs/_build/reports/perfect-fit
	for run in demo lab perfect-fit; do $(BIN)/thalweg report docs/_build/reports/$$run; done

clean:
	rm -rf $(VENV) build dist docs/_build docs/optimizers .coverage .mypy_cache .pytest_cache .ruff_cache

# hatchling goes in first and builds the package in this environment: a build environment of pip's own
# would be fetched anew each time.
$(VENV)/core.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	    sys.exit(v < (3, 11) and "thalweg needs Python 3.11 or newer; %s is %d.%d. Try: make PYTHON=python3.11" \
	    % ("$(PYTHON)", *v))'
	$(PYTHON) -m venv $(VENV)
	$(PIP) hatchling
	$(PIP) --no-build-isolation --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/dev.stamp: $(VENV)/core.stamp
	$(PIP) --no-build-isolation --editable '.[dev]'
	@$(COMPILE)
	@touch $@

$(VENV)/docs.stamp: $(VENV)/core.stamp
	$(PIP) --no-build-isolation --editable '.[docs]'
	@$(COMPILE)
	@touch $@
