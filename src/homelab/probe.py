"""What one read-only command tells about a host: the script that asks, and the answer as typed values.

The script prints one `key<TAB>value` line for each thing it saw, so that it needs no interpreter on the host but sh.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Asked = TypeVar("_Asked")


@dataclass(frozen=True)
class FileState:
    """A path as it stands on a host: permission bits as `stat` prints them in octal, `user:group`, SHA-256 or None."""

    kind: str
    mode: str
    owner: str
    sha256: str | None = None
    target: str | None = None
    size: int = 0


@dataclass(frozen=True)
class UnitState:
    """A systemd unit; `load` is "not-found" where there is none."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    pid: int = 0
    restarts: int = 0

    @property
    def running(self) -> bool:
        return self.pid > 0


@dataclass(frozen=True)
class HostProbe:
    """One host as it was when the run began. Sizes in bytes, times in UTC.

    `subnets` has the network of each address, `gateways` the interface of the default route by IP version (that of the
    lowest metric, which the kernel lists first), `clock_offset` how far the host's clock is ahead of this machine's,
    `ssh_port` the port this connection came in by, `reachable` the TCP ports that listen to more than the host itself,
    `reachable_udp` the UDP ones, `firewall` the hash of the toolkit's own table as it is loaded, "" when it is not,
    and `output` what the questions' commands printed, by their names.
    """

    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    machine: str = ""
    kernel: str = ""
    hostname: str = ""
    init: str = ""
    container: str = "none"
    board: str = ""
    addresses: Mapping[Address, str] = field(default_factory=dict)
    subnets: Mapping[Address, Network] = field(default_factory=dict)
    gateways: Mapping[int, str] = field(default_factory=dict)
    memory: int = 0
    disk_free: Mapping[str, int] = field(default_factory=dict)
    memory_cgroup: bool = False
    cgroup: str = ""
    clock: datetime | None = None
    clock_offset: timedelta | None = None
    clock_synchronised: bool = False
    ssh_peer: str = ""
    ssh_port: int = 0
    boot_id: str = ""
    packages: frozenset[str] = frozenset()
    files: Mapping[str, FileState] = field(default_factory=dict)
    units: Mapping[str, UnitState] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    missing_modules: frozenset[str] = frozenset()
    listening: Mapping[int, str] = field(default_factory=dict)
    reachable: Mapping[int, str] = field(default_factory=dict)
    reachable_udp: Mapping[int, str] = field(default_factory=dict)
    firewall: str = ""
    k3s_version: str = ""
    k3s_started: Mapping[str, str] = field(default_factory=dict)
    etcd_data: bool = False
    sqlite_data: bool = False
    node_password: bool = False
    text: Mapping[str, str] = field(default_factory=dict, repr=False)
    output: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def arch(self) -> str:
        """The architecture as K3s's release assets name it; "" when K3s has none for it."""
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(self.machine, "")

    def unit(self, name: str) -> UnitState:
        return self.units.get(name, UnitState())


@dataclass(frozen=True)
class Questions:
    """What to ask besides the fixed facts: paths, units, packages, sysctls, modules, and small files to read whole.

    `commands` are names and read-only shell code; what each prints is told under its name, its exit code is not.
    """

    paths: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()

    def __or__(self, other: Questions) -> Questions:
        def joined(mine: tuple[_Asked, ...], theirs: tuple[_Asked, ...]) -> tuple[_Asked, ...]:
            return tuple(dict.fromkeys(mine + theirs))

        return Questions(
            joined(self.paths, other.paths),
            joined(self.units, other.units),
            joined(self.packages, other.packages),
            joined(self.sysctls, other.sysctls),
            joined(self.modules, other.modules),
            joined(self.text, other.text),
            joined(self.commands, other.commands),
        )


