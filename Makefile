# `make train` runs the main job and `make test` the tests, each on a machine with
# only Python 3.11 to 3.13; both install into a virtual environment of their own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Processes that share the test files; each takes up to 5 GB.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: train test test-all lint clean

train: $(VENV)/installed
	$(BIN)/python scripts/train.py --preset=digits $(ARGS)

test: $(VENV)/installed-dev
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/installed-dev
	$(PYTEST) $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.py | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-dev: setup.py | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
