"""Behaviour of a NAT, found out from both of its sides with real sockets; each probe is one sentence of an RFC.

A probe returns nothing when the NAT does what it should, and raises VerdictError (or a time-out, or what the kernel
says) when it does not. It knows the NAT by its addresses only.
"""

from __future__ import annotations

import errno
import re
import select
import socket
from collections.abc import Callable
from contextlib import ExitStack

from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.packet import Raw
from tests.interop.nat_side import (
    INTERNET,
    INTERNET_2,
    IP_MTU_DISCOVER,
    IP_RECVERR,
    LISTENING_PORT,
    NARROW_MTU,
    NOBODY,
    PATIENCE,
    PMTUDISC_DONT,
    PMTUDISC_PROBE,
    PORTS,
    SYN_SILENCE,
    TUN_MTU,
    Side,
    VerdictError,
    connect_from,
    hops,
    icmp_error,
    mapped,
    must,
    silent,
)

# -- mapping -----------------------------------------------------------------------------------------------------------


def mapping_of_udp_is_endpoint_independent(side: Side) -> None:
    """RFC 4787 REQ-1."""
    port = next(PORTS)
    with (
        side.udp() as one,
        side.udp() as two,
        side.udp(address=INTERNET_2) as three,
        side.udp(1, port) as other,
        side.udp(0, port) as inside,
    ):
        mapped(other, one)  # the port is not free for the second
        seen = {mapped(inside, host) for host in (one, two, three)}
    must(len(seen) == 1, f"outside ports {seen}")


def mapping_of_tcp_is_endpoint_independent(side: Side) -> None:
    """RFC 5382 REQ-1."""
    port = next(PORTS)
    seen = {connect_from(side, 0, port, address) for address in (INTERNET, INTERNET_2, INTERNET)}
    must(len(seen) == 1, f"outside ports {seen}")


def ports_are_not_overloaded(side: Side) -> None:
    """RFC 4787 REQ-3, RFC 5382 REQ-7: two clients with the same port have different outside ports."""
    port = next(PORTS)
    with side.udp() as host, side.udp(0, port) as one, side.udp(1, port) as two:
        first, second = mapped(one, host), mapped(two, host)
        must(first != second, f"both have {first}")
        for outside, inside in ((first, one), (second, two)):
            host.sendto(str(outside).encode(), (side.outside, outside))
            must(inside.recv(100) == str(outside).encode(), "an answer went to the other")


def a_free_port_is_preserved(side: Side) -> None:
    """RFC 4787 section 4.2.1 (preservation is what makes parity and ranges come by themselves)."""
    port = next(PORTS) + 1
    with side.udp() as host, side.udp(0, port) as inside:
        found = mapped(inside, host)
    must(found == port, f"{port} became {found}")


def port_ranges_are_kept(side: Side) -> None:
    """RFC 4787 REQ-3 a: below 1024 stays below, also when it is not free."""
    for port in (700, 701, 40_001):
        with side.udp() as host, side.udp(0, port) as one, side.udp(1, port) as two:
            found = [mapped(one, host), mapped(two, host)]
        must(all((each < 1024) == (port < 1024) for each in found), f"{port} became {found}")


def parity_is_kept(side: Side) -> None:
    """RFC 4787 REQ-4, also when the port is not free."""
    for _ in range(4):
        base = next(PORTS)
        for port in (base, base + 1):
            with side.udp() as host, side.udp(0, port) as one, side.udp(1, port) as two:
                found = [mapped(one, host), mapped(two, host)]
            must(all(each % 2 == port % 2 for each in found), f"{port} became {found}")


def the_same_question_gets_the_same_answer(side: Side) -> None:
    """RFC 4787 REQ-11: behaviour does not change with time or with conflicts."""
    port = next(PORTS)
    with side.udp(0, port) as inside, side.udp() as stranger:
        seen = set()
        for _ in range(10):
            with side.udp() as host:
                seen.add(mapped(inside, host))
                stranger.sendto(b"evil", (side.outside, max(seen)))
        must(len(seen) == 1, f"outside ports {seen}")
        must(silent(inside), "a stranger came in")


# -- filtering ---------------------------------------------------------------------------------------------------------


