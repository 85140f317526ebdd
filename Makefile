# Everything runs in .venv, which is made on first use and again when pyproject.toml or
# constraints.txt change. Nothing but Python, make and git has to be there beforehand.

PYTHON ?= python3
PYTEST_ARGS ?= --numprocesses=auto

VENV := .venv
PIP_INSTALL := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
	--constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo-installed ## train a CNN on digits; writes demo-output/
	$(VENV)/bin/python -m singa.demo

test: $(VENV)/.dev-installed ## run the tests; PYTEST_ARGS="tests/data -x" narrows them
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev-installed ## check style, formatting and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench: $(VENV)/.dev-installed ## run the benchmarks
	$(VENV)/bin/python benchmarks/run.py

clean: ## remove .venv and everything else that the other targets made
	rm -rf $(VENV) build demo-output dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +

# A stamp, because an interrupted venv may already have its bin/python.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'singa-xla needs Python 3.11 or newer, and $(PYTHON) is not;' \
			'name another one: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo-installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

# Holds what the demo needs as well, so that it is not set up a second time.
$(VENV)/.dev-installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[demo,dev]'
	@touch $(VENV)/.demo-installed $@
