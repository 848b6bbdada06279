# Everything a newcomer types. `make help` lists it.

# The interpreter of .venv once there is one, so that `make PYTHON=python3.13 setup` is said once.
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PARTS := chassis cli $(sort $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml)))
INSTALLED := .venv/installed-$(VERSION)

# A .venv whose interpreter is gone has to be made anew.
ifeq ($(wildcard .venv/bin/python),)
$(shell rm -rf .venv)
endif

.PHONY: help setup up down test chaos crash-test bench lint
.DEFAULT_GOAL := help

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(INSTALLED) ## make .venv as requirements.lock says; nothing to do when it is current

up: setup ## start everything; Ctrl-C stops it. Options: make up ARGS="--detach --port 9000"
	@.venv/bin/cartwright up $(ARGS)

down: setup ## stop what `make up ARGS=--detach` started
	@.venv/bin/cartwright down $(ARGS)

test: setup ## run all tests
	.venv/bin/pytest $(ARGS)

crash-test: setup ## crash each service at each place on the way of an order. ARGS="-k purchase" for a part
	.venv/bin/pytest -m matrix tests/chaos/test_crash_matrix.py $(ARGS)

chaos: setup ## simulate the checkout thoroughly, then break a system under load. ARGS="--minutes 30 --seed 1"
	HYPOTHESIS_PROFILE=thorough .venv/bin/pytest -n0 -q services/orders/tests/test_checkout_simulation.py
	@.venv/bin/cartwright chaos $(ARGS)

bench: setup ## measure a system of its own beside pgbench. ARGS="--seconds 5 --clients 64,256" for a short one
	@.venv/bin/cartwright bench $(ARGS)

lint: setup ## check format, rules, types and the direction of imports
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports

# uv itself comes from the lock file, by pip and with its hashes; then uv installs the rest.
$(INSTALLED): requirements.lock $(PARTS:=/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or later is needed. Name one: make PYTHON=python3.13 setup"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || [ -x .venv/bin/python$(VERSION) ] || \
		{ echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@[ -x .venv/bin/python$(VERSION) ] || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	@echo "Installing what requirements.lock names into .venv ..."
	@sed -n '/^uv==/,/^    #/p' requirements.lock > .venv/uv.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	@.venv/bin/uv pip sync --quiet --python .venv --require-hashes --compile-bytecode requirements.lock
	@.venv/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation $(addprefix -e ,$(PARTS))
	@touch $@
