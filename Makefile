# Two commands a newcomer needs: `make demo` and `make test`. Both set everything up first.
# Needs python3 >= 3.11.1 and make; PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
DEMO ?= demo

export UV_PYTHON_DOWNLOADS = never
UV := .tools/bin/uv
BIN := .venv/bin
READY := .venv/.ready

# Container images set this, and each process of the tests would compile what it imports again: 8 s of CPU for TensorFlow.
export PYTHONDONTWRITEBYTECODE =

# `make test-matrix` runs the tests on those of these that are present; PYTHON_3.13=/path/to/python3 names one.
VERSIONS := 3.11 3.12 3.13
PYTHON_3.11 ?= python3.11
PYTHON_3.12 ?= python3.12
PYTHON_3.13 ?= python3.13

.PHONY: demo test test-all test-matrix $(VERSIONS:%=test-%) test-lowest test-napari test-camacq coverage lint format docs bench sbom lock clean help
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(UV): requirements/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 1))' || \
	  { echo "lociscope needs Python 3.11.1 or newer, '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Pass PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -m venv --clear .tools || \
	  { echo "'$(PYTHON)' cannot make a virtual environment: venv or ensurepip is missing. On Debian and Ubuntu: apt-get install python3-venv." >&2; exit 1; }
	@.tools/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r requirements/tools.txt
	@touch $(UV)

# A virtual environment in folder $1 for interpreter $2, with what the lock $3 names and this checkout.
define install
	@$(UV) venv --quiet --clear --python "$$($2 -c 'import sys; print(sys.executable)')" $1
	@$(UV) pip install --quiet --python $1/bin/python --require-hashes -r $3
	@$(UV) pip install --quiet --python $1/bin/python --no-deps --editable .
	@touch $1/.ready
endef

$(READY): $(UV) requirements/dev.txt pyproject.toml
	$(call install,.venv,$(PYTHON),requirements/dev.txt)

demo: $(READY) ## set up, then tell the whole story in miniature; prints the path of a report
	@$(BIN)/lociscope demo -o $(DEMO)

# One thread of BLAS for each process of pytest: with more, they wait for each other on the same cores.
test: $(READY) ## set up, then run the tests (minutes)
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile

coverage: $(READY) ## the same tests, and the share of lines that they run, which has a floor
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n 2 --dist loadfile --cov --cov-report=term

test-all: $(READY) ## every test: also browsers, database servers, documented commands, other interpreters
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term
	$(MAKE) test-matrix test-lowest test-napari test-camacq

test-matrix: ## the tests on every supported Python that is present
	@for version in $(VERSIONS); do $(MAKE) --no-print-directory test-$$version || exit 1; done

test-lowest: .venvs/lowest/.ready ## the tests with the oldest releases that pyproject.toml allows
	OPENBLAS_NUM_THREADS=1 .venvs/lowest/bin/pytest -m "not slow" -n 2 --dist loadfile

test-napari: .venvs/napari/.ready ## the tests of the napari plugin, headless, in an environment with Qt
	QT_QPA_PLATFORM=offscreen .venvs/napari/bin/pytest -p no:napari -p no:npe2 tests/napari_plugin

test-camacq: $(UV) ## the tests of the camacq plugin, inside camacq, which needs Python 3.12
	@if $(PYTHON_3.12) --version >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory .venvs/camacq/.ready && .venvs/camacq/bin/pytest tests/camacq_plugin; \
	else echo "'$(PYTHON_3.12)' does not run here: the camacq plugin is not tested. Pass PYTHON_3.12=/path/to/python3.12."; fi

$(VERSIONS:%=test-%): test-%: $(UV)
	@if $(PYTHON_$*) --version >/dev/null 2>&1; then \
	  $(MAKE) --no-print-directory .venvs/$*/.ready && OPENBLAS_NUM_THREADS=1 .venvs/$*/bin/pytest -m "not slow" -n 2 --dist loadfile; \
	else echo "'$(PYTHON_$*)' does not run here: Python $* is not tested. Pass PYTHON_$*=/path/to/python3."; fi

.venvs/camacq/.ready: $(UV) requirements/camacq.txt pyproject.toml
	$(call install,.venvs/camacq,$(PYTHON_3.12),requirements/camacq.txt)

$(VERSIONS:%=.venvs/%/.ready): .venvs/%/.ready: $(UV) requirements/dev.txt pyproject.toml
	$(call install,.venvs/$*,$(PYTHON_$*),requirements/dev.txt)

.venvs/lowest/.ready: $(UV) requirements/lowest.txt pyproject.toml
	$(call install,.venvs/lowest,$(PYTHON),requirements/lowest.txt)

.venvs/napari/.ready: $(UV) requirements/napari.txt pyproject.toml
	$(call install,.venvs/napari,$(PYTHON),requirements/napari.txt)

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

sbom: $(READY) ## write what the locks install, as CycloneDX, into sbom/
	@mkdir -p sbom
	@for name in base serve; do \
	  PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o sbom/$$name.cdx.json requirements/$$name.txt || exit 1; \
	done

lock: $(UV) ## resolve requirements/*.txt anew
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade requirements/tools.in -o requirements/tools.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade pyproject.toml -o requirements/base.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade pyproject.toml --extra serve -o requirements/serve.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade pyproject.toml --extra all --group dev --group docs -o requirements/dev.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade pyproject.toml --extra napari --group napari -o requirements/napari.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.12 --upgrade pyproject.toml --extra camacq --group camacq -o requirements/camacq.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11.1 --upgrade --resolution lowest-direct pyproject.toml --extra all --group dev -o requirements/lowest.txt

clean: ## remove the environment and what was made
	rm -rf .venv .venvs .tools site sbom $(DEMO) .mypy_cache .ruff_cache .pytest_cache .hypothesis
