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
	@echo "setup: installing the locked Python packages into $(VENV)" >&2
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

.PHONY: help setup
