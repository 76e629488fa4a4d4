"""Stands in for hognose.cli.init in an image of its own: asks the kernel below for all that the program needs of it.

Run on Linux and on the nano-kernel; every line of output must be the same but those that begin with `own`. Arguments:
UNIX TIME, FRAMES. Ends with 42.
"""

import errno
import fcntl
import hashlib
import mmap
import os
import select
import stat
import struct
import sys
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TUNSETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD, TUNGETIFF = 0x400454CA, 0x400454D8, 0x400454D0, 0x800454D2
SIOCGIFHWADDR = 0x8927
TAP_NO_PI_VNET = 0x5002
MIB = 1 << 20


def say(text: str) -> None:
    os.write(1, (text + "\n").encode())


def error_of(work) -> str:
    try:
        work()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "no error"


def memory() -> None:
    try:
        bytearray(1 << 40)
        say("a terabyte was given")
    except MemoryError:
        say("a terabyte is refused")
    for _ in range(50):
        block = bytearray(8 * MIB)
        block[-1] = 1
    say("8 MiB were taken and given back 50 times")
    held: list[bytearray] = []
    try:
        while len(held) < 2000:
            held.append(bytearray(MIB))
            held[-1][::4096] = b"x" * 256
    except MemoryError:
        pass
    say(f"memory runs out: {20 < len(held) < 2000}")
    del held
    grown = bytearray()
    for number in range(20):
        grown += bytes([number]) * MIB
    say(f"grown to {len(grown)}, {hashlib.sha256(grown).hexdigest()[:16]}")
    with mmap.mmap(-1, 3 * MIB) as area:
        zero = area[:10] == bytes(10)
        area[MIB : MIB + 4] = b"text"
        say(f"mapped: zero {zero}, {area[MIB : MIB + 4]!r}")


def deep(level: int) -> int:
    return level if level == 0 else deep(level - 1)


def interpreter() -> None:
    try:
        deep(100_000)
    except RecursionError:
        say("recursion has an end")
    say(f"sums: {sum(range(100_000))} {2.5**10}")
    sealed = AESGCM(bytes(32)).encrypt(bytes(12), bytes(5000), None)
    say(f"AES-GCM {hashlib.sha256(sealed).hexdigest()[:16]}")


def files() -> None:
    with open("/hognose.zip", "rb") as file:
        whole = file.read()
        say(f"zip {len(whole)} {hashlib.sha256(whole).hexdigest()[:16]}")
        say(f"seek to the end {file.seek(-22, 2) == len(whole) - 22} {file.read(4)!r}")
        say(f"seek beyond it {file.seek(len(whole) + 5) - len(whole)} {file.read()!r}")
    fd = os.open("/hognose.zip", os.O_RDONLY)
    say(f"pread {os.pread(fd, 1000, 5000) == whole[5000:6000]} {os.pread(fd, 10, len(whole))!r}")
    one, two = bytearray(7), bytearray(9)
    say(f"readv {os.readv(fd, [one, two])} {bytes(one + two) == whole[:16]}")
    say(f"seek errors {error_of(lambda: os.lseek(fd, -1, 0))} {error_of(lambda: os.lseek(fd, 0, 77))}")
    os.close(fd)
    say(f"closed {error_of(lambda: os.read(fd, 1))} {error_of(lambda: os.close(fd))}")
    say(f"missing {error_of(lambda: os.open('/nothing', os.O_RDONLY))} {error_of(lambda: os.stat('/a/b'))}")
    say(f"too long {error_of(lambda: os.open('/' + 'x' * 5000, os.O_RDONLY))}")
    say(f"kinds {stat.S_ISREG(os.stat('/init').st_mode)} {stat.S_ISCHR(os.stat('/dev/tap').st_mode)}")
    say(f"size {os.stat('/hognose.zip').st_size}")
    say(f"writev {os.writev(1, [b'several ', b'', b'pieces '])} and {os.write(1, b'one, ')}")


def randomness() -> None:
    blocks = {os.urandom(32) for _ in range(100)}
    big = os.urandom(MIB)
    say(f"random {len(blocks)} {len(big)} {abs(sum(byte.bit_count() for byte in big) / (8 * MIB) - 0.5) < 0.01}")


def clocks(unix: int) -> None:
    times = [time.monotonic_ns() for _ in range(1000)]
    say(f"monotonic {times == sorted(times)}")
    say(f"wall clock {abs(time.time() - unix) < 120}")
    began = time.monotonic()
    time.sleep(0.05)
    say(f"slept {0.05 <= time.monotonic() - began < 2}")


def tap(frames: int) -> None:
    fd = os.open("/dev/tap", os.O_RDWR | os.O_NONBLOCK)
    say(f"set {fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22x', b'', TAP_NO_PI_VNET))[16:18].hex()}")
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", 12))
    fcntl.ioctl(fd, TUNSETOFFLOAD, 0)
    mac = fcntl.ioctl(fd, SIOCGIFHWADDR, bytes(40))[18:24]
    say(f"mac {len(mac)} {mac[0] & 1}")
    say(f"unknown request {error_of(lambda: fcntl.ioctl(fd, 0x12345678)) in ('EINVAL', 'ENOTTY')}")
    say(f"nothing there {error_of(lambda: os.read(fd, 2000))}")
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    began = time.monotonic()
    events = poller.poll(50)
    say(f"poll {events} {0.049 <= time.monotonic() - began < 2}")
    poller.modify(fd, select.POLLIN | select.POLLOUT)
    say(f"may write {[event for _, event in poller.poll(0)] == [select.POLLOUT]}")
    poller.modify(fd, select.POLLIN)
    say(f"too short {error_of(lambda: os.write(fd, bytes(12)))}")
    say(f"own: a frame beyond the MTU {error_of(lambda: os.write(fd, bytes(12 + 14 + 1501)))}")
    say(f"own: an offload {error_of(lambda: os.write(fd, bytes([1]) + bytes(11 + 14 + 60)))}")
    say("echo")
    done = 0
    while done < frames:
        if not poller.poll(20_000):
            say("no frame came")
            return
        frame = os.read(fd, 12 + 14 + 2000)
        if frame[24:26] == b"\x88\xb5":
            os.writev(fd, [frame[:12], frame[18:24], mac, frame[24:]])
            done += 1
    say(f"echoed {done}")


def own() -> None:
    """Promises of the nano-kernel alone."""
    say(f"own: writing to the block device {error_of(lambda: os.open('/dev/vda', os.O_RDWR))}")
    write_and_run = mmap.PROT_WRITE | mmap.PROT_EXEC
    say(f"own: a page to write and to run {error_of(lambda: mmap.mmap(-1, 4096, prot=write_and_run))}")


def main() -> None:
    memory()
    interpreter()
    files()
    randomness()
    clocks(int(sys.argv[1]))
    own()
    tap(int(sys.argv[2]))
    os._exit(42)


if __name__ == "__main__":
    main()
