# `make train` runs the main job and `make test` the tests, each on a machine with
# only Python 3.11 to 3.13; both install into a virtual environment of their own.
PYTHON ?= python3
VENV ?= .venv
OLDEST ?= .venv-oldest
BIN := $(VENV)/bin
# Processes that share the test files; each takes up to 5 GB.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: train test test-all test-oldest lint docs notebooks clean

train: $(VENV)/installed
	$(BIN)/keras-gan train --preset=digits $(ARGS)

test: $(VENV)/installed-dev
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/installed-dev
	$(PYTEST) $(ARGS)

# The fast tests with the oldest versions that setup.py allows, in an environment of
# their own. The oldest TensorFlow is there for Python 3.11 and 3.12 alone.
test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" $(ARGS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The site of the documentation, in build/site.
docs: $(VENV)/installed-docs
	$(BIN)/mkdocs build --strict $(ARGS)

# Runs the lectures anew and keeps their outputs; ARGS names one.
notebooks: $(VENV)/installed-dev
	$(BIN)/python notebooks/execute.py $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.py | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e .
	touch $@

$(VENV)/installed-dev: setup.py | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e ".[dev]"
	touch $@

$(VENV)/installed-docs: setup.py | $(VENV)/bin/python
	$(BIN)/python $(PIP_INSTALL) -e ".[docs]"
	touch $@

# First the package alone, whose metadata then name the lower bounds.
$(OLDEST)/installed: setup.py .ci/lower_bounds.py
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python $(PIP_INSTALL) --no-deps -e .
	$(OLDEST)/bin/python .ci/lower_bounds.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python $(PIP_INSTALL) -e ".[dev]" -c $(OLDEST)/constraints.txt
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build *.egg-info
