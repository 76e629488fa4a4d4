# Included by the Makefile: the boot image and its launcher.

.PHONY: image run

# dist/vmlinuz, dist/hognose.cpio.zst, dist/SHA256SUMS, dist/manifest.json (docs/dev/build.md)
image:
	python3 image/build.py

# make run CONFIG=server.conf.full TAP=tap0 ARGS="--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1"
CONFIG ?= server.conf.full
TAP ?= tap0
ARGS ?= --ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 --clients-may-reach=not-uplink
run: image
	image/hognose-qemu --block:storage=$(CONFIG) --net:service=$(TAP) -- dist/hognose.cpio.zst $(ARGS)