# `say` squeezes newlines so that a hostile or odd value cannot start a line of its own. Here and below a process more
# for each of some hundred things would be most of the time that a small machine takes to answer.
_SCRIPT = r"""
: homelab-probe
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin:/usr/local/bin"
nl='
'
say() {
  case "$2" in
    *"$nl"*) printf '%s\t%s\n' "$1" "$(printf %s "$2" | tr '\n' ' ')" ;;
    *) printf '%s\t%s\n' "$1" "$2" ;;
  esac
}
[ -r /etc/os-release ] && . /etc/os-release
say os_id "${ID:-}"; say os_version "${VERSION_ID:-}"; say os_name "${PRETTY_NAME:-}"
say machine "$(uname -m)"; say kernel "$(uname -r)"; say hostname "$(cat /proc/sys/kernel/hostname)"
say init "$(cat /proc/1/comm)"; say boot_id "$(cat /proc/sys/kernel/random/boot_id)"
say container "$(systemd-detect-virt -c 2>/dev/null)"
say board "$(tr -d '\000' 2>/dev/null </proc/device-tree/model)"
ip -o addr show 2>/dev/null | while read -r _ nic _ cidr _; do say address "$nic $cidr"; done
say default_route "$(ip -4 route show default 2>/dev/null)"
say default_route6 "$(ip -6 route show default 2>/dev/null)"
say memory "$(awk '/^MemTotal:/ {printf "%.0f", $2 * 1024}' /proc/meminfo)"
for d in /var/lib /usr/local /var/tmp; do
  say disk_free "$d $(df -PB1 "$d" 2>/dev/null | awk 'NR==2 {print $4}')"
done
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  say cgroup v2; say cgroup_controllers "$(cat /sys/fs/cgroup/cgroup.controllers)"
else say cgroup v1; say cgroup_controllers "$(awk '$4 == 1 {print $1}' /proc/cgroups)"; fi
say clock "$(date +%s.%N)"
say clock_synchronised "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)"
# sudo drops SSH_CONNECTION, but the login shell above it still has it.
pid=$$
while [ "${pid:-0}" -gt 1 ]; do
  peer="$(tr '\000' '\n' 2>/dev/null <"/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p')"
  if [ -n "$peer" ]; then say ssh_peer "$peer"; break; fi
  pid="$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)"
done
ss -Hltnp 2>/dev/null | while read -r _ _ _ local _ users; do say listening "${local##*:} $users"
  case "$local" in 127.*|"[::1]":*|*"%lo":*) ;; *) say reachable "${local##*:} $users" ;; esac
done
ss -Hlunp 2>/dev/null | while read -r _ _ _ local _ users; do
  case "$local" in 127.*|"[::1]":*|*"%lo":*) ;; *) say reachable_udp "${local##*:} $users" ;; esac
done
if command -v nft >/dev/null && table="$(nft -sn list table inet homelab 2>/dev/null)"; then
  say firewall "$(printf '%s\n' "$table" | sha256sum | cut -d' ' -f1)"
fi
[ -x /usr/local/bin/k3s ] && say k3s_version "$(/usr/local/bin/k3s --version 2>/dev/null | head -n 1)"
while read -r sum path; do say k3s_started "$sum $path"; done 2>/dev/null </run/homelab/k3s.started
[ -d /var/lib/rancher/k3s/server/db/etcd/member ] && say etcd_data yes
[ -s /var/lib/rancher/k3s/server/db/state.db ] && say sqlite_data yes
[ -s /etc/rancher/node/password ] && say node_password yes
"""

# Where the hash of a large file is kept, under its path with underscores for slashes: hashing a K3s binary and its
# images takes a small machine seconds. A seal counts while inode, size and both times are those of when it was made.
SEALS = "/var/lib/homelab/seals"
STATE = "stat -c '%i|%s|%y|%z'"

