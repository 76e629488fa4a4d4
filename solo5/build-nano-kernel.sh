#!/bin/sh
# Runs inside the builder tree: the nano-kernel without its payload, to /build/out/nano-kernel.elf.
# General registers only: the vector state stays the application's, so nothing of it is saved for a system call.
set -eu
W=/build/nano-kernel
rm -rf "$W"
mkdir -p "$W" /build/out
cd "$W"
python3 /build/in/make_manifest.py /build/in/manifest.json >manifest.inc
WARNINGS="-Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wsign-compare -Wwrite-strings"  # Solo5 has these too
CFLAGS="-std=gnu11 -O2 $WARNINGS -Werror -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
 -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -ffile-prefix-map=/build/in=."
for source in $(ls /build/in/*.c | LC_ALL=C sort); do
    gcc $CFLAGS -c "$source" -o "$(basename "$source" .c).o"
done
for source in entry notes; do
    gcc -I/build/in -I. -c "/build/in/$source.S" -o "$source-asm.o"
done
gcc -nostdlib -static -no-pie -Wl,-T,/build/in/layout.ld -Wl,-z,max-page-size=4096 -Wl,--build-id=none \
    -Wl,-z,noexecstack $(ls *.o | LC_ALL=C sort) -o /build/out/nano-kernel.elf
# Where system calls come in, for the test that tries to get in there uninvited.
nm /build/out/nano-kernel.elf | sed -n 's/ [tT] syscall_entry$//p' >/build/out/syscall-entry
strip /build/out/nano-kernel.elf
cd /
rm -rf "$W"