def a_strange_address_is_filtered(side: Side) -> None:
    """RFC 4787 REQ-8."""
    with side.udp() as host, side.udp(0, next(PORTS)) as inside, side.udp(None, 0, INTERNET_2) as stranger:
        outside = mapped(inside, host)
        stranger.sendto(b"evil", (side.outside, outside))
        must(silent(inside), "it came in")
        host.sendto(b"good", (side.outside, outside))
        must(inside.recv(100) == b"good", "the peer's own did not")


def a_strange_port_is_filtered(side: Side) -> None:
    """Filtering is address-and-port-dependent."""
    with side.udp() as host, side.udp(0, next(PORTS)) as inside, side.udp() as stranger:
        outside = mapped(inside, host)
        stranger.sendto(b"evil", (side.outside, outside))
        must(silent(inside), "it came in")


def an_unsolicited_syn_is_met_with_silence(side: Side) -> None:
    """RFC 5382 REQ-4: nothing for six seconds."""
    port = next(PORTS)
    outside = connect_from(side, 0, port)
    with side.tcp() as stranger:
        stranger.settimeout(SYN_SILENCE)
        try:
            stranger.connect((side.outside, outside))
        except TimeoutError:
            return
        except OSError as error:
            raise VerdictError(f"answered: {error}") from None
    raise VerdictError("connected")


def tcp_opens_simultaneously(side: Side) -> None:
    """RFC 5382 REQ-2: both send a SYN; the outer one comes first and is not answered."""
    port, host_port = next(PORTS), next(PORTS)
    outside = connect_from(side, 0, port)
    with side.tcp(None, host_port) as host, side.tcp(0, port) as inside:
        host.setblocking(False)
        must(host.connect_ex((side.outside, outside)) == errno.EINPROGRESS, "it did not wait")
        must(not select.select([], [host], [], 0.3)[1], "the outer SYN was answered")
        inside.connect((INTERNET, host_port))
        must(bool(select.select([], [host], [], PATIENCE)[1]), "the other side has no connection")
        host.setblocking(True)
        host.settimeout(PATIENCE)
        host.sendall(b"both")
        must(inside.recv(10) == b"both", "no data")


# -- hairpin -----------------------------------------------------------------------------------------------------------


def udp_hairpins_with_the_external_source(side: Side) -> None:
    """RFC 4787 REQ-9."""
    with side.udp() as host, side.udp(0, next(PORTS)) as one, side.udp(1, next(PORTS)) as two:
        first, second = mapped(one, host), mapped(two, host)
        one.sendto(b"open", (side.outside, second))
        for _ in range(10):  # the other tunnel's packet may be faster than the one that opens the filter
            two.sendto(b"hello", (side.outside, first))
            if select.select([one], [], [], 0.3)[0]:
                break
        data, sender = one.recvfrom(100)
        must((data, sender) == (b"hello", (side.outside, second)), f"{data!r} of {sender}")
        one.sendto(b"hello yourself", sender)
        while (heard := two.recvfrom(100))[0] == b"open":
            pass
        must(heard == (b"hello yourself", (side.outside, first)), f"{heard}")


def tcp_hairpins(side: Side) -> None:
    """RFC 5382 REQ-8: two clients meet by simultaneous open."""
    ports = (next(PORTS), next(PORTS))
    outside = [connect_from(side, client, port) for client, port in enumerate(ports)]
    with side.tcp(0, ports[0]) as one, side.tcp(1, ports[1]) as two:
        one.setblocking(False)
        must(one.connect_ex((side.outside, outside[1])) == errno.EINPROGRESS, "the first did not wait")
        select.select([], [one], [], 0.3)
        two.connect((side.outside, outside[0]))
        must(bool(select.select([], [one], [], PATIENCE)[1]), "the first has no connection")
        must(one.getpeername() == (side.outside, outside[1]), "another peer")
        two.sendall(b"hello")
        one.setblocking(True)
        one.settimeout(PATIENCE)
        must(one.recv(10) == b"hello", "no data")


