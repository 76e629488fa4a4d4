"""Rows of the directive table: mode, transport, tunnel network, routes, sizes."""

from __future__ import annotations

from hognose.config.rows import Row, flag, honour, ignore, number, reject

_OWN_STACK = "this server has its own network stack"
_ONE_NIC = "there is one interface with one address"
_NO_TUN_DEVICE = "there is no tun device"
_NO_ROUTES = 'the server needs no routes; to send one to clients write `push "route …"`'
_NO_IPV6 = "the tunnel carries IPv4 only"
_NO_VLAN = "there are no VLANs; remove the line"
_CLIENT = "this is a client's directive; for a server write `server NETWORK NETMASK`"
_TO_PUSH = 'this is a client\'s directive; to send it to clients write `push "{} …"`'
_CLIENT_SIDE = "this is a client's directive"

NETWORK: dict[str, Row] = {
    # mode and transport
    "mode": honour("`server` only", 1, 1),
    "tls-server": honour("always so", 0, 0),
    "proto": honour(
        "`udp` or `udp4`, which is meant when absent, or `tcp`, `tcp-server`, `tcp4`, `tcp4-server`; for both write "
        "`local * PORT udp` and `local * PORT tcp`",
        1,
        1,
        repeatable=True,
    ),
    "port": honour("port to listen on, 1194 when absent", 1, 1),
    "lport": honour("as `port`", 1, 1),
    "tcp-nodelay": honour("always on, also pushed", 0, 0),
    "socket-flags": honour("`TCP_NODELAY` is always on", 0, 8),
    "local": honour(
        "`local * PORT PROTO`, a line for each port to listen on; what is left out is that of `port` and `proto`. "
        "Another host than `*` is ignored: the address comes from the boot argument --ipv4",
        1,
        3,
        repeatable=True,
    ),
    "bind": ignore("a server always listens"),
    "nobind": ignore("a server always listens"),
    "bind-dev": ignore(_ONE_NIC),
    "multihome": ignore("always so: a client is answered from the address that it asked"),
    "mark": ignore(_OWN_STACK),
    "float": ignore("always so over UDP: a client that comes from another address goes on"),
    "explicit-exit-notify": honour(
        "`2`: at the server's end clients go to the next of their remotes; `1` or without a number: they come back to "
        "this one, which is also done without this line; over TCP too",
        0,
        1,
    ),
    "sndbuf": ignore(_OWN_STACK),
    "rcvbuf": ignore(_OWN_STACK),
    "fast-io": ignore(_OWN_STACK),
    "passtos": flag(
        "datagrams to clients over UDP have the traffic class (DSCP) of the packets in them, and are never marked as "
        "ECN-capable; nothing over TCP, whose segments have packets of several classes in them"
    ),
    "mtu-disc": ignore("outer packets that fit the link have DF set, larger ones are cut"),
    "tcp-queue-limit": ignore(_OWN_STACK),
    "bcast-buffers": ignore(_OWN_STACK),
    "hash-size": ignore(_OWN_STACK),
    "disable-dco": ignore(_OWN_STACK),
    "port-share": ignore("nothing else listens here: other protocols on this port are dropped"),
    # tunnel network
    "dev": honour("`tun` or a name beginning with it, or any name with `dev-type tun`", 1, 1),
    "dev-type": honour("`tun` only", 1, 1),
    "server": honour(
        "tunnel network and netmask, e.g. `server 10.8.0.0 255.255.255.0`, the first address is ours; "
        "`nopool` after it wants `ifconfig-pool`",
        2,
        3,
    ),
    "topology": honour("`subnet` only", 1, 1),
    "ifconfig-pool": honour("first and last address for clients; all of `server` when absent", 2, 3),
    "ifconfig-pool-persist": honour(
        "file with lines `COMMON NAME,ADDRESS`: these clients get these addresses; it is embedded, never written",
        1,
        2,
        file=True,
    ),
    "ifconfig-pool-linear": ignore("with `topology subnet` the pool is always so"),
    "ifconfig": reject("write `server NETWORK NETMASK`: its first address is the server's"),
    "ifconfig-noexec": ignore(_NO_TUN_DEVICE),
    "ifconfig-nowarn": ignore("peers' ifconfig is never compared"),
    "dev-node": ignore(_NO_TUN_DEVICE),
    "txqueuelen": ignore(_NO_TUN_DEVICE),
    "iproute": ignore("no program is ever run"),
    "lladdr": reject("there is no tap device; remove the line"),
    "tap-sleep": ignore("there is no tap device"),
    "tun-ipv6": ignore(_NO_IPV6),
    "server-ipv6": reject(f"not yet: {_NO_IPV6}; remove the line; docs/examples.md (full tunnel) stops leaks"),
    "ifconfig-ipv6": ignore(_NO_IPV6),
    "ifconfig-ipv6-pool": ignore(_NO_IPV6),
    "ifconfig-ipv6-push": ignore(_NO_IPV6),
    "server-bridge": reject("there is no bridge; write `server NETWORK NETMASK` and `dev tun`"),
    "vlan-tagging": reject(_NO_VLAN),
    "vlan-accept": reject(_NO_VLAN),
    "vlan-pvid": reject(_NO_VLAN),
    # routes
    "route": ignore(_NO_ROUTES),
    "route-ipv6": ignore(_NO_IPV6),
    "route-gateway": ignore("clients are told the server's own address"),
    "route-ipv6-gateway": ignore(_NO_IPV6),
    "route-metric": ignore(_NO_ROUTES),
    "route-delay": ignore(_NO_ROUTES),
    "route-method": ignore(_NO_ROUTES),
    "route-noexec": ignore(_NO_ROUTES),
    "max-routes": ignore(_NO_ROUTES),
    "max-routes-per-client": ignore("a client has one address"),
    "stale-routes-check": ignore("a client has one address"),
    "allow-recursive-routing": ignore(_CLIENT_SIDE),
    "redirect-gateway": ignore(_TO_PUSH.format("redirect-gateway")),
    "redirect-private": ignore(_TO_PUSH.format("redirect-private")),
    "block-ipv6": ignore(_TO_PUSH.format("block-ipv6")),
    "dhcp-option": ignore(_TO_PUSH.format("dhcp-option")),
    "dns": ignore(_TO_PUSH.format("dns")),
    "domain-search": ignore(_TO_PUSH.format("domain-search")),
    "block-outside-dns": ignore(_TO_PUSH.format("block-outside-dns")),
    "register-dns": ignore(_TO_PUSH.format("register-dns")),
    "client-nat": reject("addresses are translated once, to the server's; remove the line"),
    # sizes
    "tun-mtu": number("576 … 1500, pushed to clients that ask; a second number is not used", (576, 1500), (0, 65_535)),
    "tun-mtu-max": ignore("no client is given more than tun-mtu"),
    "mssfix": honour(
        "largest packet that inner TCP may cause: `N mtu` with all outer headers, `N` without outer IP and TCP, "
        "`N fixed` the inner packet itself; `0` switches it off; `1492 mtu` when absent",
        0,
        2,
    ),
    "link-mtu": ignore("follows from tun-mtu"),
    "udp-mtu": ignore("follows from tun-mtu"),
    "tun-mtu-extra": ignore("follows from tun-mtu"),
    "mtu-test": ignore("sizes follow from tun-mtu and mssfix"),
    "fragment": reject("packets are cut by IP where they must be; remove the line, also in the clients"),
    "shaper": ignore("TCP's own flow control is used"),
    # the other side's
    "client": reject(_CLIENT),
    "tls-client": reject(_CLIENT),
    "pull": reject(_CLIENT),
    "remote": reject(_CLIENT),
    "connection": reject(_CLIENT),
    "secret": reject("static-key mode has no server; write `ca`, `cert` and `key`"),
    "allow-deprecated-insecure-static-crypto": reject("static-key mode has no server; write `ca`, `cert` and `key`"),
    "http-proxy": reject("a server opens no connection; remove the line"),
    "socks-proxy": reject("a server opens no connection; remove the line"),
    "peer-id": reject("the server chooses it; remove the line"),
    "protocol-flags": reject("the server chooses it; remove the line"),
    "push-continuation": reject("the server chooses it; remove the line"),
    **{
        name: ignore(_CLIENT_SIDE)
        for name in (
            "allow-pull-fqdn",
            "auth-retry",
            "connect-retry",
            "connect-retry-max",
            "connect-timeout",
            "http-proxy-option",
            "http-proxy-override",
            "http-proxy-user-pass",
            "persist-remote-ip",
            "proto-force",
            "pull-filter",
            "push-peer-info",
            "remote-random",
            "remote-random-hostname",
            "resolv-retry",
            "route-nopull",
            "rport",
            "server-poll-timeout",
            "socks-proxy-retry",
            "static-challenge",
        )
    },
    **{
        name: ignore("only for clients on Windows")
        for name in (
            "allow-nonadmin",
            "dhcp-internal",
            "dhcp-pre-release",
            "dhcp-release",
            "dhcp-renew",
            "ip-win32",
            "pause-exit",
            "rdns-internal",
            "run-at-startup",
            "win-sys",
            "windows-driver",
        )
    },
    "service": reject("there is no Windows service; remove the line"),
    "cryptoapicert": reject("there is no Windows certificate store; write `cert server.crt` and `key server.key`"),
}
