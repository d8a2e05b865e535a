# Every target sets up .venv by itself when pyproject.toml or constraints.txt say something new.
# `make help` lists the targets.

PYTHON  ?= python3
WORKERS ?= 2

VENV := .venv
PY   := $(VENV)/bin/python

# Stamps carry the content of what they depend on; no file time is ever compared.
CONTENT    := $(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
STAMP      := $(VENV)/.ready-$(CONTENT)
DOCS_STAMP := $(VENV)/.docs-ready-$(CONTENT)
PEERS_STAMP := $(VENV)/.peers-ready-$(CONTENT)
INSTALL    := $(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt

# Arrays here are small: threads inside one process only get in each other's way, so parallel
# work is done by processes, one thread each.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help reproduce test test-all test-gpu lint docs bench bench-gpu clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

reproduce: $(STAMP) ## check all claims, draw all figures, validate on a language model, report
	@mkdir -p report
	@$(PY) -m prefdyn validate --size quick --out report/validation > report/validation.txt
	@tail -n 1 report/validation.txt
	@$(PY) -m figures --report

test: $(STAMP) ## the fast tests
	@$(PY) -m pytest -q -n $(WORKERS)

test-all: $(DOCS_STAMP) ## every test, with many more random examples
	@$(PY) -m pytest -q -n $(WORKERS) -m "slow or not slow" --hypothesis-profile=thorough

test-gpu: ## the kernels against float64, on this machine's GPU; needs torch, triton, numpy, pytest
	@$(PYTHON) -m tests.llm.kernels.suite -q

lint: $(STAMP) ## style, types and the import contracts
	@$(PY) -m ruff check -q .
	@$(PY) -m ruff format -q --check .
	@$(PY) -m pyright
	@PYTHONPATH=. $(VENV)/bin/lint-imports --no-logo

docs: $(DOCS_STAMP) ## the documentation, in docs/_build/html
	@$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(PEERS_STAMP) ## this package against its peers, as ratios
	@$(PY) -m benchmarks

bench-gpu: ## the kernels against their peers, on this machine's GPU
	@$(PYTHON) -m benchmarks.gpu

clean: ## remove everything that a command here rebuilds, except .venv
	@rm -rf .cache .hypothesis .import_linter_cache .pytest_cache .ruff_cache \
		build dist docs/_build docs/_generated figures/output report
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(STAMP):
	@command -v $(PYTHON) > /dev/null && \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "prefdyn needs Python 3.11 or newer, which '$(PYTHON)' is not: run make again" \
			"with PYTHON=python3.11, or wherever yours is."; exit 1; }
	@echo "Setting up $(VENV) (a few minutes the first time) ..."
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e '.[dev]'
	@rm -f $(VENV)/.ready-*
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@echo "Installing the documentation tools ..."
	@$(INSTALL) -e '.[docs]'
	@rm -f $(VENV)/.docs-ready-*
	@touch $@

$(PEERS_STAMP): $(STAMP)
	@echo "Installing what the benchmarks compare with ..."
	@$(INSTALL) -e '.[peers]'
	@rm -f $(VENV)/.peers-ready-*
	@touch $@
