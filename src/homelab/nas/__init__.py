"""What a NAS serves and looks after, pure: users, shares, snapshots, backups, alerts; its pools are `storage`'s."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.model import Home, Host, Problem
from homelab.model.nas import Nas
from homelab.nas import alerts, backup, discovery, nfs, rights, smb, snapraid, tuning, ups, users, watch
from homelab.probe import HostProbe, Questions

__all__ = ["packages", "problems", "questions", "warnings", "watched"]


def questions(home: Home, host: Host) -> Questions:
    """What a NAS is asked besides its storage; another host only of the UPS that it follows."""
    if host.storage is None:
        return ups.questions(home, host)
    return (
        ups.questions(home, host)
        | users.questions(home, host)
        | rights.questions(host)
        | nfs.questions(home, host)
        | smb.questions(home, host)
        | discovery.questions(home, host)
        | watch.questions(host.storage)
        | tuning.questions(host.storage)
        | Questions(packages=_watching(host))
    )


def packages(host: Host, probe: HostProbe) -> tuple[str, ...]:
    """The packages for what the inventory asks of a NAS."""
    nas = host.storage
    if nas is None:
        return ()
    found = [*_watching(host)]
    found += nfs.PACKAGES if nfs.shares(nas) else ()
    found += smb.packages(probe) if smb.shares(nas) else ()
    found += discovery.PACKAGES if discovery.wanted(host) else ()
    return tuple(dict.fromkeys(found))


def problems(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem | str]:
    """Every reason not to begin that a look at the host gives, its disks apart."""
    if host.storage is None:
        return
    yield from users.problems(home, host, probe)
    yield from nfs.problems(home, host, probe)
    yield from smb.problems(home, host, probe)
    yield from backup.refusals(host.storage, host.name, probe)


def warnings(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem | str]:
    """What its owner should know and what does not stop a deploy."""
    if host.storage is None:
        return
    yield from nfs.warnings(home, host, probe)
    yield from backup.warnings(host.storage, host.name, probe)
    yield from snapraid.warnings(host.storage, host.name)
    if watched(host.storage) and alerts.silent(host.storage):
        yield Problem(f"{host.name}: alerts", "nobody is told of a dying disk", "write alerts, with ntfy say")
    for said in watch.without_smart(probe):
        yield f"{host.name}: {said}, so nobody is told when it is about to die"


def watched(nas: Nas) -> bool:
    """Whether there is anything to watch."""
    return bool(nas.pools or nas.ups)


def _watching(host: Host) -> tuple[str, ...]:
    return watch.packages(host.storage) if host.storage is not None and watched(host.storage) else ()
