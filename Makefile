# Each command sets up what it needs on a fresh machine.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# pip compiles modules on one core; this does it on all. Some packages have files for other Pythons.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
CODE := sst_keras tests benchmarks data setup.py
# Test processes; 0 runs the tests in pytest's own process, as debuggers need it.
WORKERS ?= 2
PYTEST := CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: train flagship flagship-vectors check test fuzz clean

train: $(VENV)/installed  ## Train, evaluate, plot and export the main model.
	$(BIN)/sst-keras train lstm-attention --dataset auto

# The steps of the flagship. Each goes on where it was stopped, and is done once. Without a network,
# name vectors of a folder that SST_KERAS_DATA names: make flagship GLOVE=glove.6B.50d.sst
GLOVE ?= glove-wiki-gigaword-50
TEACHERS := $(foreach seed,1 2 3 4 5,saved_models/teacher/seed$(seed))
STUDENTS := $(TEACHERS:saved_models/teacher/%=saved_models/student/%)
LABELS := saved_models/pseudo-labels
FLAGSHIP := saved_models/flagship/seed1
# bfloat16 is faster on CPUs that have it, and much slower on others. To go on with what another CPU
# began, give its type: make flagship DTYPE=bfloat16.
DTYPE ?= $(shell grep -qsw -e avx512_bf16 -e bf16 /proc/cpuinfo && echo bfloat16 || echo float32)
SETTINGS = --vectors imdb_reviews-skip-gram-300.sst5 --vectors $(GLOVE) \
	--set model.matmul_dtype=$(DTYPE) --run-dir $(@D)

RUN := $(FLAGSHIP)/metrics.json
flagship: $(VENV)/installed $(if $(wildcard $(RUN)),,$(RUN))  ## Train the flagship, and first all that it learns from.
	test -d $(FLAGSHIP)/saved_model/1 || \
		{ $(BIN)/sst-keras plot $(FLAGSHIP) && $(BIN)/sst-keras export $(FLAGSHIP); }

flagship-vectors: $(VENV)/installed
	$(BIN)/sst-keras vectors fetch $(GLOVE)

# What a finished step was made from may have been deleted since.
unless = $(if $(wildcard $(1)),,$(2))
.SECONDEXPANSION:

saved_models/teacher/seed%/metrics.json: | flagship-vectors
	$(BIN)/sst-keras train teacher --seed $* $(SETTINGS)

$(LABELS)/teacher/sentences.npz: | $$(call unless,$$@,$(TEACHERS:%=%/metrics.json))
	$(BIN)/sst-keras label imdb_reviews --document-labels $(TEACHERS:%=--teacher %) --out $(@D)

saved_models/student/seed%/metrics.json: | $$(call unless,$$@,$(LABELS)/teacher/sentences.npz)
	$(BIN)/sst-keras train student --seed $* $(SETTINGS)

$(LABELS)/student/sentences.npz: | $$(call unless,$$@,$(STUDENTS:%=%/metrics.json))
	$(BIN)/sst-keras label imdb_reviews --document-labels --seed 2 --sentences 360000 \
		$(STUDENTS:%=--teacher %) --out $(@D)

$(RUN): | $(LABELS)/student/sentences.npz
	$(BIN)/sst-keras train flagship --seed 1 $(SETTINGS)

# Make would delete what a stopped command has finished.
.PRECIOUS: $(TEACHERS:%=%/metrics.json) $(STUDENTS:%=%/metrics.json) $(RUN) \
	$(LABELS)/teacher/sentences.npz $(LABELS)/student/sentences.npz
.NOTPARALLEL:

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
	$(INSTALL) --upgrade pip
	$(INSTALL) --editable .
	$(COMPILE)
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) --editable '.[test]'
	$(COMPILE)
	touch $@

fuzz: $(VENV)/installed-test  ## Search for inputs that our readers answer badly, for ten minutes.
	$(INSTALL) atheris
	$(BIN)/python -m tests.fuzz --seconds 40

clean:  ## Remove the environment and the tools' files, but no runs.
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
