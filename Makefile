# Everything a newcomer types. `make help` lists it.

# The interpreter of .venv if there is one, so that `make PYTHON=python3.13 setup` is needed only once.
PYTHON ?= $(or $(wildcard .venv/bin/python),python3)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PARTS := chassis cli $(sort $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml)))
INSTALLED := .venv/installed-$(VERSION)

# Many processes of the same modules start here, so they are compiled once, also where the environment forbids it.
export PYTHONDONTWRITEBYTECODE :=

# Evaluated only where it is used: Docker is optional.
COMPOSE = $(if $(shell docker compose version 2>/dev/null),docker compose,docker-compose)
TAG = $(or $(CARTWRIGHT_VERSION),latest)
BUILD_ARGS = $(if $(PYTHON_VERSION),--build-arg PYTHON_VERSION=$(PYTHON_VERSION))

# A .venv without its interpreter has to be made again.
ifeq ($(wildcard .venv/bin/python),)
$(shell rm -rf .venv)
endif

.PHONY: help setup up down test volume-test chaos crash-test bench lint new-service docker-secrets docker-gateway docker-up docker-down docker-verify docker-test
.DEFAULT_GOAL := help

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(INSTALLED) ## make .venv from requirements.lock; does nothing when it is current

up: setup ## start everything; Ctrl-C stops it. Options: make up ARGS="--detach --port 9000"
	@.venv/bin/cartwright up $(ARGS)

down: setup ## stop what `make up ARGS=--detach` started
	@.venv/bin/cartwright down $(ARGS)

test: setup ## run all tests
	.venv/bin/pytest $(ARGS)

volume-test: setup ## run the event tests with tens of thousands of events instead of thousands
	.venv/bin/pytest -n0 -m matrix chassis/tests $(ARGS)

crash-test: setup ## crash each service at each failpoint of an order. ARGS="-k purchase" for a part
	.venv/bin/pytest -m matrix tests/chaos/test_crash_matrix.py $(ARGS)

chaos: setup ## simulate the checkout, then inject faults into a system under load. ARGS="--minutes 30 --seed 1"
	HYPOTHESIS_PROFILE=thorough .venv/bin/pytest -n0 -q services/orders/tests/test_checkout_simulation.py
	@.venv/bin/cartwright chaos $(ARGS)

bench: setup ## measure a system of its own beside pgbench. ARGS="--seconds 5 --clients 64,256" for a short one
	@.venv/bin/cartwright bench $(ARGS)

# With TRACED=1, which `docker-down` needs as well, all parts send their traces to Jaeger.
ifdef TRACED
export COMPOSE_PROFILES = tracing
export GATEWAY_CONFIGURATION = envoy-traced.yaml
export OTEL_EXPORTER_OTLP_ENDPOINT = http://jaeger:4318
endif

# TRUSTED_PROXIES=1 (or their networks), and TLS=1 for the certificate in secrets/tls: Envoy has a configuration for that.
ifneq ($(TRUSTED_PROXIES)$(TLS),)
export GATEWAY_CONFIGURATION = envoy-own.yaml
endif

docker-secrets: ## make the missing secrets of a system under Docker, in secrets/
	@docker build --quiet --file deploy/tools.Dockerfile $(BUILD_ARGS) --tag cartwright/tools:$(TAG) . >/dev/null
	@mkdir -p secrets
	@docker run --rm --network none --user "$$(id -u):$$(id -g)" --volume "$(CURDIR)/secrets:/secrets" \
		cartwright/tools:$(TAG) secrets /secrets

docker-gateway: docker-secrets
ifneq ($(TRUSTED_PROXIES)$(TLS),)
	@docker run --rm --network none --user "$$(id -u):$$(id -g)" --volume "$(CURDIR)/secrets:/secrets:ro" \
		cartwright/tools:$(TAG) gateway --trusted-proxies "$(TRUSTED_PROXIES)" \
		$(if $(TLS),--tls /secrets/tls) $(if $(TRACED),--traced) > deploy/compose/envoy-own.yaml
endif

docker-up: docker-gateway ## build everything, start it under Docker, and return when it is ready
	@$(COMPOSE) up --detach --build
	@$(COMPOSE) exec -T gateway timeout 60 bash -c 'until exec 3<>/dev/tcp/127.0.0.1/8080; do sleep 0.2; done' 2>/dev/null
	@echo "Cartwright is ready at http$(if $(TLS),s)://localhost:$${GATEWAY_PORT:-8080}"

docker-down: ## stop what docker-up started; the data stays. ARGS=--volumes removes it
	@$(COMPOSE) down --remove-orphans $(ARGS)

docker-verify: ## check every promise on the data of the system under Docker
	@$(COMPOSE) run --rm -T tools verify $(ARGS)

docker-test: setup ## build and start all under Docker, buy, kill each container, cut each network, upgrade; minutes
	.venv/bin/pytest -n0 -m docker tests/docker $(ARGS)

new-service: setup ## make a service from deploy/service-template: make new-service NAME=loyalty
	@.venv/bin/python tools/new_service.py $(NAME)

lint: setup ## check format, types, the direction of imports, the style rules and commit subjects
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/mypy tools
	.venv/bin/python tools/style_rules.py
	.venv/bin/python tools/commit_subjects.py

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
