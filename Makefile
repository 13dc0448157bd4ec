# Each command sets up what it needs on a fresh machine.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CODE := sst_keras tests benchmarks data setup.py
# Test processes; 0 runs the tests in pytest's own process, as debuggers need it.
WORKERS ?= 2
PYTEST := CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: train check test clean

train: $(VENV)/installed  ## Train, evaluate, plot and export the main model.
	$(BIN)/sst-keras train lstm-attention --dataset auto

check: $(VENV)/installed-test  ## Check style and run the quick tests.
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(PYTEST) -m "not slow"

test: $(VENV)/installed-test  ## Run everything that CI runs.
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(PYTEST)

$(VENV)/installed: setup.py pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Python 3.11 to 3.13 is needed; choose one: make PYTHON=python3.12 ..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:  ## Remove the environment and the tools' files, but no runs.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
