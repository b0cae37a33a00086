"""The NAS: files on its pools, over NFS and over SMB, each held against the lesser of network and pool.

The NAS is its own client, so what is called the network is the way from it to itself. A client of its own on a wire
would have both machines' processors to itself; ratios of the two kinds are not to be compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from homelab.model import Home, Host
from homelab.model.nas import Nas
from homelab.settings import SecretError, resolve_secret

from .figures import Figure, Measured
from .remote import Absent, Bench, Broken, Remote

FOLDER = ".homelab-bench"
MOUNTS = "/run/homelab-bench"
NETWORK = "network (one TCP stream)"
_PACKAGES = ("fio", "iperf3", "nfs-common", "cifs-utils")
_PORT = 5201
_NEXT = "@@ next @@"
# A file in one piece as a person copies it, and what a database or a virtual disk asks for.
_JOBS = {
    "write": "--rw=write --bs=1M --end_fsync=1",
    "read": "--rw=read --bs=1M",
    "random read": "--rw=randread --bs=4k --runtime=5 --norandommap --randrepeat=0",
}


@dataclass(frozen=True)
class Place:
    """A folder that fio writes to: on a volume itself, or where a share of it is mounted."""

    volume: str
    how: str
    path: str
    owner: str


def measure(bench: Bench) -> Measured:
    """Speeds in MB/s (10^6 bytes); raise Absent when there is no NAS that may be measured."""
    host = next((each for each in bench.home.nas if each.storage and each.storage.shares and not each.away), None)
    if host is None or host.storage is None:
        raise Absent(f"the inventory {bench.home.environment} has no NAS with shares")
    remote = bench.remote(host)
    samples: dict[tuple[str, str, str], list[float]] = {}
    network: list[float] = []
    with remote.packages(*_PACKAGES), _places(bench.home, host, remote) as places:
        if not places:
            raise Absent(f"{host.name} is not deployed yet, or serves nothing that it may write to itself")
        for _ in range(bench.rounds):
            network.append(_network(remote))
            # One after another in each round, so that what slows the machine down slows all of them.
            for place in places:
                for job, speed in _fio(remote, place, bench.size).items():
                    samples.setdefault((place.volume, place.how, job), []).append(speed)
    return Measured(remote.machine(), tuple(_figures(network, samples)))


def _figures(network: list[float], samples: dict[tuple[str, str, str], list[float]]) -> Iterator[Figure]:
    yield Figure(NETWORK, tuple(network), "MB/s")
    for (volume, how, job), found in samples.items():
        bounds = () if how == "pool" else (NETWORK, f"{volume} {job}: pool")
        yield Figure(f"{volume} {job}: {how}", tuple(found), "MB/s", bounds)


@contextmanager
def _places(home: Home, host: Host, remote: Remote) -> Iterator[list[Place]]:
    """Every volume that has a share to write to, and its shares; nothing of it is left."""
    nas, found = host.storage, []
    assert nas is not None
    # What a run that was killed left mounted.
    remote.run(f'mkdir -p {MOUNTS}; for at in {MOUNTS}/*/; do umount "$at"; rmdir "$at"; done 2>/dev/null; :')
    with ExitStack() as stack:
        for name, share in nas.shares.items():
            volume = nas.volumes[share.volume]
            path = nas.path(share.volume)
            by_nfs = share.nfs is not None and not share.nfs.read_only and _may(home, share.nfs.clients, host)
            by_smb = share.smb is not None and not share.smb.read_only
            there = remote.run(f"mountpoint -q {nas.mountpoint(volume.pool)} && [ -d {path} ] && echo there; :")
            if volume.owner == "root" or not (by_nfs or by_smb) or not there:
                continue
            remote.run(f"install -d -o {volume.owner} -m 0700 {path}/{FOLDER}")
            stack.callback(remote.run, f"rm -rf {path}/{FOLDER}")
            found.append(Place(share.volume, "pool", f"{path}/{FOLDER}", volume.owner))
            if by_nfs:
                at = f"{MOUNTS}/{name}-nfs"
                # The options that a person gets who writes none.
                remote.run(f"mkdir -p {at} && mount -t nfs4 -o vers=4.2,hard {host.address}:{path} {at}")
                stack.callback(remote.run, f"umount {at} && rmdir {at}")
                found.append(Place(share.volume, "NFS", f"{at}/{FOLDER}", volume.owner))
            # Nobody else gets into the owner's folder.
            if by_smb and share.smb is not None and volume.owner in share.smb.users:
                at = f"{MOUNTS}/{name}-smb"
                _mount_smb(remote, nas, name, volume.owner, at)
                stack.callback(remote.run, f"umount {at} && rmdir {at}")
                found.append(Place(share.volume, "SMB", f"{at}/{FOLDER}", volume.owner))
        yield found


def _mount_smb(remote: Remote, nas: Nas, share: str, user: str, at: str) -> None:
    reference = nas.users[user].password
    if reference is None:
        raise Broken(f"{user} has no password")
    try:
        password = resolve_secret(reference, base=Path.cwd()).get_secret_value()
    except SecretError as error:
        raise Broken(str(error)) from error
    login = f"{MOUNTS}/login"
    options = f"credentials={login},vers=3.1.1,uid={user},forceuid"
    remote.run(
        f"umask 077; mkdir -p {at}; cat >{login}; mount -t cifs -o {options} //{remote.host.address}/{share} {at};"
        f" code=$?; rm -f {login}; exit $code",
        stdin=f"username={user}\npassword={password}\n",
    )


def _may(home: Home, clients: tuple[str, ...], host: Host) -> bool:
    """Whether a host is among an export's clients."""
    names = {**home.base.networks, **{each.name: each.address for each in home.hosts}}
    return any(host.address in ip_network(names.get(client, client)) for client in clients)


