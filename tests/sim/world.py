"""A world from one seed, in virtual time: a gateway, clients that come and go, hostile peers, a faulty network.

Everything but the randomness inside TLS follows from the seed. `python -m tests.sim.world --seed N --clients N
--hours N` runs one world by hand and prints what happened in it; docs/dev/test-records.md has the record of long runs.

Invariants, looked at all the time: no exception inside the gateway; it says when it wants to run next, and not at
once again and again; no client gets another's packet, nothing comes twice or damaged; what a surviving session
sends arrives; tables stay within their bounds. At the end all tables are empty and the counters add up.
The gateway may be replaced by a new one that gets its state as plain data: established clients go on, with new keys at
once; all others connect again.
"""

from __future__ import annotations

import argparse
import pickle
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from heapq import heappop, heappush

from tests.sim.segments import build, ipv4_int, ones_complement, read
from tests.sim.world_client import SimClient
from tests.sim.world_hostile import Hostile
from tests.sim.world_peer import ECHO_PORT, is_sound, udp_packet
from tests.sim.world_roamer import DATA, SimRoamer
from tests.unit.openvpn.client import ClientKit
from tests.unit.openvpn.link import authority, kit, server_identity
from tests.world.impairment import Impairment
from tests.world.server import ServerSettings
from tests.world.today import UNIX

from hognose.config.model import ServerConfig
from hognose.config.parser import parse as parse_config
from hognose.drops import Counters, DropReason, Stat
from hognose.gateway.assemble import Uplink, assemble
from hognose.gateway.gateway import Gateway, GatewayState
from hognose.limits import Limits, NatLimits
from hognose.link import LinkCaps
from hognose.openvpn.control.key_state import Stage as KeyStage
from hognose.vpn.stages import Stage

SECOND = 1_000_000_000
MAC, ROUTER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
ADDRESS, ROUTER, OUTSIDE = ipv4_int("10.0.0.2"), ipv4_int("10.0.0.1"), ipv4_int("198.51.100.7")
UPLINK = Uplink(ADDRESS.to_bytes(4, "big"), 24, ROUTER.to_bytes(4, "big"))
PORT = 1194
START = 1000 * SECOND
HEAD = bytes(12) + MAC + ROUTER_MAC + b"\x08\0"
HURRY = 100  # steps at once; the 34 control records that a link had held back were worked on in four
OUTSIDE_DELAY = 20_000_000
LIMITS = Limits(nat=NatLimits(flows=2048, flows_per_client=256))
_KITS: dict[str, ClientKit] = {}


@dataclass(frozen=True)
class WorldSettings:
    """Properties of a world; means in seconds of virtual time."""

    seed: int
    clients: int = 8
    hours: float = 0.5
    keepalive: tuple[int, int] = (10, 60)
    reneg_sec: int = 600
    mean_act: float = 20  # between a client's actions
    mean_life: float = 400  # of a session, before its client ends it in one way or another
    mean_away: float = 30
    mean_partition: float = 900  # between the partitions of a client's link
    mean_hostile: float = 5  # between what strangers do
    pool: int = 0  # addresses for clients; 0: one for each
    mean_reload: float = 0  # between new configs: who is shut out, how many may come; 0: none
    mean_restore: float = 0  # between replacements of the whole gateway by a new one with its state; 0: none
    roamers: int = 0  # clients over UDP besides; all clients reach each other then
    twins: int = 0  # of them, with the name of a client over TCP
    mean_roam: float = 120  # between moves of one of them
    link: Impairment | None = None  # None: drawn for each client


def client_kit(name: str) -> ClientKit:
    """Certificates are made once for all worlds of a run."""
    if name not in _KITS:
        identity = authority().issue(name, start_days=-400, days=4000)
        _KITS[name] = replace(kit(), cert=identity.cert, key=identity.key)
    return _KITS[name]


