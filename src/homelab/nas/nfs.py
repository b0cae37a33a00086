"""NFSv4 exports: a file for each share, proven before it counts, and a server that speaks nothing older."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from homelab.files import ManagedFile
from homelab.model import Home, Host, Problem
from homelab.model.nas import Nas, Nfs, Share
from homelab.nas import mounts, users
from homelab.probe import HostProbe, Questions

CONF = "/etc/nfs.conf.d/homelab.conf"
EXPORTS = "/etc/exports.d"
UNIT = "nfs-server.service"
PACKAGES = ("nfs-kernel-server",)
APPLY = "exportfs -r"
# What only NFSv3 needs. The socket first: it would start the service again.
OLD_UNITS = ("rpcbind.socket", "rpcbind.service", "rpc-statd.service")
_STATE = "nas-nfs"
# An export's identity for its clients, whatever device the pool is on after a boot or in another machine.
_NAMESPACE = uuid.UUID("5f1d3c1e-7f0b-5b53-9d4b-3f0f5a0e6c11")

# rpcinfo would wake an rpcbind that only waits at its socket. Programs: portmapper, nfs, mountd, nlockmgr, status, acl.
_ASK = rf"""
echo "cpus $(nproc)"
for file in /etc/exports {EXPORTS}/*.exports; do
  case "$file" in
    {EXPORTS}/homelab-*) [ -e "$file" ] && echo "ours $file" ;;
    *) grep -qsE '^[[:space:]]*[^#[:space:]]' "$file" && echo "foreign $file" ;;
  esac
done
sed 's/^/etab /' /var/lib/nfs/etab
echo "versions $(cat /proc/fs/nfsd/versions)"
echo "threads $(cat /proc/fs/nfsd/threads)"
awk '$3 ~ /^nfs/ && $4 ~ /(^|,)(nfs)?vers=[23]/ {{print "client " $2}}' /etc/fstab /proc/mounts | sort -u
if systemctl -q is-active rpcbind.service; then
  rpcinfo -p | awk 'NR > 1 && $1 !~ /^(100000|100003|100005|100021|100024|100227)$/ {{print "rpc " ($5 ? $5 : $1)}}' |
    sort -u
fi
"""

# exportfs has no test of its own, and with -r it applies the lines around one that is wrong. So the real one reads the
# candidate alone, in namespaces where neither the kernel's table of exports nor a file of the system is within reach,
# and every pool and volume seems to be mounted: one that is missing today makes no line wrong. What it accepts with a
# word of warning is wrong as well: a blank before the bracket opens the export to the world.
_CHECK = r"""
said="$(unshare -mn sh -euc '
  mount -t tmpfs tmpfs /var/lib/nfs
  cp "$1" /var/lib/nfs/candidate
  mount -t tmpfs tmpfs @EXPORTS@
  cp /var/lib/nfs/candidate @EXPORTS@/candidate.exports
  [ ! -e /etc/exports ] || mount --bind /dev/null /etc/exports
  mount -t tmpfs tmpfs /srv
  mkdir /srv/@POOL@; mount -t tmpfs tmpfs /srv/@POOL@
  mkdir /srv/@POOL@/@VOLUME@; mount -t tmpfs tmpfs /srv/@POOL@/@VOLUME@
  exportfs -r
  if grep "$(printf "\t")\*" /var/lib/nfs/etab; then echo "an export to everybody"; fi
' check "$new" 2>&1)" && [ -z "$said" ] || {
  printf '%s\n' "exportfs does not take this: $said" >&2; rm -f "$new"; exit 1
}"""


@dataclass(frozen=True)
class _State:
    """The server as it is. `clients` are NFSv3 mounts of this host's own, `programs` what else is at rpcbind."""

    cpus: int = 1
    ours: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    # Path and client to their options.
    etab: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    versions: frozenset[str] = frozenset()
    threads: int = 0
    clients: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def shares(nas: Nas) -> dict[str, tuple[Share, Nfs]]:
    """The shares that NFS serves, by name."""
    return {name: (share, share.nfs) for name, share in nas.shares.items() if share.nfs is not None}


def questions(home: Home, host: Host) -> Questions:
    """What to ask a NAS about NFS; also one that has no such share any more."""
    nas = host.storage
    if nas is None:
        return Questions()
    return Questions(
        paths=(CONF, dropin(host).path, *(_path(name) for name in shares(nas))),
        units=(UNIT, *OLD_UNITS),
        packages=PACKAGES,
        modules=("nfsd",) if shares(nas) else (),
        commands=((_STATE, _ASK),),
    )


def problems(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """What cannot be exported as it is described."""
    nas = host.storage
    if nas is None or not shares(nas):
        return
    if probe.container != "none":
        found = f"is a container ({probe.container}), and the NFS server is its machine's kernel"
        yield Problem(host.name, found, "leave nfs out of its shares, or make the NAS a machine of its own")
    elif "nfsd" in probe.missing_modules:
        yield Problem(host.name, f"its kernel {probe.kernel} has no nfsd", "install the system's own kernel")
    for name, (share, nfs) in shares(nas).items():
        place = f"{host.name}: shares.{name}.nfs"
        for client in nfs.clients:
            if _addresses(home, client) is None:
                yield Problem(f"{place}.clients", f'"{client}" is no host and none of networks', "write an address")
        if nfs.squash == "all":
            volume = nas.volumes[share.volume]
            if volume.owner == "root":
                found = f"everybody would be root in volume {share.volume}"
                yield Problem(f"{place}.squash", found, f"write an owner in volumes.{share.volume}")
            elif users.gid(nas, users.group(nas, share.volume), probe) is None:
                found = f"this host has no group {users.group(nas, share.volume)}"
                yield Problem(f"{place}.squash", found, 'write "users", which every Debian has')


def warnings(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """What keeps an older NFS alive here."""
    nas = host.storage
    if nas is None or not shares(nas):
        return
    state = _state(probe)
    if state.foreign:
        found = "has exports of its own, so NFSv3 and its rpcbind stay as they are"
        yield Problem(f"{host.name}: {', '.join(state.foreign)}", found, "move them to shares for NFSv4 only")
    elif needed := [*state.clients, *state.programs]:
        found = f"NFSv3 mounts or other RPC services ({', '.join(needed)}) use rpcbind, so it stays"
        yield Problem(host.name, found, "mount with vers=4.2, or stop them, for no port but 2049")


def conf(host: Host, probe: HostProbe) -> ManagedFile:
    """The server's own settings. The versions are left alone where somebody else's exports may be mounted by NFSv3."""
    lines = ["# homelab: written from the inventory", "[nfsd]", f"threads={_threads(probe)}"]
    if not _state(probe).foreign:
        # Version 2 no kernel serves any more, but its mountd listens on ports of its own until it is told so.
        lines += ["vers2=n", "vers3=n", "vers4=y"]
    return ManagedFile(CONF, "\n".join(lines) + "\n")


def exports(home: Home, host: Host, probe: HostProbe) -> tuple[ManagedFile, ...]:
    """A file for each share, in which each client has a line."""
    nas = host.storage
    if nas is None:
        return ()
    made = []
    for name, (share, _) in shares(nas).items():
        options = _options(nas, name, probe)
        lines = [f"{nas.path(share.volume)} {client}({','.join(options)})" for client in _clients(home, nas, name)]
        pool = nas.volumes[share.volume].pool
        check = _CHECK.replace("@EXPORTS@", EXPORTS).replace("@POOL@", pool).replace("@VOLUME@", share.volume)
        text = "# homelab: written from the inventory\n" + "".join(f"{line}\n" for line in lines)
        made.append(ManagedFile(_path(name), text, check=check))
    return tuple(made)


def stale(host: Host, probe: HostProbe) -> tuple[str, ...]:
    """Files of shares that are no longer described."""
    wanted = {_path(name) for name in shares(host.storage)} if host.storage else set()
    return tuple(path for path in _state(probe).ours if path not in wanted)


def applied(home: Home, host: Host, probe: HostProbe) -> bool:
    """Whether what exportfs has in force is what the shares say; exports of others do not count."""
    nas = host.storage
    if nas is None:
        return True
    state = _state(probe)
    wanted = {}
    for name, (share, _) in shares(nas).items():
        for client in _clients(home, nas, name):
            wanted[nas.path(share.volume), client] = frozenset(_options(nas, name, probe))
    if any(not options <= state.etab.get(key, frozenset()) for key, options in wanted.items()):
        return False
    identities = {f"fsid={_fsid(nas.path(volume))}" for volume in nas.volumes}
    # One of ours: no other has an identity made from its path.
    left = [key for key, has in state.etab.items() if identities & has or f"fsid={_fsid(key[0])}" in has]
    return set(left) <= set(wanted)


def restart(host: Host, probe: HostProbe) -> bool:
    """Whether the server runs with other settings than the wanted ones; only then are its clients made to wait."""
    state = _state(probe)
    if probe.unit(UNIT).active != "active":
        return False
    old = not state.foreign and "+3" in state.versions
    return old or "+4.2" not in state.versions or state.threads != _threads(probe)


def to_mask(host: Host, probe: HostProbe) -> tuple[str, ...]:
    """Units that nothing on this host needs any more: without them only port 2049 is open."""
    state = _state(probe)
    if host.storage is None or not shares(host.storage) or state.foreign or state.clients or state.programs:
        return ()
    return tuple(unit for unit in OLD_UNITS if probe.unit(unit).enabled != "masked")


def dropin(host: Host) -> ManagedFile:
    """The server's wait for its pools."""
    nas = host.storage
    pools = [nas.volumes[share.volume].pool for share, _ in shares(nas).values()] if nas else []
    return mounts.dropin(UNIT, nas, pools)


def _path(name: str) -> str:
    return f"{EXPORTS}/homelab-{name}.exports"


def _fsid(path: str) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, path)


def _options(nas: Nas, name: str, probe: HostProbe) -> list[str]:
    share, nfs = shares(nas)[name]
    volume = nas.volumes[share.volume]
    squash = {"root": "root_squash", "all": "all_squash", "none": "no_root_squash"}[nfs.squash]
    options = ["ro" if nfs.read_only else "rw", "sync", "no_subtree_check", "sec=sys", squash]
    if nfs.squash == "all":
        number = users.gid(nas, users.group(nas, share.volume), probe)
        options += [f"anonuid={nas.users[volume.owner].uid}", f"anongid={number}"]
    # With mountpoint= the empty folder of what is not mounted is never exported in its place; on ZFS that is a volume.
    own = nas.pools[volume.pool].kind == "zfs"
    mount = nas.path(share.volume) if own else nas.mountpoint(volume.pool)
    return [*options, f"fsid={_fsid(nas.path(share.volume))}", f"mountpoint={mount}"]


def _clients(home: Home, nas: Nas, name: str) -> list[str]:
    _, nfs = shares(nas)[name]
    return list(dict.fromkeys(meant for client in nfs.clients if (meant := _addresses(home, client)) is not None))


def _addresses(home: Home, client: str) -> str | None:
    """A client as exports(5) takes it: an address or network, IPv6 without brackets; None when it is unknown."""
    if client in home.base.networks:
        return str(home.base.networks[client])
    for host in home.hosts:
        if client == host.name:
            return str(host.address)
    try:
        return str(ip_network(client)) if "/" in client else str(ip_address(client))
    except ValueError:
        return None


def _threads(probe: HostProbe) -> int:
    return max(8, min(32, 4 * _state(probe).cpus))


def _state(probe: HostProbe) -> _State:
    found: dict[str, list[str]] = {}
    for line in probe.output.get(_STATE, "").splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)

    def one(key: str) -> str:
        return found.get(key, [""])[0]

    return _State(
        cpus=int(one("cpus") or 1),
        ours=tuple(found.get("ours", ())),
        foreign=tuple(found.get("foreign", ())),
        etab=dict(_entry(line) for line in found.get("etab", ())),
        versions=frozenset(one("versions").split()),
        threads=int(one("threads") or 0),
        clients=tuple(found.get("client", ())),
        programs=tuple(found.get("rpc", ())),
    )


def _entry(line: str) -> tuple[tuple[str, str], frozenset[str]]:
    # /srv/tank/photos<TAB>192.168.1.0/24(rw,sync,...,sec=sys,rw,secure,...)
    path, _, rest = line.partition("\t")
    client, _, options = rest.rstrip(")").rpartition("(")
    return (path, client), frozenset(options.split(","))
