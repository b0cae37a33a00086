SHELL := bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python

help: ## what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.done ## the virtual environment, from the committed lock

# The stamp is newer than the lock only after a complete install, so an interrupted one is done again.
$(VENV)/.done: requirements.lock pyproject.toml
	@tests/sandbox/host-packages venv
	@test -x $(PY) || python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "setup: $$(python3 --version) is too old; install 3.11 or newer, as Debian 12 and Ubuntu 24.04 have" >&2; exit 1; }
	@echo "setup: installing the locked Python packages into $(VENV)" >&2
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# These keep what they compile: without that each of their many processes does it anew. They are three at a time for two
# processors, since whatever tries out what hangs waits.
TESTS := env -u PYTHONDONTWRITEBYTECODE -u HOMELAB_ENV -u HOMELAB_K3S_VERSION -u HOMELAB_REQUIRE \
	$(VENV)/bin/pytest -q -n 3 --dist worksteal tests/unit tests/deploys tests/charts

# mypy runs beside the tests.
check: setup ## format, lint, types, unit tests, rehearsal, charts; needs no machine
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@said=$$(mktemp); trap 'rm -f $$said' EXIT; $(VENV)/bin/mypy > $$said 2>&1 & types=$$!; \
	$(TESTS) -m "not broad" --hypothesis-profile check; tests=$$?; \
	wait $$types; types=$$?; cat $$said; exit $$((tests + types))

broad: setup ## what check leaves to make test: whole sweeps, seconds of real tools, properties with all their examples
	@$(TESTS) -m "broad or hypothesis"

sandbox: setup ## simulated hosts, deployed, verified and healthy; SANDBOX=small|ha|full|nfs
	@$(PY) -m tests.sandbox.run sandbox

sandbox-down: setup ## remove every trace of the simulated hosts
	@$(PY) -m tests.sandbox down

test: check ## the tests: check, broad, the small and the HA sandbox, a fault of each kind
	@$(PY) -m tests.sandbox.run test

test-all: check ## the rest: every sandbox and every fault
	@$(PY) -m tests.sandbox.run test-all

bench: setup ## how fast it is on the sandbox that runs, as ratios; PART=nas|deploy|health
	@HOMELAB_ENV=sandbox $(PY) -m tests.bench $(PART)

.PHONY: help setup check broad sandbox sandbox-down test test-all bench
