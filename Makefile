# Everything runs in .venv, which is made on first use and again when pyproject.toml or
# constraints.txt change. Nothing but Python, make and git has to be there beforehand.

PYTHON ?= python3
PYTEST_ARGS ?= --numprocesses=auto --dist=worksteal

VENV := .venv
KERNELS := $(wildcard kernels/*.* kernels/src/*.* kernels/src/*/*.*)
PIP_INSTALL := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
	--constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick lint docs package compatibility bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo-installed $(VENV)/.kernels-built ## train a CNN on digits; writes demo-output/
	$(VENV)/bin/python -m singa.cli.demo

test: $(VENV)/.dev-installed $(VENV)/.kernels-built ## run the tests; PYTEST_ARGS="tests/data -x" narrows them
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

test-quick: $(VENV)/.dev-installed $(VENV)/.kernels-built ## run a few tests of each module, while editing
	$(VENV)/bin/python -m pytest --quick $(PYTEST_ARGS)

lint: $(VENV)/.dev-installed ## check style, formatting and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

docs: $(VENV)/.dev-installed ## build the site into build/docs, after what is made from the code
	$(VENV)/bin/python -m docs.compatibility
	$(VENV)/bin/python -m docs.differences
	$(VENV)/bin/python -m docs.kinks
	$(VENV)/bin/python -m docs.onnx_operators
	$(VENV)/bin/python -m docs.house
	$(VENV)/bin/python -m docs.drawings
	$(VENV)/bin/python -m sphinx --builder html --doctree-dir build/doctrees --jobs auto \
		--fail-on-warning --keep-going docs build/docs

package: $(VENV)/.dev-installed $(VENV)/.kernels-built ## build a release into dist/, and try it in an empty environment
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist
	@if [ "$$(uname -sm)" = "Linux x86_64" ] && command -v c++ > /dev/null; then \
		$(VENV)/bin/python -m build --no-isolation --outdir dist kernels; \
	else \
		echo "native kernels: no wheel, for want of a C++ compiler or of Linux on x86-64"; \
		$(VENV)/bin/python -m build --sdist --outdir dist kernels; \
	fi
	$(VENV)/bin/python -m tests.packaging.check dist

compatibility: $(VENV)/.dev-installed ## run a part of the tests with the lowest and the newest dependencies
	$(VENV)/bin/python -m tests.packaging.compatibility

bench: $(VENV)/.dev-installed $(VENV)/.kernels-built ## time training steps beside their peers; writes bench.json
	$(VENV)/bin/python -m benchmarks.steps --json bench.json

clean: ## remove .venv and everything else that the other targets made
	rm -rf $(VENV) build kernels/build demo-output dist bench.json .hypothesis .mypy_cache .pytest_cache .ruff_cache
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
	$(PIP_INSTALL) --editable '.[demo,dev,docs]'
	@touch $(VENV)/.demo-installed $@

# The native kernels make convolutional steps about twice as fast. Nothing needs them: where they
# cannot be built this says so, and that is all. They are built against the jaxlib that they will
# run with, hence no isolated build.
$(VENV)/.kernels-built: $(VENV)/.created $(KERNELS) | $(VENV)/.demo-installed
	@if [ "$$(uname -sm)" != "Linux x86_64" ]; then \
		echo "native kernels: not for $$(uname -sm); everything works without them"; \
	elif ! command -v c++ > /dev/null; then \
		echo "native kernels: no C++ compiler (c++); everything works without them"; \
	elif ! { $(VENV)/bin/python -c 'import tomllib as t; \
			print(*t.load(open("kernels/pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
			> $(VENV)/kernels-requires.txt && \
		$(PIP_INSTALL) --requirement $(VENV)/kernels-requires.txt && \
		$(PIP_INSTALL) --no-build-isolation --force-reinstall --no-deps ./kernels && \
		$(PIP_INSTALL) ./kernels --no-build-isolation; }; then \
		echo "native kernels: could not be built (see above); everything works without them"; \
	else \
		echo "native kernels: built"; \
	fi
	@touch $@