def icmp_errors_hairpin(side: Side) -> None:
    """RFC 5508 REQ-7."""
    with side.udp() as host, side.udp(0, next(PORTS)) as one:
        first = mapped(one, host)
        with side.udp(1, next(PORTS)) as two:
            second = mapped(two, host)
            two.sendto(b"open", (side.outside, first))
        one.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        error = None
        for _ in range(10):  # it may be faster than the other tunnel's packet that opens the filter
            one.sendto(b"anybody?", (side.outside, second))
            if (error := icmp_error(one, 1)) is not None:
                break
    must(error is not None and error[:3] == (errno.ECONNREFUSED, 3, 3), f"{error}")


def our_own_address_answers_ping(side: Side) -> None:
    """RFC 1122 section 3.2.2.6, from inside."""
    must(" 0% packet loss" in side.run(0, "ping", "-c1", "-w5", side.outside), "no answer")


# -- ICMP --------------------------------------------------------------------------------------------------------------


def ping_works(side: Side) -> None:
    """RFC 5508 REQ-1."""
    must(" 0% packet loss" in side.run(0, "ping", "-c3", "-i0.2", "-w8", "-s1000", INTERNET), "no answer")


def equal_identifiers_of_two_clients_are_kept_apart(side: Side) -> None:
    """RFC 5508 REQ-1 with RFC 4787 REQ-3."""
    for client in (0, 1):
        out = side.run(client, "ping", "-c2", "-i0.2", "-w8", "-e4242", INTERNET)
        must(" 0% packet loss" in out, f"client {client + 1} has no answer")


def errors_come_in(side: Side) -> None:
    """RFC 4787 REQ-12, RFC 5508 REQ-3 to 5: a socket learns that its peer's port is closed."""
    with side.udp(0, next(PORTS)) as inside:
        inside.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        inside.sendto(b"anybody?", (INTERNET, next(PORTS)))
        error = icmp_error(inside)
    must(error is not None and error[1:3] == (3, 3) and error[4] == INTERNET, f"{error}")


def errors_go_out(side: Side) -> None:
    """RFC 5508 REQ-5, the other way."""
    with side.udp() as host:
        with side.udp(0, next(PORTS)) as inside:
            outside = mapped(inside, host)
        host.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        host.sendto(b"still there?", (side.outside, outside))
        error = icmp_error(host)
    must(error is not None and error[1:3] == (3, 3) and error[4] == side.outside, f"{error}")


def errors_do_not_end_a_mapping(side: Side) -> None:
    """RFC 4787 REQ-12: one peer's port is closed, then opens and answers at the same outside port."""
    port = next(PORTS)
    with side.udp(0, next(PORTS)) as inside:
        inside.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        inside.sendto(b"anybody?", (INTERNET, port))
        must(icmp_error(inside) is not None, "no error")
        with side.udp(None, port) as host:
            host.sendto(b"now I am here", (side.outside, inside.getsockname()[1]))
            must(inside.recv(100) == b"now I am here", "the mapping is gone")


def tcp_learns_of_errors(side: Side) -> None:
    """RFC 5382 REQ-9: a host that cannot be reached ends the attempt."""
    with side.tcp(0, next(PORTS)) as inside:
        inside.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        inside.settimeout(PATIENCE)
        try:
            inside.connect((NOBODY, 9))  # the last router says so
        except OSError as error:
            must(error.errno == errno.EHOSTUNREACH, f"{error}")
            return
    raise VerdictError("connected")


# -- traceroute and path MTU -------------------------------------------------------------------------------------------


def traceroute_out(side: Side) -> None:
    """RFC 1812 section 5.3.1, RFC 5508 REQ-10: every hop is seen, with UDP and with ICMP."""
    with side.udp(0, next(PORTS)) as sock:
        found = hops(sock, (INTERNET, 33_434))
    must(found[0] == side.gateway and found[-1] == INTERNET and "*" not in found, f"{found}")
    for ttl, expected in enumerate(found, 1):
        out = side.run(0, "ping", "-c1", "-w5", f"-t{ttl}", INTERNET)
        answer = re.search(r"[Ff]rom ([\d.]+)", out)
        must(answer is not None and answer[1] == expected, f"ping at TTL {ttl}: {out}")