_PATHS = r"""
sealed() {
  sum=; [ -d "@SEALS@" ] || return 1
  path="$1"; IFS=/; set -f; set -- $1; IFS=_; seal="@SEALS@/$*"; unset IFS; set +f
  [ -f "$seal" ] && [ "$(tail -n 1 "$seal")" = "$(@STATE@ "$path")" ] && sum=$(head -n 1 "$seal")
}
set -- %s
for p in "$@"; do
  shift
  if [ -L "$p" ]; then say link "$p|$(readlink "$p")"
  elif [ -f "$p" ] && sealed "$p"; then say path "file|$(stat -c '%%a|%%U:%%G|%%s' "$p")|$sum|$p"
  elif [ -e "$p" ]; then set -- "$@" "$p"; fi
done
[ $# = 0 ] || { sha256sum -- "$@" 2>/dev/null; echo; stat --printf '%%F|%%a|%%U:%%G|%%s|%%n\n' -- "$@" 2>/dev/null; } |
  awk -F '|' '
    $0 == "" {stats = 1; next}
    !stats {sum[substr($0, 67)] = substr($0, 1, 64); next}
    {name = $0; sub(/^[^|]*\|[^|]*\|[^|]*\|[^|]*\|/, "", name)
     print "path\t" ($1 == "directory" ? "dir" : "file") "|" $2 "|" $3 "|" $4 "|" sum[name] "|" name}'
""".replace("@SEALS@", SEALS).replace("@STATE@", STATE.replace("%", "%%"))
_UNITS = r"""
asked=LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts
# One call for all, a paragraph each in the order asked: a call of its own costs a unit some 60 ms.
set -- %s
systemctl show -p "$asked" -- "$@" 2>/dev/null |
  awk -v names="$*" 'BEGIN {RS = ""; split(names, name, " ")} {gsub("\n", " "); print "unit\t" name[NR] " " $0}'
"""
_PACKAGES = r"""
dpkg-query -W -f '${binary:Package} ${db:Status-Status} ${Version}\n' %s 2>/dev/null | while read -r p s v; do
  [ "$s" = installed ] && say package "${p%%%%:*}" && say package "${p%%%%:*}=$v"
done
"""
_SYSCTLS = r"""
for s in %s; do
  f="/proc/sys/$(printf %%s "$s" | tr . /)"; [ -r "$f" ] && say sysctl "$s=$(cat "$f")"
done
"""
_MODULES = r"""
for m in %s; do
  if [ -d "/sys/module/$m" ] || grep -qw "$m" /proc/filesystems ||
    grep -qs "/$m\.ko" "/lib/modules/$(uname -r)/modules.builtin" ||
    { [ "$m" = br_netfilter ] && [ -d /proc/sys/net/bridge ]; }; then say module "$m"
  elif ! modprobe -n "$m" 2>/dev/null; then say missing_module "$m"; fi
done
"""
_TEXT = r"""
for p in %s; do [ -r "$p" ] && { printf 'text\t%%s ' "$p"; base64 -w0 <"$p"; echo; }; done
"""


# In a shell of its own, so that no command can end or change what is asked after it.
_COMMAND = r"""
printf 'output\t%s '
(
%s
) 2>/dev/null </dev/null | base64 -w0
echo
"""


def script(questions: Questions) -> str:
    """The shell script that asks the fixed facts and the questions; it changes nothing and needs root to see all."""
    parts = [_SCRIPT]
    for template, values in (
        (_PATHS, questions.paths),
        (_UNITS, questions.units),
        (_PACKAGES, questions.packages),
        (_SYSCTLS, questions.sysctls),
        (_MODULES, questions.modules),
        (_TEXT, questions.text),
    ):
        if values:
            parts.append(template % " ".join(shlex.quote(value) for value in values))
    parts += [_COMMAND % command for command in questions.commands]
    return "".join(parts) + "say end 1\n"


# default via 192.168.1.1 dev eth0 proto dhcp metric 100
_DEVICE = re.compile(r"\bdev (\S+)")


class ProbeError(ValueError):
    """The answer is not one of this script's, or was cut short."""


def parse(lines: Iterable[str], now: datetime | None = None, asked: datetime | None = None) -> HostProbe:
    """A host's answer as values; raise ProbeError when it is cut short or garbled.

    `asked` and `now` are this machine's time before and after; a clock between the two is right, however slow the host.
    """
    try:
        return _parse(lines, asked or now, now)
    except ProbeError:
        raise
    except (ValueError, OverflowError) as error:
        raise ProbeError(f"the answer is garbled: {error}") from error


