# Included by the Makefile: everything CI runs, in stages that can be run alone.

.PHONY: test

TOOLS := openvpn iproute2 nftables iputils-ping tcpdump strace easy-rsa iperf3 ethtool procps kmod \
	python3-venv qemu-system-x86 file gcc libc6-dev zstd faketime
LOG := build/test-report
STAGES := check unit sim clock explore fuzz-corpus newest image packing static-interpreter interop compat machines
SIDE_BY_SIDE := packing compat  # one takes a core, the other one waits
.PHONY: $(STAGES) $(addprefix run-,$(STAGES)) tools strangers vm hvt demo bench fuzz soak coverage explore nightly mutants quick affected

# Every stage runs, whatever became of those before it, and leaves a line in $(LOG); the report at the end lists them
# with all skips and their reasons, and decides; a skip that its table does not have is red.
define stage
	@mkdir -p build
	@echo "== $(1)"
	@started=$$(date +%s); set -o pipefail; ( $(2) ) 2>&1 | tee build/$(1).log; status=$$?; \
	 took=$$(( $$(date +%s) - started )); echo "$(1): exit $$status, $$took s" >>$(LOG); exit $$status
endef

test: tools venv
	@mkdir -p build && rm -f $(LOG) build/*.log
	@$(MAKE) -k --no-print-directory $(addprefix run-,$(filter-out $(SIDE_BY_SIDE),$(STAGES))) || true
	@$(MAKE) -k -j 2 --output-sync=target --no-print-directory $(addprefix run-,$(SIDE_BY_SIDE)) || true
	@$(PY) tests/report.py build $(STAGES)

$(addprefix run-,$(filter-out unit,$(STAGES))): run-%: ; $(call stage,$*,$(MAKE) --no-print-directory $*)
run-unit: ; $(call stage,unit,$(MAKE) --no-print-directory coverage)

# A minute: static checks, unit tests of what changed, one real client; and all stages that changes since BASE can break.
quick: tools venv
	@$(PY) tests/affected.py quick
BASE ?= main
affected: tools venv
	@$(PY) tests/affected.py stages $(BASE)

# Unit tests; T is a folder or a file below tests/unit, "nat" or "nat/test_nat.py -k echo". M is a module, "tcp.sender" or
# "sender": the tests that tests/by_module.py knows for it.
unit: venv
	$(if $(M),files=$$($(PY) -m tests.by_module $(M)) &&) $(PY) -m pytest -q -n 2 $(if $(M),$$files,tests/unit/$(T))

# The same with branch coverage: 95 % of floors 0-3 together, 80 % of each folder that talks to the machine. A test marked
# `stress` repeats one thing often: tracing would make it slow. CI runs those in the stage `static-interpreter`.
COVERED := src/hognose/*.py,src/hognose/wire/*,src/hognose/ip/*,src/hognose/tcp/*,src/hognose/openvpn/*,src/hognose/nat/*
COVERED := $(COVERED),src/hognose/base/*,src/hognose/config/*,src/hognose/gateway/*,src/hognose/vpn/*
coverage: venv
	$(PY) -m pytest -q -n 2 -m "not stress" --cov --cov-report= tests/unit
	$(PY) -m coverage report --skip-covered --fail-under=95 --include='$(COVERED)' --omit='src/hognose/__main__.py'
	for part in cli host device; do \
	  $(PY) -m coverage report --skip-covered --fail-under=80 --include="src/hognose/$$part/*" || exit 1; done

# Debian packages that the tests and the demo call.
tools:
	@missing=""; for name in $(TOOLS); do dpkg -s $$name >/dev/null 2>&1 || missing="$$missing $$name"; done; \
	if [ -n "$$missing" ]; then echo "installing:$$missing"; apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

sim: venv
	$(PY) -m pytest -q -n 2 tests/sim

# Three files that do TLS, on other days than this one: nothing in virtual time depends on the machine's clock.
CLOCK_TESTS := tests/unit/openvpn/test_tls.py tests/unit/gateway/test_gateway.py tests/sim/test_world.py
clock: tools venv
	@for day in '-1 year' '+60 days' '+2 years'; do \
	 moved="$$(NO_FAKE_STAT=1 faketime "$$day" date +%F)" && test "$$moved" != "$$(date +%F)" && \
	 echo "on $$moved ($$day)" && NO_FAKE_STAT=1 PYTHONDONTWRITEBYTECODE=1 faketime "$$day" \
	 $(PY) -m pytest -q -n 2 -p no:cacheprovider $(CLOCK_TESTS) || exit 1; done

# New examples, new worlds and new fuzz inputs from a fresh seed, or from EXPLORE_SEED (docs/dev/testing.md).
EXPLORE_SECONDS ?= 180
EXPLORE = $(PY) -m tests.explore $(if $(EXPLORE_SEED),--seed $(EXPLORE_SEED))
explore: venv
	$(EXPLORE) --seconds $(EXPLORE_SECONDS)

# Boots of each carrier, the same for EXPLORE_MINUTES, then the mutation gate with MUTANTS in each set. A boot may take 15 s,
# the gate GATE_MINUTES: what it has not judged then makes it red.
EXPLORE_MINUTES ?= 60
BOOTS ?= 30
nightly: GATE_MINUTES ?= 300
nightly: tools venv image
	$(EXPLORE) --seconds $$(( $(EXPLORE_MINUTES) * 60 )) --boots $(BOOTS); explored=$$?; $(GATE) && exit $$explored

# Whether tests notice mutants of the code: of one GROUP or of all, one SET (fixed, fresh) or both, or the mutant ONE. SEED
# repeats the fresh ones; MUTANTS is how many a set has, PROCESSES how many are judged at once. OWN=1 takes the tests of
# each module alone, which is quick: what they notice is noticed by all tests.
GATE = $(PY) -m tests.mutants $(if $(GROUP),--group $(GROUP)) $(if $(filter-out file,$(origin SEED)),--seed $(SEED)) \
	$(if $(SET),--set $(SET)) $(if $(MUTANTS),--count $(MUTANTS)) $(if $(PROCESSES),--processes $(PROCESSES)) \
	$(if $(OWN),--own) $(if $(GATE_MINUTES),--minutes $(GATE_MINUTES)) $(if $(ONE),--one '$(ONE)')
mutants: venv
	$(GATE)

# The committed fuzz corpora on the plain interpreter.
fuzz-corpus: venv
	$(PY) -m pytest -q tests/fuzz

# All fuzz targets in turn under atheris (docs/dev/test-records.md); what they find is in build/fuzz. MINUTES for all together.
FUZZ := $(CACHE)/venv-fuzz
MINUTES ?= 20
SEED ?= 1
fuzz:
	@test -e $(FUZZ)/.stamp || { python3 -m venv $(FUZZ) && $(FUZZ)/bin/pip install -q atheris==3.0.0 \
	  cryptography==43.0.0 pyOpenSSL==25.0.0 pytest hypothesis==6.170.15 scapy==2.8.0 && touch $(FUZZ)/.stamp; }
	PYTHONPATH=src $(FUZZ)/bin/python -m tests.fuzz.campaign --minutes $(MINUTES) --seed $(SEED)

# Floods and silent crowds beside real tunnels, by hand on a quiet machine: docs/security.md.
strangers: tools venv
	$(PY) -m pytest -q -s tests/load

# Real clients that come and go at a hosted server for MINUTES, with loss (docs/dev/test-records.md).
soak: tools venv
	$(PY) -m tests.world.soak --minutes $(MINUTES) --seed $(SEED)

# Tests with real clients wait most of their time: eight at once. Those marked `alone` look at the time of packets.
interop: tools venv
	$(PY) -m pytest -q -n 8 --dist worksteal --durations=5 -m "not alone" tests/interop
	$(PY) -m pytest -q -m alone tests/interop

# Clients of other releases (fetched from the host's Debian mirror) against the hosted server; docs/compatibility.md has
# all of them, written by tests/compat/matrix.py by hand.
compat: tools venv
	$(PY) -m pytest -q tests/compat

# An emulated machine takes a whole core while it boots: with four at once some need more than a minute.
machines: tools venv image
	$(PY) -m pytest -q -n 2 --dist worksteal --durations=5 -m "not alone" tests/vm tests/hvt
	$(PY) -m pytest -q -m alone tests/vm

# One carrier by itself.
vm: tools venv image
	$(PY) -m pytest -q -n 2 --dist worksteal -k "not hvt" tests/vm
hvt: tools venv image
	$(PY) -m pytest -q -n 2 --dist worksteal -k hvt tests/vm tests/hvt

packing: venv image
	$(PY) -m pytest -q tests/image

# The unit tests with the newest cryptography, pyOpenSSL and pyroute2 instead of the image's.
# They are not tried again in a week in which they have passed with the dependencies that pyproject.toml names.
NEWEST := $(CACHE)/venv-newest
NEWEST_PASSED := $(NEWEST)/passed-$(shell { date +%G-%V; sed -n '/^dependencies/p' pyproject.toml; } | sha256sum | cut -c1-16)
newest:
	@mkdir -p $(CACHE); exec 9>$(NEWEST).lock; flock 9; \
	 if test -e $(NEWEST_PASSED); then echo "newest: passed this week: $$(cat $(NEWEST_PASSED))"; exit; fi; \
	 rm -rf $(NEWEST) && python3 -m venv $(NEWEST) && $(NEWEST)/bin/pip install -q \
	  cryptography pyOpenSSL pyroute2 pytest pytest-timeout pytest-xdist hypothesis scapy && \
	 PYTHONPATH=src $(NEWEST)/bin/python -m pytest -q -n 2 tests/unit/openvpn tests/unit/config && \
	 $(NEWEST)/bin/python -c "import cryptography, OpenSSL; print('cryptography', cryptography.__version__, 'pyOpenSSL', OpenSSL.__version__)" \
	  | tee $(NEWEST_PASSED)

# The unit tests of floors 0-3 on the interpreter that the image runs (only main differs).
static-interpreter: image venv
	$(PY) tests/static_interpreter.py tests/unit/openvpn tests/unit/config -- tests/unit/gateway tests/unit/router \
	  tests/unit/vpn tests/unit/wire tests/unit/base tests/unit/ip tests/unit/nat tests/unit/tcp tests/unit/udp \
	  tests/unit/test_values.py tests/unit/test_vocabulary.py tests/unit/test_destinations.py tests/unit/test_address_scope.py

# CARRIER=hvt runs the .hvt file, with solo5-hvt where there is one (SOLO5_HVT, PATH), else with the test tender.
CARRIER ?= vm
demo: tools venv image
	$(PY) tests/demo.py $(CARRIER)

# tests/bench prints ns per packet of the hot functions; docs/performance.md has the end-to-end figures.
bench: venv
	for file in tests/bench/bench_*.py; do echo "$$file"; PYTHONPATH=src $(PY) $$file; done
