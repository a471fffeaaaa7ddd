# Everything runs in .venv, which is created on first use and again when requirements.lock or pyproject.toml changes.
# Needed beforehand: Python 3.11 or newer with venv (on Debian: python3-venv), git, make; Node.js and npm for `make check`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# More arguments for pytest, as in `make test PYTEST_ARGS="-k consent"`.
PYTEST_ARGS ?=

# Four processes, each with its own PostgreSQL. Tests wait for servers as long as they compute: two cores run four.
SIDE_BY_SIDE := -n 4 --dist worksteal

# The version of uv that writes the lock files; nothing else uses it.
UV_VERSION := 0.13.9

# The version of pip-audit that looks for vulnerabilities, and how many seconds it may take.
AUDIT_VERSION := 2.10.1
AUDIT_SECONDS := 120

# Child processes must find the tools of .venv, also if they start others by name.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
# Keep bytecode, even if the environment says otherwise: dozens of processes are started here.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo dev test histories ordeal check format lint types imports audit coverage location lock bench bench-scripts screenshots clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP) ## Sync sample data once, end to end, with nothing to set up
	$(BIN)/mailchimp-pipeline demo

dev: $(STAMP) ## Start the API, Dagster with its UI and the sandbox, until Ctrl-C
	$(BIN)/mailchimp-pipeline dev

test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

# These suites are long on purpose: their tests are not ended for taking long.
UNTIMED := -o faulthandler_timeout=0

# How many histories; several of these may run in parallel, each draws different ones.
HISTORIES ?= 2000
histories: $(STAMP) ## Play HISTORIES new random histories of consent and report what happened (hours)
	$(BIN)/python -m pytest mailchimp_pipeline_tests/consent/test_histories.py $(UNTIMED) --histories=$(HISTORIES) \
		$(PYTEST_ARGS)

ordeal: $(STAMP) ## Kill a hundred processes and try twenty mixes of faults (twenty minutes)
	$(BIN)/python -m pytest mailchimp_pipeline_tests/faults mailchimp_pipeline_tests/killed \
		mailchimp_pipeline_tests/contention $(UNTIMED) --kills 100 --mixes 20 $(PYTEST_ARGS)

check: lint types imports location audit coverage bench-scripts ## Run everything that CI checks

format: $(STAMP) ## Format the code and fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

# Pyright ignores directories whose name starts with a dot, so it gets a copy of .ci.
types: $(STAMP)
	$(BIN)/pyright
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && cp .ci/*.py "$$copy" && $(BIN)/pyright "$$copy"

imports: $(STAMP)
	$(BIN)/lint-imports

# An empty DAGSTER_HOME: the code location must load with no instance, no database and no variable set.
location: $(STAMP)
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
	env -i PATH="$$PATH" HOME="$$home" DAGSTER_HOME="$$home" $(BIN)/dagster definitions validate

coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report=term $(PYTEST_ARGS)

# In its own environment, since its dependencies are not the pipeline's. Only a known vulnerability fails.
audit: $(STAMP) ## Look for known vulnerabilities in what requirements.lock pins
	test -x $(VENV)/audit/bin/pip || $(PYTHON) -m venv $(VENV)/audit
	report=$$(mktemp) && trap 'rm -f "$$report"' EXIT && \
	{ timeout $(AUDIT_SECONDS) sh -c '$(VENV)/audit/bin/pip install --quiet pip-audit==$(AUDIT_VERSION) && \
		$(VENV)/audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip --progress-spinner off \
		--format json --output "$$0"' "$$report" 2>/dev/null || true; } && \
	$(BIN)/python .ci/audit.py "$$report"

bench: $(STAMP) ## Measure performance (about 20 minutes, on an otherwise idle machine)
	$(BIN)/python -m bench.report

# At 1/20 of the size, to see that the scripts work: the figures mean nothing then.
bench-scripts: $(STAMP)
	$(BIN)/python -m bench.report --scale 1/20

screenshots: $(STAMP) ## Take the README's screenshots of the dashboard again; needs Chromium
	$(BIN)/python -m docs.screenshots

lock: $(STAMP) ## Pin every dependency again, with hashes
	$(BIN)/pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade --generate-hashes \
		--no-annotate --no-header --no-emit-index-url --quiet --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra container --universal --python-version 3.11 --generate-hashes \
		--constraint requirements.lock --no-annotate --no-header --no-emit-index-url --quiet \
		--output-file deploy/requirements.lock
	echo hatchling | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes \
		--constraint requirements.lock --no-annotate --no-header --no-emit-index-url --quiet \
		--output-file deploy/build.lock

clean: ## Remove .venv and the caches of the tools; keeps .local with its database and keys
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache .pytest_cache .ruff_cache

# The lock is complete, so pip has nothing to resolve (--no-deps); every file is a wheel whose hash is known.
# Bytecode is left to the first import: compiling what is never imported takes longer than the rest.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --no-compile --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	touch $@