def _parse(lines: Iterable[str], asked: datetime | None, answered: datetime | None) -> HostProbe:
    seen: dict[str, list[str]] = {}
    for line in lines:
        key, separator, value = line.partition("\t")
        if separator:
            seen.setdefault(key, []).append(value.strip())
    if "end" not in seen:
        raise ProbeError("the answer was cut short")

    def one(key: str) -> str:
        return seen.get(key, [""])[-1]

    addresses: dict[Address, str] = {}
    subnets: dict[Address, Network] = {}
    for value in seen.get("address", ()):
        nic, cidr = value.split()
        held = ipaddress.ip_interface(cidr)
        addresses[held.ip], subnets[held.ip] = nic, held.network
    files = {}
    for value in seen.get("path", ()):
        kind, mode, owner, size, sha256, path = value.split("|", 5)
        files[path] = FileState(kind, mode.zfill(4), owner, sha256 or None, size=int(size))
    for value in seen.get("link", ()):
        path, target = value.split("|", 1)
        files[path] = FileState("link", "0777", "root:root", target=target)
    version = one("k3s_version").split()
    clock = _time(one("clock"))
    ssh_peer, ssh_port = _connection(one("ssh_peer"))
    return HostProbe(
        os_id=one("os_id"),
        os_version=one("os_version"),
        os_name=one("os_name"),
        machine=one("machine"),
        kernel=one("kernel"),
        hostname=one("hostname"),
        init=one("init"),
        container=one("container") or "none",
        board=one("board"),
        addresses=addresses,
        subnets=subnets,
        gateways={
            version: found.group(1)
            for version, key in ((4, "default_route"), (6, "default_route6"))
            if (found := _DEVICE.search(one(key)))
        },
        memory=int(one("memory") or 0),
        disk_free={d: int(free or 0) for d, _, free in (v.partition(" ") for v in seen.get("disk_free", ()))},
        memory_cgroup="memory" in one("cgroup_controllers").split(),
        cgroup=one("cgroup"),
        clock=clock,
        clock_offset=_offset(clock, asked, answered) if clock and asked and answered else None,
        clock_synchronised=one("clock_synchronised") == "yes",
        ssh_peer=ssh_peer,
        ssh_port=ssh_port,
        boot_id=one("boot_id"),
        packages=frozenset(seen.get("package", ())),
        files=files,
        units={name: _unit(rest) for name, _, rest in (v.partition(" ") for v in seen.get("unit", ()))},
        sysctls={k: " ".join(v.split()) for k, _, v in (s.partition("=") for s in seen.get("sysctl", ()))},
        modules=frozenset(seen.get("module", ())),
        missing_modules=frozenset(seen.get("missing_module", ())),
        listening=_listening(seen.get("listening", ())),
        reachable=_listening(seen.get("reachable", ())),
        reachable_udp=_listening(seen.get("reachable_udp", ())),
        firewall=one("firewall"),
        k3s_version=version[2] if len(version) > 2 and version[:2] == ["k3s", "version"] else "",
        k3s_started={path: total for total, _, path in (v.partition(" ") for v in seen.get("k3s_started", ()))},
        etcd_data="etcd_data" in seen,
        sqlite_data="sqlite_data" in seen,
        node_password="node_password" in seen,
        text={path: _decoded(text) for path, _, text in (v.partition(" ") for v in seen.get("text", ()))},
        output={name: _decoded(text) for name, _, text in (v.partition(" ") for v in seen.get("output", ()))},
    )


def _connection(text: str) -> tuple[str, int]:
    """From where a connection came, and in by which port; "" and 0 for one by no network, as to a container."""
    # SSH_CONNECTION: 192.168.1.5 51234 192.168.1.11 22, or UNKNOWN 65535 UNKNOWN 65535
    words = text.split()
    if len(words) != 4 or words[0] == "UNKNOWN":
        return "", 0
    return str(ipaddress.ip_address(words[0].partition("%")[0])), int(words[3])


def _offset(clock: datetime, asked: datetime, answered: datetime) -> timedelta:
    if clock < asked:
        return clock - asked
    return max(clock - answered, timedelta())


def _decoded(text: str) -> str:
    return base64.b64decode(text, validate=True).decode("utf-8", errors="replace")


def _time(seconds: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except ValueError:
        return None


def unit_time(text: str) -> datetime | None:
    """A unit's time as `TZ=UTC systemctl show` prints it, `Sun 2026-11-22 10:00:00 UTC`; None where there is none.

    Its --timestamp=unix is younger (systemd 251) than Ubuntu 22.04, whose systemctl refuses to answer it at all.
    """
    _, _, time = text.strip().partition(" ")
    try:
        return datetime.strptime(time, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return None


def _unit(properties: str) -> UnitState:
    # LoadState=loaded ActiveState=active SubState=running …
    values = dict(item.partition("=")[::2] for item in properties.split() if "=" in item)
    return UnitState(
        load=values.get("LoadState", "not-found"),
        active=values.get("ActiveState", "inactive"),
        sub=values.get("SubState", "dead"),
        enabled=values.get("UnitFileState", ""),
        pid=int(values.get("MainPID") or 0),
        restarts=int(values.get("NRestarts") or 0),
    )


def _listening(values: Iterable[str]) -> dict[int, str]:
    # 6443 users:(("k3s-server",pid=123,fd=9))
    ports = {}
    for value in values:
        port, _, users = value.partition(" ")
        if port.isdecimal():
            ports[int(port)] = users.partition('(("')[2].partition('"')[0]
    return ports