def _fio(remote: Remote, place: Place, size: int) -> dict[str, float]:
    """Every job in MB/s, as the volume's owner. What was cached of the files before is forgotten, on both sides."""
    lines = ["set -e; cd /"]
    for options in _JOBS.values():
        lines += [
            "sync; echo 3 >/proc/sys/vm/drop_caches",
            f"setpriv --reuid={place.owner} --regid={place.owner} --init-groups fio --name=bench "
            f"--filename={place.path}/file --size={size}m --ioengine=psync --output-format=json {options}",
            f"echo {_NEXT}",
        ]
    outs = remote.run("\n".join(lines)).split(f"{_NEXT}\n")
    return {job: speed(out, "write" if job == "write" else "read") for job, out in zip(_JOBS, outs, strict=False)}


def speed(out: str, direction: str) -> float:
    """What fio's JSON tells, as MB/s; raise Broken when it tells of an error, or of nothing."""
    # It may print a note before its JSON.
    text = out[out.find("{") :]
    try:
        (job,) = json.loads(text)["jobs"]
        if job["error"]:
            raise Broken(f"fio ends with error {job['error']}")
        found = float(job[direction]["bw_bytes"]) / 1e6
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"fio's answer cannot be read ({type(error).__name__}: {error})") from error
    if not found:
        raise Broken(f"fio did not {direction} anything")
    return found


def _network(remote: Remote) -> float:
    """One TCP stream for three seconds, in MB/s as received."""
    out = remote.run(
        f"iperf3 -s -1 -p {_PORT} >/dev/null & server=$!; n=0;"
        f" until ss -Hltn sport = :{_PORT} | grep -q . || [ $n = 100 ]; do n=$((n + 1)); sleep 0.1; done;"
        f" iperf3 -c {remote.host.address} -p {_PORT} -t 3 -J; code=$?; kill $server 2>/dev/null; exit $code"
    )
    return stream(out)


def stream(out: str) -> float:
    """What iperf3's JSON tells, as MB/s; raise Broken when it tells of an error."""
    try:
        said = json.loads(out)
        if "error" in said:
            raise Broken(f"iperf3: {said['error']}")
        return float(said["end"]["sum_received"]["bits_per_second"]) / 8e6
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"iperf3's answer cannot be read ({type(error).__name__}: {error})") from error