def traceroute_in(side: Side) -> None:
    """From a host to a client that talks to it: the NAT is a hop with its outside address."""
    with side.udp() as host, side.udp(0, next(PORTS)) as inside:
        outside = mapped(inside, host)
        found = hops(host, (side.outside, outside), inside)
    must(bool(found) and found[-1] == side.outside and "*" not in found, f"{found}")


def path_mtu_discovery_out(side: Side) -> None:
    """RFC 4787 REQ-13, RFC 1191: the way out is narrow, and the client is told how narrow."""
    side.narrow(NARROW_MTU)
    try:
        with side.udp() as host, side.udp(0, next(PORTS)) as inside:
            mapped(inside, host)
            inside.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            inside.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
            inside.sendto(bytes(NARROW_MTU - 28 + 8), host.getsockname())
            error = icmp_error(inside)
            must(error is not None and error[1:4] == (3, 4, NARROW_MTU), f"{error}")
            inside.sendto(bytes(NARROW_MTU - 28), host.getsockname())
            must(len(host.recv(4096)) == NARROW_MTU - 28, "what fits does not pass")
        out = side.run(1, "ping", "-c1", "-w5", "-Mdo", f"-s{NARROW_MTU - 28 + 8}", INTERNET)
        must(f"mtu = {NARROW_MTU}" in out or f"mtu={NARROW_MTU}" in out, out)
    finally:
        side.narrow(1500)
        for client in (0, 1):
            side.run(client, "ip", "route", "flush", "cache")


def path_mtu_discovery_in(side: Side) -> None:
    """The inside is narrower than the Internet, and the host is told."""
    with side.udp() as host, side.udp(0, next(PORTS)) as inside:
        outside = mapped(inside, host)
        host.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        host.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
        host.sendto(bytes(TUN_MTU - 28 + 8), (side.outside, outside))
        error = icmp_error(host)
        must(error is not None and error[1:4] == (3, 4, TUN_MTU) and error[4] == side.outside, f"{error}")
        host.sendto(bytes(TUN_MTU - 28), (side.outside, outside))
        must(len(inside.recv(4096)) == TUN_MTU - 28, "what fits does not pass")


# -- fragments ---------------------------------------------------------------------------------------------------------


def too_big_without_df_is_cut(side: Side) -> None:
    """RFC 4787 REQ-13: DF clear, larger than the inside."""
    with side.udp() as host, side.udp(0, next(PORTS)) as inside:
        outside = mapped(inside, host)
        host.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
        host.sendto(bytes(1472), (side.outside, outside))
        must(len(inside.recv(4096)) == 1472, "another size")


def fragments_pass_both_ways(side: Side) -> None:
    """RFC 4787 REQ-14."""
    data = bytes(range(256)) * 30
    with side.udp() as host, side.udp(0, next(PORTS)) as inside:
        for sock in (host, inside):
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
        inside.sendto(data, host.getsockname())
        received, peer = host.recvfrom(65_536)
        must(received == data, "outward")
        host.sendto(data[::-1], peer)
        must(inside.recv(65_536) == data[::-1], "inward")


def _pieces(source: str, destination: str, sport: int, dport: int, data: bytes) -> list[bytes]:
    packet = IP(src=source, dst=destination, id=next(PORTS), flags=0) / UDP(sport=sport, dport=dport) / Raw(data)
    return [bytes(piece) for piece in fragment(IP(bytes(packet)), fragsize=1000)]


def fragments_out_of_order_pass_outward(side: Side) -> None:
    """RFC 4787 REQ-14 a: the ports come last."""
    data, port = bytes(range(250)) * 12, next(PORTS)
    with side.udp() as host, side.udp(0, port), side.raw(0, socket.IPPROTO_RAW) as raw:
        for piece in reversed(_pieces(side.clients[0][1], INTERNET, port, host.getsockname()[1], data)):
            raw.sendto(piece, (INTERNET, 0))
        must(host.recv(65_536) == data, "other data")


def fragments_out_of_order_pass_inward(side: Side) -> None:
    """RFC 4787 REQ-14 a."""
    data = bytes(range(250)) * 12
    with side.udp() as host, side.udp(0, next(PORTS)) as inside, side.raw(None, socket.IPPROTO_RAW) as raw:
        outside = mapped(inside, host)
        for piece in reversed(_pieces(INTERNET, side.outside, host.getsockname()[1], outside, data)):
            raw.sendto(piece, (side.outside, 0))
        must(inside.recv(65_536) == data, "other data")


