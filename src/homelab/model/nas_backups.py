"""What must hold between a NAS's backups, the volumes in them and the places they go to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import normpath

from homelab.model.nas import Backup
from homelab.model.nas_written import Written
from homelab.model.networks import AnyAddress
from homelab.model.problems import Problem
from homelab.model.strict import shown

# sftp:me@host:/path, and sftp://me@host:22//path
_SFTP = re.compile(r"sftp:(//)?([^@/]*@)?(?P<host>\[[^]]*\]|[^:/]+)(:\d+(?=/))?:?(?P<path>/.*)")
# What is gone after the next boot, or no place for files.
_FLEETING = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run")
_ELSEWHERE = 'write a place outside this NAS, "sftp:user@host:/restic", or a disk of its own'


def check(written: Written, address: AnyAddress | None) -> Iterator[Problem]:
    """Everything that does not fit together in the backups of one NAS."""
    first: dict[str, str] = {}
    for name, backup in written.nas.backups.items():
        if not backup.volumes:
            place = written.place("backups", name, "volumes")
            yield Problem(place, "nothing would be backed up", 'write the volumes, ["photos"]')
        for index, volume in enumerate(backup.volumes):
            yield from written.unknown("volumes", volume, "backups", name, "volumes", index)
        to = _tidy(backup.to)
        if to in first:
            found = f"is also the repository of {first[to]}"
            yield Problem(written.place("backups", name, "to"), found, "give each backup its own")
        first.setdefault(to, name)
        yield from _check_place(written, name, backup, address)
        if backup.append_only and "keep" in backup.model_fields_set:
            found = "nothing is ever forgotten in a repository that is append_only"
            yield Problem(written.place("backups", name, "keep"), found, "leave out keep or append_only")


def _check_place(written: Written, name: str, backup: Backup, address: AnyAddress | None) -> Iterator[Problem]:
    """One dead pool must not take a volume and its backup."""
    place = written.place("backups", name, "to")
    scheme = backup.to.partition(":")[0]
    if scheme in ("s3", "b2"):
        remedy = 'write "sftp:user@host:/restic" or a path'
        yield Problem(place, f"{scheme}: not supported yet, as it needs keys of its own", remedy)
    path = _on_this_host(backup.to, (written.host, str(address), "localhost", "127.0.0.1", "[::1]", f"[{address}]"))
    if path is None:
        return
    if path == "/" or any(_inside(path, fleeting) for fleeting in _FLEETING):
        yield Problem(place, f"{path} is no place to keep files", _ELSEWHERE)
    for volume in backup.volumes:
        held = written.nas.volumes.get(volume)
        if held and _inside(path, written.nas.mountpoint(held.pool)):
            found = f"is on pool {held.pool}, as volume {shown(volume)} is: one dead pool would take both"
            yield Problem(place, found, _ELSEWHERE)
            return


def _tidy(repository: str) -> str:
    return "/" + normpath(repository).lstrip("/") if repository.startswith("/") else repository.rstrip("/")


def _on_this_host(repository: str, names: tuple[str, ...]) -> str | None:
    """The path of a repository that is on the NAS itself, be it by way of SSH."""
    if repository.startswith("/"):
        return _tidy(repository)
    found = _SFTP.fullmatch(repository)
    return _tidy(found["path"]) if found and found["host"] in names else None


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
