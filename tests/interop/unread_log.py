"""A server whose console is a pipe that is read only when the test wants it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.interop.cases import GATEWAY, Setting
from tests.world.crowd import crowd, report
from tests.world.server import Server
from tests.world.topology import HOST

F_SETPIPE_SZ = 1031  # linux/fcntl.h
EVENT = re.compile(r"(debug|info|warning|error) [a-z_]+( [a-z_0-9]+=(\"([^\"\\]|\\.)*\"|[^\s\"=]*))*")


class Reader:
    """The reading end of a pipe, as small as a pipe can be."""

    def __init__(self) -> None:
        self._fd, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, F_SETPIPE_SZ, 4096)
        self.text = ""

    def read(self, seconds: float, until: str = "\0") -> str:
        """Everything so far, after reading for so long or to a line with these words."""
        end = time.monotonic() + seconds
        while until not in self.text.rpartition("\n")[0] and (left := end - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                data = os.read(self._fd, 65536)
                if not data:
                    break
                self.text += data.decode().replace("\r", "")
        return self.text

    def close(self) -> None:
        os.close(self._fd)


@contextmanager
def unread(setting: Setting, carrier: str) -> Iterator[tuple[Server, Reader]]:
    """A server that is up, and the reader of its console, which stops reading now."""
    reader = Reader()
    server = Server(carrier, setting.topology.namespaces, setting.config(), setting.folder, output=reader.write_end)
    os.close(reader.write_end)
    try:
        text = reader.read(120, " ready ")
        assert " ready " in text, text + server.log
        yield server, reader
    finally:
        reader.read(2)
        server.__exit__()
        reader.close()


def check_the_tunnel_goes_on(setting: Setting, carrier: str, seconds: int) -> None:
    """Strangers make 60 lines a second that are not read; then the reader has whole lines, and how many lack."""
    with unread(setting, carrier) as (_, reader), setting.client("c2", common_name="innocent") as client:
        client.connected(60)
        with crowd(setting.topology, "hello", HOST, "30", "20", str(seconds)) as process:
            report(process)
        assert client.ping(GATEWAY, 10)
        lines = reader.read(20, " log_dropped ").splitlines()
        assert client.ping(GATEWAY, 3)
        lines = reader.read(1).rpartition("\n")[0].splitlines()
    begin = next(index for index, line in enumerate(lines) if re.match(r"info (boot|ready) ", line))
    ours = lines[begin:]  # before it a machine's firmware and kernel speak
    assert [line for line in ours if not EVENT.fullmatch(line)] == []
    notices = [line for line in ours if " log_dropped " in line]
    assert notices
    assert int(notices[0].partition("count=")[2]) > 10
    numbers = [int(found[1]) for line in ours if (found := re.search(r" peer_connected conn=(\d+)", line))]
    assert numbers == sorted(numbers)
    assert len(numbers) > 50
