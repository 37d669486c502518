# A fresh machine needs Python >= 3.11, make and a network. Python packages are installed only into this folder;
# `make servers` installs what else is missing for the whole system.
# `make test AIRFLOW=3.4.0b2` and the like work in a virtual environment of their own.

AIRFLOW ?= 3.3.2
PYTHON  ?= python3
STORE   ?= files
KEEP    ?=
QUICK   ?=

# What decides, seals and binds is tested down to the last branch; of all the rest at least this much, in percent.
FULLY_COVERED  := */scopes/*,*/format/*,*/access/*,*/crypto/*,*/server/decisions.py
LEAST_COVERAGE := 95

VENV := .venv-$(AIRFLOW)
BIN  := $(CURDIR)/$(VENV)/bin
LOCK := requirements/airflow-$(AIRFLOW).txt
UV    = $(BIN)/uv
PIP   = $(UV) pip install --python $(BIN)/python --compile-bytecode

SOURCES := $(shell find airflow_provider_exclusive -name '*.py' -o -name py.typed) pyproject.toml
CHECKED := airflow_provider_exclusive stack demo tests example_dags $(wildcard benchmarks)

# The certificates of this machine, as pip and curl use them.
export UV_SYSTEM_CERTS ?= 1
# No Airflow of the developer's own may be touched, and no source tree may come before the installed package.
export AIRFLOW_HOME := $(CURDIR)/build/airflow-home
unexport PYTHONPATH
# Without compiled files every test process rewrites the assertions of all test modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test unit coverage lint ruff types imports budgets integration bench servers lock clean

help: ## list these targets
	@echo "usage: make TARGET [AIRFLOW=$(AIRFLOW)] [PYTHON=$(PYTHON)]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# With a trap, Ctrl-C does not kill the shell: whether it was an error is for the demonstration to say.
demo: $(VENV)/.package ## watch a real Airflow pass exclusive values [STORE=redis] [KEEP=1: leave the UI open]
	@if [ "$(STORE)" = redis ]; then $(BIN)/python -m stack.system_packages redis; fi
	@trap : INT; $(BIN)/python -m demo --store "$(STORE)" $(if $(KEEP),--keep)

test: lint coverage integration ## everything: lint, unit tests, then the rest of the tests against the built wheel

unit: $(VENV)/.development ## the tests that start no server (seconds)
	$(BIN)/python -m pytest -n auto tests/unit

coverage: $(VENV)/.development ## the unit tests, and what they reach: every branch of the core, most of the rest
	$(BIN)/python -m pytest -n auto --cov --cov-report= tests/unit
	$(BIN)/coverage report --include='$(FULLY_COVERED)' --fail-under=100
	$(BIN)/coverage report --fail-under=$(LEAST_COVERAGE)

lint: ruff types imports budgets ## ruff, types, imports and budgets

ruff: $(VENV)/.development ## ruff check and ruff format --check
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)

types: $(VENV)/.development ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.development ## the import contracts between the rooms of the package
	$(BIN)/lint-imports

budgets: $(VENV)/.development ## the length of modules and functions; prints the largest
	$(BIN)/python tests/budgets.py

# The tests run in a copy without the source tree, so that they can import nothing but the installed wheel.
integration: $(VENV)/.development servers ## the tests with real servers and a real Airflow, against the built wheel
	rm -rf build/wheel-tests && mkdir -p build/wheel-tests
	cp -R pyproject.toml README.md docs stack demo example_dags benchmarks tests build/wheel-tests/
	cd build/wheel-tests && EXCLUSIVE_TEST_WHEEL=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder tests/airflow
	cd build/wheel-tests && EXCLUSIVE_TEST_WHEEL=1 $(BIN)/python -m pytest -n auto tests/integration

# matplotlib and what it needs are not in the lock files: only this target draws.
bench: $(VENV)/.development servers ## measure this backend and others beside Airflow's own (half an hour) [QUICK=1: 3 minutes]
	$(PIP) --quiet --group bench --constraint $(LOCK) --prerelease allow
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

servers: $(VENV)/.package ## install redis-server and PostgreSQL by the system's package manager where missing
	@$(BIN)/python -m stack.system_packages redis postgresql

lock: $(VENV)/.venv ## renew the lock file of an Airflow version
	echo 'apache-airflow==$(AIRFLOW)' | $(UV) pip compile pyproject.toml - --extra pandas --extra polars --extra numpy --extra pyarrow \
	  --group test --group lint --group build --python-version 3.11 --prerelease if-necessary-or-explicit --upgrade \
	  --no-annotate --no-header --no-emit-index-url --quiet --output-file $(LOCK)

clean: ## remove the virtual environments and everything that was built
	rm -rf build dist .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.venv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python >= 3.11 is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -1). Name another: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo '"$(PYTHON) -m venv" failed. On Debian and Ubuntu it is in a package of its own: apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --requirement requirements/uv.txt
	@touch $@

# The wheel is installed, not the source tree: what the demonstration and the tests see is what users get.
$(VENV)/.package: $(LOCK) $(VENV)/.venv $(SOURCES)
	rm -rf build/wheel && $(UV) build --quiet --wheel --python $(BIN)/python --build-constraints $(LOCK) --out-dir build/wheel
	$(PIP) --constraint $(LOCK) --prerelease allow --reinstall-package airflow-provider-exclusive "$$(ls build/wheel/*.whl)[pandas]"
	@touch $@

$(VENV)/.development: $(VENV)/.package $(LOCK)
	$(PIP) --requirement $(LOCK)
	@touch $@

$(LOCK):
	@echo 'There is no lock file for Airflow $(AIRFLOW), only for $(patsubst requirements/airflow-%.txt,%,$(wildcard requirements/airflow-*.txt)). `make lock AIRFLOW=$(AIRFLOW)` makes one.' >&2; exit 1
