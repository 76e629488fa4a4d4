"""Goodput of hognose.tcp against a Linux CUBIC sender, through the same lossy bridge with the same seeds (needs root).

    python -m tests.interop.loss_comparison [--loss 0.001 0.01 0.05] [--seeds 10] [--rtt-ms 40] [--megabytes 0]

The receiver is Linux's TCP in a namespace of its own, the sender is in turn Linux (pinned to CUBIC) and hognose.tcp,
with the same kind of device. The bridge offers no offloads, so every frame on it is whole and its checksum complete.
Prints one line per loss rate: medians in Mbit/s and their ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.world import lossy_bridge, tcp_echo_server
from tests.world.namespaces import own

WORLD = Path(__file__).resolve().parent.parent / "world"
CLIENT_NS, SERVER_NS = (f"{own('hn-loss')}-{side}" for side in ("client", "server"))
ADDRESS, PORT = "10.99.0.1", 7
MEGABYTES = {0.001: 12.0, 0.01: 4.0, 0.05: 1.5}  # some ten seconds of an AIMD sender at 40 ms
PATIENCE_S = 120


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def remove_namespaces() -> None:
    for netns in (CLIENT_NS, SERVER_NS):
        subprocess.run(["ip", "netns", "del", netns], check=False, capture_output=True)


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that has said `ready`, until the end of the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextlib.contextmanager
def bridge(loss: float, rtt_ms: float, seed: int) -> Iterator[None]:
    """Both namespaces with the bridge between them; the client's half has its address."""
    remove_namespaces()
    for netns in (CLIENT_NS, SERVER_NS):
        run("ip", "netns", "add", netns)
    ends = ["--a", f"{CLIENT_NS}:tc0", "--b", f"{SERVER_NS}:ts0"]
    link = ["--loss", str(loss), "--delay-ms", str(rtt_ms / 2), "--seed", str(seed), "--queue", "10000"]
    try:
        with started([sys.executable, str(WORLD / "lossy_bridge.py"), *ends, *link]):
            run("ip", "-n", CLIENT_NS, "addr", "add", "10.99.0.2/24", "dev", "tc0")
            yield
    finally:
        remove_namespaces()


def receive(size: int) -> float:
    """Seconds from the request to the last of `size` bytes, as Linux's TCP receives them."""
    with lossy_bridge.inside(CLIENT_NS):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sock.settimeout(PATIENCE_S)
        sock.connect((ADDRESS, PORT))
        sock.sendall(f"D {size} 5\n".encode())
        start = time.monotonic()
        left = size
        while left:
            part = sock.recv(1 << 20)
            assert part, f"{left} bytes are missing"
            left -= len(part)
        return time.monotonic() - start


def by_hognose(size: int) -> float:
    """One transfer sent by hognose.tcp."""
    run("ip", "-n", SERVER_NS, "link", "add", "link", "ts0", "name", "mv0", "type", "macvtap", "mode", "passthru")
    run("ip", "-n", SERVER_NS, "link", "set", "mv0", "up")
    numbers = run("ip", "netns", "exec", SERVER_NS, "sh", "-c", "cat /sys/class/net/mv0/tap*/dev").split(":")
    with tempfile.TemporaryDirectory() as folder:
        node = f"{folder}/tap"
        os.mknod(node, 0o600 | 0o020000, os.makedev(int(numbers[0]), int(numbers[1])))
        echo = [str(WORLD / "tcp_echo_server.py"), "--device", node, "--address", ADDRESS, "--no-offload"]
        with started(["ip", "netns", "exec", SERVER_NS, sys.executable, *echo]):
            return receive(size)


def by_linux(size: int) -> float:
    """One transfer sent by Linux's TCP, pinned to CUBIC."""
    run("ip", "-n", SERVER_NS, "addr", "add", f"{ADDRESS}/24", "dev", "ts0")
    with lossy_bridge.inside(SERVER_NS):
        listener = socket.create_server((ADDRESS, PORT))

    def serve() -> None:
        conn, _ = listener.accept()
        with conn:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
            conn.recv(64)
            conn.sendall(tcp_echo_server.payload(5, size))

    with listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        took = receive(size)
        thread.join()
    return took


def compare(loss: float, seeds: range, rtt_ms: float, megabytes: float) -> dict[str, Any]:
    """Both senders on every seed in turn; Mbit/s."""
    size = int(megabytes * (1 << 20))
    rates: dict[str, list[float]] = {"hognose": [], "linux": []}
    for seed in seeds:
        for name, transfer in (("hognose", by_hognose), ("linux", by_linux)):
            with bridge(loss, rtt_ms, seed):
                rates[name].append(size * 8 / transfer(size) / 1e6)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {
        "loss": loss,
        "megabytes": megabytes,
        "hognose": round(medians["hognose"], 2),
        "linux_cubic": round(medians["linux"], 2),
        "ratio": round(medians["hognose"] / medians["linux"], 2),
        "all": {name: [round(rate, 2) for rate in found] for name, found in rates.items()},
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", type=float, nargs="+", default=list(MEGABYTES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rtt-ms", type=float, default=40)
    parser.add_argument("--megabytes", type=float, default=0, help="per transfer; 0 = some ten seconds' worth")
    arguments = parser.parse_args(argv)
    for loss in arguments.loss:
        megabytes = arguments.megabytes or MEGABYTES.get(loss, 2.0)
        print(json.dumps(compare(loss, range(1, arguments.seeds + 1), arguments.rtt_ms, megabytes)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
