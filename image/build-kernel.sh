#!/bin/sh
# Runs inside the builder tree: Debian's kernel source with image/kernel.config on tinyconfig, to /build/out/vmlinuz.
# Fixed path, user, host and time make the result the same bytes everywhere.
set -eu
rm -rf /build/kernel
mkdir -p /build/kernel /build/out
cd /build/kernel
tar -xf /usr/src/linux-source-6.12.tar.xz --strip-components=1
export KBUILD_BUILD_TIMESTAMP=@"$SOURCE_DATE_EPOCH" KBUILD_BUILD_USER=hognose KBUILD_BUILD_HOST=builder KBUILD_BUILD_VERSION=1
make -s tinyconfig
scripts/kconfig/merge_config.sh -m .config /build/in/kernel.config >/build/out/merge.log
make -s olddefconfig
# Every option asked for must have been taken, or the build stops here and names it.
while read -r line; do
    case "$line" in
    CONFIG_*=n | "" | \#*) ;;
    CONFIG_*) grep -qxF "$line" .config || echo "kernel option not taken: $line" ;;
    esac
done </build/in/kernel.config >/build/out/missing.log
if [ -s /build/out/missing.log ]; then
    cat /build/out/missing.log
    exit 1
fi
make -s -j"$(nproc)" bzImage
cp arch/x86/boot/bzImage /build/out/vmlinuz
cp .config /build/out/kernel.config
cd /
rm -rf /build/kernel