class SimWorld:
    """One world."""

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings
        self.random = random.Random(settings.seed)
        self.now = START
        self.counters = Counters()
        self.facts: Counter[str] = Counter()
        self._in_force = self._config()
        self.gateway = self._assembled(random.Random(-settings.seed), None)
        self.on_the_way: Callable[[GatewayState], GatewayState] = lambda state: state  # for tests: what is forgotten
        self._restore_at = START + self._draw(settings.mean_restore)
        self._wants_keys: dict[int, int] = {}  # restored connections without new keys yet -> since when
        self._internet: list[tuple[int, int, bytes]] = []  # (due, order, frame for the gateway)
        self._order = 0
        self._hurried = 0  # steps in a row after which it wanted to run again at once
        self._wakes: list[tuple[int, int, int]] = []  # (time, order, client)
        self.outside_seen: set[bytes] = set()
        self.streams = [SimClient(self, n) for n in range(settings.clients)]
        self.roamers = [
            SimRoamer(self, n, f"client{n - settings.clients if n - settings.clients < settings.twins else n}")
            for n in range(settings.clients, settings.clients + settings.roamers)
        ]
        self.clients: list[SimClient] = [*self.streams, *self.roamers]
        self.across: dict[bytes, int] = {}  # payloads between clients -> to which of them, until they arrive
        self._hosts = {host: client for client in self.clients for host in client.hosts}
        self.hostile = Hostile(self)
        self._reload_at = START + self._draw(settings.mean_reload)
        self.faulty = True
        self._frames: list[bytes] = []
        self.frames_in = self.bytes_in = self.frames_out = self.bytes_out = 0

    def _config(self, *more: str) -> ServerConfig:
        settings = self.settings
        lines = [f"keepalive {settings.keepalive[0]} {settings.keepalive[1]}", f"reneg-sec {settings.reneg_sec}"]
        if settings.pool:
            lines.append(f"ifconfig-pool 10.8.0.2 10.8.0.{1 + settings.pool}")
        if settings.roamers:
            lines += [f"local * {PORT} tcp", f"local * {PORT} udp", "client-to-client"]
        text = ServerSettings(authority(), server_identity(), "none", extra=[*lines, *more]).text()
        return parse_config(text, "server.conf")[0]

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole life of the world; AssertionError names the seed."""
        end = START + int(self.settings.hours * 3600 * SECOND)
        for client in self.clients:
            self.schedule(client)
        try:
            self._step()
            self._until(end)
            self._calm_down()
            self._check_end()
        except AssertionError as error:
            raise AssertionError(f"{error}\nreproduce: {self.command()}\n{self.state()}") from error

    def command(self) -> str:
        """The line that runs this world again."""
        s = self.settings
        return (
            f"python -m tests.sim.world --seed {s.seed} --clients {s.clients} --hours {s.hours} "
            f"--keepalive {s.keepalive[0]} {s.keepalive[1]} --reneg-sec {s.reneg_sec} --act {s.mean_act} "
            f"--life {s.mean_life} --away {s.mean_away} --partition {s.mean_partition} --hostile {s.mean_hostile}"
            + (f" --pool {s.pool}" if s.pool else "")
            + (f" --reload {s.mean_reload}" if s.mean_reload else "")
            + (f" --restore {s.mean_restore}" if s.mean_restore else "")
            + (f" --roamers {s.roamers} --twins {s.twins} --roam {s.mean_roam}" if s.roamers else "")
        )

    def state(self) -> str:
        return f"t={(self.now - START) / SECOND:.3f} s {dict(self.facts)} {self.counters.non_zero()}"

    def _until(self, end: int) -> None:
        while self.now < end:
            self._advance(end)
            self._step()

    def _advance(self, end: int) -> None:
        times = [end]
        deadline = self.gateway.next_deadline()
        if deadline is not None:
            self._hurried = self._hurried + 1 if deadline <= self.now else 0
            assert self._hurried < HURRY, "the gateway has something to do, and has just run, again and again"
            times.append(deadline)
        if self._internet:
            times.append(self._internet[0][0])
        if self._wakes:
            times.append(self._wakes[0][0])
        if self.faulty:
            times += [self.hostile.due, self._reload_at]
            if self._restore_at > self.now:
                times.append(self._restore_at)
        self.now = max(self.now + 1, min(times))

    def _step(self) -> None:
        """Everything that is due now."""
        now = self.now
        while self._internet and self._internet[0][0] <= now:
            self._frames.append(heappop(self._internet)[2])
        while self._wakes and self._wakes[0][0] <= now:
            at, _, number = heappop(self._wakes)
            client = self.clients[number]
            if client.wake_at == at:
                client.wake_at = 0
                client.wake(now)
                self.schedule(client)
        if self.faulty and self.hostile.due <= now:
            self.hostile.act(now)
        if self.faulty and self._reload_at <= now:
            self._reload_at = now + self._draw(self.settings.mean_reload)
            self._reload()
        self._run_gateway(now)
        late = now - self._restore_at > 10 * SECOND
        if self.faulty and self._restore_at <= now and (self._internet or late):  # best while an answer is on its way
            self._restore_at = now + self._draw(self.settings.mean_restore)
            self._restore(now)
        self._check_step()

    def _run_gateway(self, now: int) -> None:
        for _ in range(50):
            frames, self._frames = self._frames, []
            self.frames_in += len(frames)
            self.bytes_in += sum(map(len, frames))
            touched: set[int] = set()
            if sieve := self.gateway.sieve(now):
                frames = sieve(frames)
            reset = self._about_to_reset(frames)
            out = self.gateway.step(frames, now, UNIX + (now - START) // SECOND)
            self.facts["connections reset"] += sum(self.gateway._tcp[0].find(key) is None for key in reset)
            for pieces in out:
                self._sent(b"".join(pieces), touched)
            for number in touched:
                self.schedule(self.clients[number])
            if not self._frames:
                break
        else:
            raise AssertionError("frames go to and fro without end")

    def _about_to_reset(self, frames: list[bytes]) -> set[bytes]:
        """Connections that a RST of their peer has come for."""
        find = self.gateway._tcp[0].find
        resets = [frame for frame in frames if len(frame) >= 66 and frame[35] == 6 and frame[59] & 4]
        return {key for frame in resets if find(key := frame[38:42] + frame[46:48]) is not None}

    def _draw(self, mean: float) -> int:
        return int(self.random.expovariate(1 / mean) * SECOND) + 1 if mean else 1 << 62

    def _reload(self) -> None:
        """One name is shut out, or fewer may come, or something else is pushed."""
        shut_out = self.random.randrange(len(self.clients))
        most = self.random.randrange(1, len(self.clients) + 1)
        lines = self.random.choice(
            (
                (),
                (f"<client-config-dir>\n[client{shut_out}]\ndisable\n</client-config-dir>",),
                (f"max-clients {most}", 'push "route 10.9.0.0 255.255.0.0"'),
            )
        )
        self._put_in_force(self._config(*lines))

    def _put_in_force(self, config: ServerConfig) -> None:
        self._in_force = config
        self.gateway.reconfigure(config, self.now, UNIX + (self.now - START) // SECOND)
        self.facts["reloads"] += 1

    # -- a new gateway ---------------------------------------------------------------------------------------------

    def _assembled(self, rng: random.Random, state: GatewayState | None) -> Gateway:
        return assemble(
            self._in_force, caps=LinkCaps(mac=MAC), uplink=UPLINK, limits=LIMITS, random=rng.randbytes, now=self.now,
            unix=UNIX + (self.now - START) // SECOND, counters=self.counters, state=state,
        )  # fmt: skip

    def _restore(self, now: int) -> None:
        """A new gateway in the place of this one, between two steps."""
        for _ in range(HURRY):
            deadline = self.gateway.next_deadline()
            if deadline is None or deadline > now:
                break
            self._run_gateway(now)
        if self._keys_on_the_way():
            self._restore_at = now + 1_000_000
            return
        before, flows = self._established(), self._flows()
        state = self.gateway.export()
        assert_plain(state)
        self._check_step()  # its last events
        peers = len(self.gateway.service.table)
        self.facts["restores"] += 1
        rng = random.Random(f"{self.settings.seed} {self.facts['restores']}")
        self.gateway = self._assembled(rng, self.on_the_way(pickle.loads(pickle.dumps(state))))
        assert self._established() == before, "other clients, or under other names, than before"
        assert self._flows() == flows, "other flows than before"
        self._run_gateway(now)
        table = self.gateway.service.table
        for number in before:
            session = table.by_transport[number].session
            pending = session.control.negotiations.pending if session is not None else None
            assert pending is not None, "a restored session does not renegotiate"
            assert pending.started_at == now, "a restored session renegotiates late"
            self._wants_keys[number] = now
        self.facts["sessions restored"] += len(before)
        self.facts["peers dropped"] += peers - len(before)

    def _established(self) -> dict[int, tuple[object, ...]]:
        return {
            number: (peer.name, peer.common_name, peer.version, peer.address, peer.peer_id, peer.session_id)
            for number, peer in self.gateway.service.table.by_transport.items()
            if peer.stage is Stage.ESTABLISHED
        }

    def _keys_on_the_way(self) -> bool:
        """True while our key message is not acknowledged: the client may seal with a key that no state has."""
        sessions = [peer.session for peer in self.gateway.service.table.by_transport.values()]
        pending = [one.control.negotiations.pending for one in sessions if one is not None]
        return any(one is not None and one.stage is KeyStage.SENT_KEY for one in pending)

    def _flows(self) -> int:
        return self.gateway.service.admissions._nat.flows

    def _new_keys(self, kind: str, conn: object) -> None:
        """Note the outcome of a renegotiation that a restored session has begun."""
        last = kind in ("client_renegotiated", "renegotiation_failed", "client_ended")
        if last and isinstance(conn, int) and conn in self._wants_keys:
            del self._wants_keys[conn]
            self.facts[f"restored, then {kind}"] += 1

    def schedule(self, client: SimClient) -> None:
        """Wake the client when it has something to do."""
        at = client.next_time()
        if at is not None and (client.wake_at == 0 or at < client.wake_at):
            client.wake_at = max(at, self.now + 1)
            self._order += 1
            heappush(self._wakes, (client.wake_at, self._order, client.number))

    def frame(self, packet: bytes) -> None:
        """A packet for the gateway, at once."""
        self._frames.append(HEAD + packet)

    def raw_frame(self, frame: bytes) -> None:
        """A frame as it is."""
        self._frames.append(frame)

    # -- what the gateway sends ------------------------------------------------------------------------------------

    def _sent(self, frame: bytes, touched: set[int]) -> None:
        self.frames_out += 1
        assert frame[18:24] == MAC
        if frame[24:26] == b"\x08\x06":
            if frame[32:34] == b"\0\1" and frame[50:54] == ROUTER.to_bytes(4, "big"):
                answer = b"\0\1\x08\0\6\4\0\2" + ROUTER_MAC + frame[50:54] + MAC + ADDRESS.to_bytes(4, "big")
                self._frames.append(bytes(12) + MAC + ROUTER_MAC + b"\x08\x06" + answer)
            return
        assert frame[12:18] == ROUTER_MAC
        packet = frame[26:]
        self.bytes_out += len(packet)  # what leaves is counted from the IPv4 header on, what comes as whole frames
        destination = int.from_bytes(packet[16:20], "big")
        if packet[9] == 6:
            self._to_client(frame, packet, destination, touched)
        elif packet[9] == 17 and packet[20:22] == PORT.to_bytes(2, "big"):
            self._to_roamer(frame, packet, destination, touched)
        elif packet[9] == 17:
            self._to_internet(packet, destination)
        else:
            self.facts["other protocols out"] += 1

    def _to_client(self, frame: bytes, packet: bytes, destination: int, touched: set[int]) -> None:
        client = self._hosts.get(destination)
        assert int.from_bytes(packet[20:22], "big") == PORT, "a TCP packet that nobody asked for"
        if client is None:
            self.hostile.hears(packet)
            return
        port = int.from_bytes(packet[22:24], "big")
        for segment in read((packet[16:20], frame[:12], [packet])):
            client.hears_of_gaps(port, segment)
            client.down.offer(build(segment, ADDRESS, PORT, destination, port), self.now)
        touched.add(client.number)

    def _to_roamer(self, frame: bytes, packet: bytes, destination: int, touched: set[int]) -> None:
        """A datagram to a client, or to where it was before, or to a stranger; the device completes its checksum."""
        assert ones_complement(packet[:20]) == 0, "a damaged header"
        assert frame[0] == 1, "the UDP checksum is not left to the device"
        assert int.from_bytes(packet[24:26], "big") == len(packet) - 20
        client = self._hosts.get(destination)
        if isinstance(client, SimRoamer) and client.host == destination:
            client.hears(PORT, int.from_bytes(packet[22:24], "big"), packet[28:])
            touched.add(client.number)
        elif client is None:
            self.facts["datagrams to strangers"] += 1
            self.facts["data to strangers"] += packet[28] >> 3 in DATA
            self.hostile.told += len(packet)

    def _to_internet(self, packet: bytes, destination: int) -> None:
        """The host outside sends every payload back, once for each that comes."""
        assert is_sound(packet), "a damaged packet left for the Internet"
        assert packet[12:16] == ADDRESS.to_bytes(4, "big"), "an inside address outside"
        assert destination == OUTSIDE
        sport, dport = int.from_bytes(packet[20:22], "big"), int.from_bytes(packet[22:24], "big")
        payload = packet[28:]
        assert dport == ECHO_PORT
        assert payload[:1] == b"Q", "a spoofed packet went out"
        assert payload not in self.outside_seen, "a query went out twice"
        self.outside_seen.add(payload)
        self.facts["queries outside"] += 1
        self.hostile.mapped_ports.append(sport)
        self._order += 1
        answer = udp_packet(OUTSIDE, ECHO_PORT, ADDRESS, sport, b"A" + payload[1:])
        heappush(self._internet, (self.now + OUTSIDE_DELAY, self._order, HEAD + answer))

    # -- invariants ------------------------------------------------------------------------------------------------

    def _check_step(self) -> None:
        gateway = self.gateway
        for event in gateway.take_events():
            assert event.kind.value != "internal_error", event.fields
            self.facts[event.kind.value] += 1
            self._new_keys(event.kind.value, event.fields.get("conn"))
            if event.kind.value == "client_ended":
                self.facts[f"ended: {event.fields['reason']}"] += 1
        assert self.counters.drops[DropReason.INTERNAL_ERROR] == 0
        assert self.counters.drops[DropReason.SEND_QUEUE_FULL] == 0, "so little traffic fits every queue"
        assert gateway.client_count <= min(len(self.clients) + 1, self.settings.pool or 253)
        stats = self.counters.stats
        assert stats[Stat.UDP_ACCEPTED] - stats[Stat.UDP_CLOSED] <= 4 * (len(self.clients) + 10)
        assert self._flows() <= LIMITS.nat.flows
        assert all(self.now - since <= 61 * SECOND for since in self._wants_keys.values()), "no new keys, no failure"
        assert len(gateway.service.table.by_transport) <= 20 * (len(self.clients) + 10)

    def _calm_down(self) -> None:
        """No more faults; what is alive has time to finish, then everybody leaves."""
        self.faulty = False
        if self.settings.mean_reload:
            self._put_in_force(self._config())
        for client in self.clients:
            client.calm()
            self.schedule(client)
        self._until(self.now + 300 * SECOND)
        for client in self.clients:
            client.expect_all_answered()
            self.facts["sessions at the end"] += client.tunnel is not None and bool(client.tunnel.address)
            client.leave_for_good()
            self.schedule(client)
        self._until(self.now + 1500 * SECOND)

    def _check_end(self) -> None:
        gateway, stats = self.gateway, self.counters.stats
        assert gateway.service.table.by_transport == {}
        assert gateway.client_count == 0
        assert self._flows() == 0
        assert self._wants_keys == {}
        assert len(gateway._tcp[0]) == 0
        assert stats[Stat.SESSIONS_ESTABLISHED] == stats[Stat.SESSIONS_ENDED]
        assert stats[Stat.NAT_FLOWS_OPENED] == stats[Stat.NAT_FLOWS_EXPIRED] + stats[Stat.NAT_FLOWS_FORGOTTEN]
        assert stats[Stat.TCP_ACCEPTED] == stats[Stat.TCP_CLOSED]
        assert stats[Stat.UDP_ACCEPTED] == stats[Stat.UDP_CLOSED]
        assert (stats[Stat.FRAMES_IN], stats[Stat.BYTES_IN]) == (self.frames_in, self.bytes_in)
        assert stats[Stat.FRAMES_OUT] == self.frames_out
        assert stats[Stat.BYTES_OUT] == self.bytes_out
        assert self.facts["sessions established"] <= stats[Stat.SESSIONS_ESTABLISHED]
        assert self.hostile.told <= 1.3 * self.hostile.said, "strangers were sent more than they have sent"
        assert self.counters.drops[DropReason.WRONG_SOURCE] <= self.facts["spoofed"]
        assert stats[Stat.DATA_PACKETS_IN] >= self.facts["queries outside"]


def assert_plain(value: object) -> None:
    """Numbers, texts, bytes, enums, and tuples, lists, dicts, sets and frozen dataclasses of them."""
    if is_dataclass(value):
        assert vars(type(value))["__dataclass_params__"].frozen, type(value)
        for one in fields(value):
            assert_plain(getattr(value, one.name))
    elif isinstance(value, dict):
        assert_plain(list(value.items()))
    elif isinstance(value, tuple | list | frozenset):
        for item in value:
            assert_plain(item)
    else:
        assert value is None or type(value) in (int, float, bool, str, bytes) or isinstance(value, Enum), type(value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--hours", type=float, default=0.5)
    parser.add_argument("--keepalive", type=int, nargs=2, default=(10, 60))
    parser.add_argument("--reneg-sec", type=int, default=600)
    for name, default in (("act", 20), ("life", 400), ("away", 30), ("partition", 900), ("hostile", 5)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--pool", type=int, default=0)
    parser.add_argument("--reload", type=float, default=0)
    parser.add_argument("--restore", type=float, default=0)
    parser.add_argument("--roamers", type=int, default=0)
    parser.add_argument("--twins", type=int, default=0)
    parser.add_argument("--roam", type=float, default=120)
    a = parser.parse_args()
    world = SimWorld(
        WorldSettings(
            a.seed, a.clients, a.hours, tuple(a.keepalive), a.reneg_sec, a.act, a.life, a.away, a.partition, a.hostile,
            a.pool, a.reload, a.restore, a.roamers, a.twins, a.roam,
        )
    )  # fmt: skip
    world.run()
    connected = world.facts["connected seconds"] / 3600
    print(f"seed {a.seed}: {connected:.1f} connected client-hours; {world.state()}")


if __name__ == "__main__":
    main()