# -- packets as they are -----------------------------------------------------------------------------------------------


def _seen_outside(side: Side, packet: IP, marker: bytes, sender: int = 0) -> IP | None:
    """The packet with this payload as a host of the Internet gets it."""
    with side.raw(None, socket.IPPROTO_UDP) as sniffer, side.raw(sender, socket.IPPROTO_RAW) as raw:
        raw.sendto(bytes(packet), (packet.dst, 0))
        while not silent(sniffer, 2.0):
            found = IP(sniffer.recv(4096))
            if bytes(found).endswith(marker):
                return found
    return None


def a_corrupt_packet_stays_corrupt(side: Side) -> None:
    """RFC 1624, RFC 3022 section 4.1: a wrong checksum is never made right."""
    marker = b"corrupt-on-purpose"
    packet = IP(bytes(IP(src=side.clients[0][1], dst=INTERNET) / UDP(sport=next(PORTS), dport=9) / Raw(marker)))
    packet[UDP].chksum = (packet[UDP].chksum + 5) % 0xFFFF
    found = _seen_outside(side, packet, marker)
    if found is None:
        return  # thrown away: as good
    right = IP(bytes(found))
    del right[UDP].chksum
    must(IP(bytes(right))[UDP].chksum != found[UDP].chksum, "it was repaired")


def udp_without_checksum_stays_without(side: Side) -> None:
    """RFC 3022 section 4.1."""
    marker = b"no-checksum-at-all"
    packet = IP(src=side.clients[0][1], dst=INTERNET) / UDP(sport=next(PORTS), dport=9, chksum=0) / Raw(marker)
    found = _seen_outside(side, packet, marker)
    must(found is not None and found[UDP].chksum == 0, f"{found!r}")


def the_header_is_kept_but_for_ttl_and_source(side: Side) -> None:
    """RFC 1812 sections 5.3.1 and 5.3.2: TTL goes down, TOS, DF and the rest stay."""
    marker = b"look-at-my-header"
    packet = IP(src=side.clients[0][1], dst=INTERNET, ttl=40, tos=0xB8, id=4321, flags="DF")
    found = _seen_outside(side, packet / UDP(sport=next(PORTS), dport=9) / Raw(marker), marker)
    must(found is not None and found.ttl < 40, f"{found!r}")
    must(found is not None and (found.src, found.tos, found.flags) == (side.outside, 0xB8, "DF"), f"{found!r}")


# -- clients among each other ------------------------------------------------------------------------------------------


def a_foreign_source_does_not_leave(side: Side) -> None:
    """RFC 2827: a client sends with the other's address."""
    marker = b"not-my-own-address"
    packet = IP(src=side.clients[0][1], dst=INTERNET) / UDP(sport=next(PORTS), dport=9) / Raw(marker)
    must(_seen_outside(side, packet, marker, sender=1) is None, "it left")


def a_mapping_is_not_shadowed(side: Side) -> None:
    """A client sends from the victim's outside port, to the victim's peer: the victim's answers stay its own."""
    with side.udp() as host, side.udp(0, next(PORTS)) as victim:
        outside = mapped(victim, host)
        with side.udp(1, outside) as attacker:
            must(mapped(attacker, host) != outside, "the attacker has the victim's port")
            attacker.sendto(b"shadow", (side.outside, host.getsockname()[1]))
            host.sendto(b"for the victim", (side.outside, outside))
            must(victim.recv(100) == b"for the victim", "it did not arrive")
            must(silent(attacker), "the attacker got it")


def the_listening_port_is_not_shadowed(side: Side) -> None:
    """A client connects from the port on which the NAT itself listens, and the port is told to the server."""
    found = connect_from(side, 1, LISTENING_PORT)
    must(found != LISTENING_PORT, "its outside port is the listening one")
    with side.tcp() as host:
        host.settimeout(PATIENCE)
        host.connect((side.outside, LISTENING_PORT))


