# Verbs: check unit test image run demo bench fuzz. Each installs what it needs (apt-get as root, pip in a venv).
SHELL := /bin/bash
CACHE ?= $(or $(HOGNOSE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hognose)
VENV ?= $(CACHE)/venv
PY := $(VENV)/bin/python

.PHONY: venv check unit

-include image/image.mk
-include tests/tests.mk

# The stamp says whose source the venv imports: checkouts that share a cache take it from each other, not its code.
venv: $(VENV)/.stamp
	@test "$$(cat $<)" = '$(CURDIR)' || { $(VENV)/bin/pip install -q --no-deps -e . && echo '$(CURDIR)' >$<; }

$(VENV)/.stamp: pyproject.toml
	@python3 -m venv --help >/dev/null 2>&1 || apt-get install -y -qq python3-venv
	@mkdir -p $(dir $(VENV))
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -e '.[dev,pinned]'
	@echo '$(CURDIR)' >$@

check: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/static

unit: venv
	$(PY) -m pytest -q tests/unit
