# make demo   install into .venv and run the main job on the embedded data
# make test   install with the test extras, lint, type-check, run the tests
# make package  build the wheel and the source distribution into dist/, and run the wheel in an environment of its own
# make site   build the documentation as a site into build/site, strictly
# Another interpreter: make PYTHON=python3.12 …

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Byte code is kept even where the shell says not to: else every process that a test starts compiles the package anew.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

.PHONY: demo test test-slow package site lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/aqakit demo

# Work stealing leaves neighbours on one worker, so the fixtures of a module are mostly made once.
test: lint
	$(PYTEST) -n 2 --dist worksteal

test-slow: $(VENV)/.installed-test
	$(PYTEST) -m slow

package: $(VENV)/.installed-test
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(PYTEST) -m "" tests/test_package.py

# Material warns of what MkDocs 2 will change; pyproject.toml asks for MkDocs 1.
site: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps keep a second call from installing again while the two files below are unchanged.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing aqakit into $(VENV); the first time takes a few minutes"
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing aqakit with its test extras into $(VENV); the first time takes a few minutes"
	$(INSTALL) -e ".[test]"
	@touch $(VENV)/.installed $@

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(VENV)/pyvenv.cfg
	@echo "installing what builds the site into $(VENV)"
	$(INSTALL) -e ".[docs]"
	@touch $(VENV)/.installed $@

# A half-made environment (Debian without python3-venv) must not pass for a whole one.
$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; aqakit needs Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "aqakit needs Python 3.11 or newer, and $(PYTHON) is older; say which to use: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