def _conversation(side: Side, stack: ExitStack) -> tuple[socket.socket, socket.socket, int, int]:
    """A connection: the client's socket, the host's, the port of the host, and the outside port."""
    listener, inside = stack.enter_context(side.tcp()), stack.enter_context(side.tcp(0, next(PORTS)))
    listener.listen()
    inside.connect(listener.getsockname())
    host, peer = listener.accept()
    stack.enter_context(host)
    host.settimeout(PATIENCE)
    return inside, host, listener.getsockname()[1], peer[1]


def _goes_on(inside: socket.socket, host: socket.socket) -> None:
    for sender, receiver in ((inside, host), (host, inside)):
        sender.sendall(b"still here")
        must(receiver.recv(100) == b"still here", "it does not go on")


def a_forged_reset_ends_no_connection(side: Side) -> None:
    """RFC 7857 section 2.2: resets in the peer's name whose sequence numbers are all over the room, but not right."""
    with ExitStack() as stack:
        inside, host, host_port, outside = _conversation(side, stack)
        raw = stack.enter_context(side.raw(None, socket.IPPROTO_RAW))
        for seq in range(0, 2**32, 2**27 + 1):
            for flags in ("R", "RA"):
                forged = IP(src=INTERNET, dst=side.outside) / TCP(sport=host_port, dport=outside, flags=flags, seq=seq)
                raw.sendto(bytes(forged), (side.outside, 0))
        _goes_on(inside, host)


def a_forged_path_mtu_is_not_believed(side: Side) -> None:
    """RFC 5927 section 4.1: "fragmentation needed" about a segment that the client has not sent."""
    with ExitStack() as stack:
        inside, host, host_port, outside = _conversation(side, stack)
        raw = stack.enter_context(side.raw(None, socket.IPPROTO_RAW))
        for seq in range(0, 2**32, 2**27 + 1):
            quoted = IP(src=side.outside, dst=INTERNET, flags="DF", len=1400, id=7)
            quoted /= TCP(sport=outside, dport=host_port, flags="A", seq=seq)
            error = (
                IP(src=INTERNET_2, dst=side.outside) / ICMP(type=3, code=4, nexthopmtu=600) / Raw(bytes(quoted)[:28])
            )
            raw.sendto(bytes(error), (side.outside, 0))
        _goes_on(inside, host)
        route = side.run(0, "ip", "route", "get", INTERNET)
        must("mtu 600" not in route, route)


PROBES: tuple[Callable[[Side], None], ...] = (
    mapping_of_udp_is_endpoint_independent,
    mapping_of_tcp_is_endpoint_independent,
    ports_are_not_overloaded,
    a_free_port_is_preserved,
    port_ranges_are_kept,
    parity_is_kept,
    the_same_question_gets_the_same_answer,
    a_strange_address_is_filtered,
    a_strange_port_is_filtered,
    an_unsolicited_syn_is_met_with_silence,
    tcp_opens_simultaneously,
    udp_hairpins_with_the_external_source,
    tcp_hairpins,
    icmp_errors_hairpin,
    our_own_address_answers_ping,
    ping_works,
    equal_identifiers_of_two_clients_are_kept_apart,
    errors_come_in,
    errors_go_out,
    errors_do_not_end_a_mapping,
    tcp_learns_of_errors,
    traceroute_out,
    traceroute_in,
    path_mtu_discovery_out,
    path_mtu_discovery_in,
    too_big_without_df_is_cut,
    fragments_pass_both_ways,
    fragments_out_of_order_pass_outward,
    fragments_out_of_order_pass_inward,
    a_corrupt_packet_stays_corrupt,
    udp_without_checksum_stays_without,
    the_header_is_kept_but_for_ttl_and_source,
    a_foreign_source_does_not_leave,
    a_mapping_is_not_shadowed,
    the_listening_port_is_not_shadowed,
    a_forged_reset_ends_no_connection,
    a_forged_path_mtu_is_not_believed,
)


def verdict(probe: Callable[[Side], None], side: Side) -> str:
    """Empty when the NAT does what the probe says, else what it does instead."""
    try:
        probe(side)
    except (VerdictError, OSError) as error:
        return str(error) or type(error).__name__
    return ""
