# Sourced by build.sh: an apt set-up of its own for the builder's Debian suite, derived from the host's Debian entry.
# Nothing of the host's apt is changed, and no mirror is named here: the suite is replaced, the signature checked
# with the host's Debian keyring.

SUITE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# write_sources FILE: deb822 stanzas for SUITE from the host's first Debian stanza; security updates beside them.
write_sources() {
    python3 - "$1" "$SUITE" "$KEYRING" <<'PYTHON'
import glob, re, sys
target, suite, keyring = sys.argv[1:]
found = {}
for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
    try:
        text = open(path, encoding="utf-8").read()
    except OSError:
        continue
    if path.endswith(".sources"):
        for stanza in text.split("\n\n"):
            fields = dict(
                line.split(":", 1) for line in stanza.splitlines() if ":" in line and line[0] not in "# \t"
            )
            for uri in fields.get("URIs", "").split():
                found.setdefault(uri.rstrip("/").rsplit("/", 1)[-1], uri)
    elif path.endswith(".list"):
        for uri in re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)", text, re.M):
            found.setdefault(uri.rstrip("/").rsplit("/", 1)[-1], uri)
if "debian" not in found:
    sys.exit("no Debian entry in /etc/apt: a Debian host is needed to build the image")
stanzas = [(found["debian"], f"{suite} {suite}-updates")]
if "debian-security" in found:
    stanzas.append((found["debian-security"], f"{suite}-security"))
with open(target, "w", encoding="utf-8") as file:
    for uri, suites in stanzas:
        file.write(f"Types: deb deb-src\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n\n")
PYTHON
}

# apt_prepare DIR: a private apt root with those sources.
apt_prepare() {
    APT_ROOT=$1
    mkdir -p "$APT_ROOT"/{etc/sources.list.d,etc/preferences.d,state/lists/partial,cache/archives/partial}
    write_sources "$APT_ROOT/etc/sources.list.d/builder.sources"
    : >"$APT_ROOT/etc/sources.list"
    : >"$APT_ROOT/state/status"
    apt_do update -qq
}

# apt_do ARGS: apt-get inside that root; proxies and certificates of the host's configuration still apply.
apt_do() {
    local tool=apt-get
    [ "$1" = cache ] && tool=apt-cache && shift
    "$tool" -o Dir::Etc::sourcelist="$APT_ROOT/etc/sources.list" -o Dir::Etc::sourceparts="$APT_ROOT/etc/sources.list.d" \
        -o Dir::Etc::preferencesparts="$APT_ROOT/etc/preferences.d" -o Dir::Etc::preferences=/dev/null \
        -o Dir::State="$APT_ROOT/state" -o Dir::State::status="$APT_ROOT/state/status" \
        -o Dir::Cache="$APT_ROOT/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}
