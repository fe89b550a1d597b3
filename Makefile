# Three commands do everything on a fresh machine: `make caption`, `make demo` and `make test`.
# Each makes its virtual environment once and re-uses it until pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
IMAGES ?=
BIN = $(VENV)/bin

.PHONY: caption demo test check attack test-lowest lint figures clean

caption: $(VENV)/.samples
	@$(BIN)/python -m captioning.predict $(IMAGES)

# A page on which to try all three applications.
demo: $(VENV)/.demo
	@$(BIN)/python -m unrolled demo

# A file of tests runs in one process, so that what its tests share is made once.
test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What to run while writing: linters, doctests and the tests that run no networks, in under a minute.
check: $(VENV)/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m "not slow"

# The long attacks, for the better part of an hour: kills, full disks, and 20,000 mutated files of each kind;
# docs/reliability.md has the results.
attack: $(VENV)/.test
	$(BIN)/python -m pytest tests/attack --attack --hypothesis-profile attack -s

# The tests with the lowest versions that pyproject.toml admits, in a virtual environment of their own.
test-lowest: $(LOWEST)/.test
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

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

# Gradio asks for pillow<13 and works with 13, in which known holes in decoders are closed (SECURITY.md). pip does not
# resolve the two together, so they are installed one after the other.
define install_gradio
$(BIN)/python -m pip install --quiet --no-warn-conflicts 'gradio>=6.31,<7'
$(BIN)/python -m pip install --quiet --no-warn-conflicts 'pillow>=13'
endef

$(VENV)/.demo: $(VENV)/.samples
	$(install_gradio)
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	$(install_gradio)
	@touch $@ $(VENV)/.samples $(VENV)/.demo

$(LOWEST)/.test: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --editable '.[test]' --constraint $(LOWEST)/lowest.txt
	@touch $@

clean:
	rm -rf $(VENV) $(LOWEST) build *.egg-info
