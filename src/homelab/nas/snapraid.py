"""What keeps the parity of snapraid pools up to date, and reads it back: its settings, and a job for each night."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.files import ManagedFile
from homelab.model.nas import Nas, Pool, Sync
from homelab.model.problems import Problem
from homelab.nas.scripts import path, script, service, timer, unit
from homelab.storage import slots

CONFIG = "/etc/homelab/snapraid"
_NOTES = "/var/lib/homelab/snapraid"
# Relative to a disk: the toolkit's own, what a crash leaves, and recycle bins, whose files were deleted.
_EXCLUDED = ("/lost+found/", "/.homelab-*", ".recycle/", ".Trash-*/", "*.unrecoverable")


def pools(nas: Nas) -> dict[str, Pool]:
    """The pools of snapraid, by name."""
    return {name: pool for name, pool in nas.pools.items() if pool.kind == "snapraid"}


def files(nas: Nas) -> tuple[ManagedFile, ...]:
    """The script, each pool's settings and the units."""
    if not pools(nas):
        return ()
    return (
        script("homelab-snapraid"),
        unit(
            "homelab-sync@.service", service("Sync of the pool %i", f"{path('homelab-snapraid')} %i sync", heavy=True)
        ),
        *(
            each
            for name, pool in pools(nas).items()
            for each in (
                conf(name, pool),
                ManagedFile(f"{CONFIG}/{name}", _limits(pool)),
                unit(
                    f"homelab-sync@{name}.timer",
                    timer(f"Sync of the pool {name}", f"OnCalendar=*-*-* {_sync(pool).at}", "Persistent=true"),
                ),
            )
        ),
    )


def timers(nas: Nas) -> tuple[str, ...]:
    return tuple(f"homelab-sync@{name}.timer" for name in pools(nas))


def conf(name: str, pool: Pool) -> ManagedFile:
    """snapraid's own settings, whose names are of places: a disk that takes the place of another changes none."""
    data = [f"data{number}" for number in range(1, len(pool.disks) + 1)]
    lines = ["# Written by the homelab toolkit."]
    for number in range(1, len(pool.parity) + 1):
        level = "" if number == 1 else f"{number}-"
        lines.append(f"{level}parity {slots.path(name, f'parity{number}')}/snapraid.{level}parity")
    # One more at least than disks of parity, each on another disk; the disks of parity may be full to the last block.
    lines.append(f"content {_NOTES}/{name}/snapraid.content")
    lines += [f"content {slots.path(name, slot)}/{slots.CONTENT}" for slot in data]
    lines += [f"data {slot} {slots.path(name, slot)}" for slot in data]
    lines += [f"exclude {pattern}" for pattern in _EXCLUDED]
    # A sync of many terabytes that is cut has not to begin anew.
    lines.append("autosave 500")
    return ManagedFile(f"{CONFIG}/{name}.conf", "\n".join(lines) + "\n")


def warnings(nas: Nas, host: str) -> Iterator[Problem]:
    """What goes badly with files that each lie on one disk, and with a parity of last night."""
    for name, share in nas.shares.items():
        pool = nas.volumes[share.volume].pool
        if pool not in pools(nas):
            continue
        if share.smb is not None and share.smb.purpose == "timemachine":
            found = f"Time Machine rewrites its files by the hour, and {pool} restores them as of its last sync"
            yield Problem(f"{host}: shares.{name}", found, "better keep them on a mirror")
        if share.nfs is not None:
            found = f"NFS on {pool} goes through mergerfs, whose makers advise SMB where there is trouble"
            yield Problem(f"{host}: shares.{name}", found, "after a boot of the NAS its clients may have to mount anew")


def _sync(pool: Pool) -> Sync:
    return pool.sync or Sync()


def _limits(pool: Pool) -> str:
    return "".join(f"{key}={value}\n" for key, value in _sync(pool).model_dump(exclude={"at"}).items())
