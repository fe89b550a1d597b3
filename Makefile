# Two commands do everything on a fresh machine: `make caption` and `make test`.
# Each makes its virtual environment once and re-uses it until pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
IMAGES ?=
BIN = $(VENV)/bin

.PHONY: caption test lint clean

caption: $(VENV)/.samples
	@$(BIN)/python -m captioning.predict $(IMAGES)

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

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
