# Two commands a newcomer needs: `make demo` and `make test`. Both set everything up first.
# Needs python3 >= 3.11.1 and make; PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
DEMO ?= demo

export UV_PYTHON_DOWNLOADS = never
UV := .tools/bin/uv
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-all lint format docs bench lock clean help
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV): requirements/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 1))' || \
	  { echo "lociscope needs Python 3.11.1 or newer, '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Pass PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -m venv --clear .tools || \
	  { echo "'$(PYTHON)' cannot make a virtual environment: venv or ensurepip is missing. On Debian and Ubuntu: apt-get install python3-venv." >&2; exit 1; }
	@.tools/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/tools.txt
	@touch $(UV)

$(READY): $(UV) requirements/dev.txt pyproject.toml
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(READY)

demo: $(READY) ## set up, then tell the whole story in miniature; prints the path of a report
	@$(BIN)/lociscope demo -o $(DEMO)

test: $(READY) ## set up, then run the tests (minutes)
	$(BIN)/pytest -m "not slow" -n 2

test-all: $(READY) ## the tests that take longer too
	$(BIN)/pytest -n 2

lint: $(READY) ## style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## rewrite the files in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(READY) ## run every benchmark and gather benchmarks/results.json
	$(BIN)/python benchmarks/run.py
	$(BIN)/python docs/_generate/benchmarks_page.py > docs/reference/benchmarks.md

lock: $(UV) ## resolve requirements/*.txt anew
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade requirements/tools.in -o requirements/tools.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade pyproject.toml -o requirements/base.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade pyproject.toml --extra all --group dev --group docs -o requirements/dev.txt

clean: ## remove the environment and what was made
	rm -rf .venv .tools site $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis
