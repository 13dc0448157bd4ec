# Two commands set everything up on a fresh machine: `make train` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: train test clean

train: $(VENV)/installed  ## Train, evaluate, plot and export the main model.
	$(BIN)/sst-keras train lstm-attention --dataset auto

test: $(VENV)/installed-test  ## Run everything that CI runs.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest

$(VENV)/installed: setup.py pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "Python 3.11 to 3.13 is needed; name one: make PYTHON=python3.12 ..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:  ## Remove the environment and what the tools left; runs stay.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
