# Included by the Makefile: everything CI runs, in stages that can be run alone.

.PHONY: test tools sim interop strangers compat vm hvt static-interpreter packing newest clock demo bench fuzz fuzz-corpus soak

TOOLS := openvpn iproute2 nftables iputils-ping tcpdump strace easy-rsa iperf3 ethtool procps kmod \
	python3-venv qemu-system-x86 file gcc libc6-dev zstd faketime
LOG := build/test-report
STAGES := check unit sim clock explore fuzz-corpus newest image packing static-interpreter interop compat vm hvt
.PHONY: $(addprefix run-,$(STAGES))

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
	@$(MAKE) -k --no-print-directory $(addprefix run-,$(STAGES)) || true
	@$(PY) tests/report.py build $(STAGES)

run-check: ; $(call stage,check,$(MAKE) --no-print-directory check)
run-unit: ; $(call stage,unit,$(MAKE) --no-print-directory coverage)
run-sim: ; $(call stage,sim,$(MAKE) --no-print-directory sim)
run-clock: ; $(call stage,clock,$(MAKE) --no-print-directory clock)
run-explore: ; $(call stage,explore,$(MAKE) --no-print-directory explore)
run-fuzz-corpus: ; $(call stage,fuzz-corpus,$(MAKE) --no-print-directory fuzz-corpus)
run-newest: ; $(call stage,newest,$(MAKE) --no-print-directory newest)
run-image: ; $(call stage,image,$(MAKE) --no-print-directory image)
run-packing: ; $(call stage,packing,$(PY) -m pytest -q tests/image)
run-static-interpreter: ; $(call stage,static-interpreter,$(MAKE) --no-print-directory static-interpreter)
run-interop: ; $(call stage,interop,$(PY) -m pytest -q tests/interop)
run-compat: ; $(call stage,compat,$(PY) -m pytest -q tests/compat)
run-vm: ; $(call stage,vm,$(PY) -m pytest -q tests/vm)
run-hvt: ; $(call stage,hvt,$(PY) -m pytest -q tests/hvt)

# Unit tests with branch coverage of floors 0-3. They and the simulations are independent of each other: one process a core.
.PHONY: coverage
coverage: venv
	$(PY) -m pytest -q -n 2 --cov --cov-report= tests/unit
	$(VENV)/bin/coverage report --skip-covered --fail-under=95 \
	  --include='src/hognose/*.py,src/hognose/wire/*,src/hognose/ip/*,src/hognose/tcp/*,src/hognose/openvpn/*,src/hognose/nat/*,src/hognose/config/*,src/hognose/gateway/*' \
	  --omit='src/hognose/__main__.py'

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
	 $(PY) -m pytest -q -p no:cacheprovider $(CLOCK_TESTS) || exit 1; done

# New examples, new worlds and new fuzz inputs from a fresh seed, or from EXPLORE_SEED (docs/testing.md).
.PHONY: explore nightly
EXPLORE_SECONDS ?= 180
EXPLORE = $(PY) -m tests.explore $(if $(EXPLORE_SEED),--seed $(EXPLORE_SEED))
explore: venv
	$(EXPLORE) --seconds $(EXPLORE_SECONDS)

# The same for MINUTES, after 30 boots of each carrier.
nightly: MINUTES = 60
nightly: tools venv image
	$(EXPLORE) --seconds $$(( $(MINUTES) * 60 )) --boots 30

# The committed fuzz corpora on the plain interpreter.
fuzz-corpus: venv
	$(PY) -m pytest -q tests/fuzz

# All fuzz targets in turn under atheris (docs/testing.md); what they find is in build/fuzz. MINUTES for all together.
FUZZ := $(CACHE)/venv-fuzz
MINUTES ?= 20
SEED ?= 1
fuzz:
	@test -e $(FUZZ)/.stamp || { python3 -m venv $(FUZZ) && $(FUZZ)/bin/pip install -q atheris==3.0.0 \
	  cryptography==43.0.0 pyOpenSSL==25.0.0 pytest hypothesis==6.170.15 scapy==2.8.0 && touch $(FUZZ)/.stamp; }
	PYTHONPATH=src $(FUZZ)/bin/python -m tests.fuzz.campaign --minutes $(MINUTES) --seed $(SEED)

# Real clients that come and go at a hosted server for so many minutes, with loss (docs/testing.md).
# Floods and silent crowds beside real tunnels, by hand on a quiet machine: docs/security.md.
strangers: tools venv
	$(PY) -m pytest -q -s tests/load

soak: tools venv
	$(PY) -m tests.world.soak --minutes $(MINUTES) --seed $(SEED)

interop: tools venv
	$(PY) -m pytest -q tests/interop

# Clients of other releases (fetched from the host's Debian mirror) against the hosted server; docs/compatibility.md has
# all of them, written by tests/compat/matrix.py by hand.
compat: tools venv
	$(PY) -m pytest -q tests/compat

vm: tools venv image
	$(PY) -m pytest -q tests/vm

hvt: tools venv image
	$(PY) -m pytest -q tests/hvt

# The unit tests with the newest cryptography, pyOpenSSL and pyroute2 instead of the image's.
NEWEST := $(CACHE)/venv-newest
newest:
	@test -e $(NEWEST)/.stamp-xdist || { python3 -m venv $(NEWEST) && $(NEWEST)/bin/pip install -q -U \
	  cryptography pyOpenSSL pyroute2 pytest pytest-timeout pytest-xdist hypothesis scapy && touch $(NEWEST)/.stamp-xdist; }
	@$(NEWEST)/bin/python -c "import cryptography, OpenSSL; print('cryptography', cryptography.__version__, 'pyOpenSSL', OpenSSL.__version__)"
	PYTHONPATH=src $(NEWEST)/bin/python -m pytest -q -n 2 tests/unit/openvpn tests/unit/config

# The unit tests of floors 0-3 on the interpreter that the image runs (only main differs).
static-interpreter: image venv
	$(PY) tests/static_interpreter.py tests/unit/openvpn tests/unit/config -- tests/unit/gateway tests/unit/wire \
	  tests/unit/ip tests/unit/nat tests/unit/tcp \
	  tests/unit/test_values.py tests/unit/test_destinations.py tests/unit/test_address_scope.py

# CARRIER=hvt runs the .hvt file, with solo5-hvt where there is one (SOLO5_HVT, PATH), else with the test tender.
CARRIER ?= vm
demo: tools venv image
	$(PY) tests/demo.py $(CARRIER)

# tests/bench prints ns per packet of the hot functions; docs/performance.md has the end-to-end figures.
bench: venv
	for file in tests/bench/bench_*.py; do echo "$$file"; PYTHONPATH=src $(PY) $$file; done
