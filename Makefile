# `make help` lists the verbs. Each installs what it needs (apt-get as root, pip into folders of the cache).
SHELL := /bin/bash
CACHE ?= $(or $(HOGNOSE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hognose)
# The packages are shared by all checkouts that name the same ones; the venv is the checkout's own: it imports its code.
PACKAGES := $(CACHE)/packages-$(shell { python3 -V; sed -n '/^dependencies/p;/^\[project.optional/,/^\[tool/p' pyproject.toml; } \
	| sha256sum | cut -c1-16)
VENV := $(CURDIR)/build/venv
VENV_STAMP := $(VENV)/.$(notdir $(PACKAGES))-$(shell pwd | cksum | cut -d' ' -f1)
PY := $(VENV)/bin/python

.PHONY: help venv lint types floors check

help:
	@echo 'As a user:'
	@echo '  make image             the boot images in dist/ (docs/dev/build.md)'
	@echo '  make run               boot in qemu: CONFIG=server.conf.full TAP=tap0 ARGS="--ipv4=..."'
	@echo '  make demo              boot, connect a real client, move bytes; CARRIER=hvt for solo5-hvt'
	@echo '  make test              all that CI runs (docs/dev/testing.md)'
	@echo 'While working:'
	@echo '  make quick             a minute: static checks, unit tests of what changed, one real client'
	@echo '  make unit T=nat        unit tests, of one folder or file below tests/unit'
	@echo '  make unit M=nat.table  unit tests of one module, wherever they are'
	@echo '  make affected BASE=main   every stage that the changes since BASE can break'
	@echo '  make check             ruff, mypy, import floors, tests/static; lint, types and floors are its parts'
	@echo '  make explore           three minutes of new examples; repeat a failure with EXPLORE_SEED=N'
	@echo '  make nightly           an hour of the same, 30 boots of each machine, all mutants'
	@echo '  make mutants GROUP=nat whether tests notice changes of the code (docs/dev/testing.md has the groups)'
	@echo '  make STAGE             one stage of CI: $(STAGES)'
	@echo 'By hand, on a quiet machine: bench fuzz soak strangers (docs/dev/testing.md, docs/performance.md)'

-include image/image.mk
-include tests/tests.mk

venv: $(VENV_STAMP)

$(VENV_STAMP): $(PACKAGES)/.stamp
	@rm -rf $(VENV) && python3 -m venv --without-pip $(VENV)
	@printf '%s\n' '$(CURDIR)/src' "import site; site.addsitedir('$$(echo $(PACKAGES)/lib/python3*/site-packages)')" \
	  >"$$(echo $(VENV)/lib/python3*/site-packages)/checkout.pth"
	@sed -n '/^\[project.scripts\]/,/^$$/s/^\([a-z-]*\) = "\(.*\):\(.*\)"$$/\1 \2 \3/p' pyproject.toml | while read -r name module call; do \
	  printf '#!$(PY)\nimport sys\n\nfrom %s import %s\n\nsys.exit(%s())\n' $$module $$call $$call >$(VENV)/bin/$$name; \
	  chmod +x $(VENV)/bin/$$name; done
	@touch $@

$(PACKAGES)/.stamp:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv; }
	@mkdir -p $(CACHE); exec 9>$(CACHE)/packages.lock; flock 9; test -e $@ || { \
	  echo 'installing the packages that pyproject.toml names into $(PACKAGES)'; \
	  rm -rf $(PACKAGES) && python3 -m venv $(PACKAGES) && \
	  python3 -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; o = p['optional-dependencies']; \
	    print(*p['dependencies'], *o['pinned'], *o['dev'], sep='\n')" >$(PACKAGES)/requirements.txt && \
	  $(PACKAGES)/bin/pip install -q -r $(PACKAGES)/requirements.txt && touch $@; }

# The two of .pre-commit-config.yaml.
lint: venv
	$(PACKAGES)/bin/ruff check .
	$(PACKAGES)/bin/ruff format --check .

types: venv
	$(PY) -m mypy
	$(PY) -m mypy --config-file tests/mypy.ini

check: lint
	@$(MAKE) --no-print-directory -j 2 --output-sync=target types floors

# Imports go downwards only; the tests that look at the repository.
floors: venv
	$(PY) -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())'
	$(PY) -m pytest -q -n 2 tests/static
