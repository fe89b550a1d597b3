# Two commands do everything on a fresh machine: `make caption` and `make test`.
# Each makes its virtual environment once and re-uses it until pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
IMAGES ?=
BIN = $(VENV)/bin

.PHONY: caption test check attack lint figures clean

caption: $(VENV)/.samples
	@$(BIN)/python -m captioning.predict $(IMAGES)

# A file of tests runs in one process, so that what its tests share is made once.
test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What to run while writing: linters, doctests and the tests that run no networks, in under a minute.
check: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m "not slow"

# Kills, full disks and damaged files, for the better part of an hour; docs/reliability.md has the results.
attack: $(VENV)/.test
	$(BIN)/python -m pytest tests/attack --attack -s

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# Which figures of README and docs were measured with the code as it is; MEASURE="NAME ..." measures some anew.
figures: $(VENV)/.test
	$(BIN)/python -m benchmarks.figures $(MEASURE)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.samples: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[samples]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.samples

clean:
	rm -rf $(VENV) build *.egg-info
