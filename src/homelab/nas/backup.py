"""Backups by restic: from a frozen source, read back in turns, and put to the test by restoring."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from homelab.files import ManagedFile
from homelab.model.nas import Backup, Nas
from homelab.nas.scripts import path, script, timer, unit
from homelab.probe import HostProbe, Questions

CONFIG = "/etc/homelab/backup"
_NOTES = "/var/lib/homelab/backup"
_ROOTS = "nas_backup_roots"
_SERVICE = unit(
    "homelab-backup@.service",
    f"""\
[Unit]
Description=Backup %i
OnFailure=homelab-alert@%n.service
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={path("homelab-backup")} %i
TimeoutStartSec=infinity
# A repository is unlocked, and a frozen source let go, before the machine goes down.
TimeoutStopSec=120
Nice=15
IOSchedulingClass=idle
""",
)


def questions(nas: Nas) -> Questions:
    """Whether the repositories' folders are there, and on the system's own disk; and what has been made already."""
    if not nas.backups:
        return Questions()
    local = sorted(_outside(nas))
    look = ""
    if local:
        # An inventory's repository holds no quote, blank or backslash.
        paths = " ".join(f"'{each}'" for each in local)
        look = f'for p in {paths}; do [ "$(stat -c %d "$p")" != "$(stat -c %d /)" ] || echo "$p"; done'
    return Questions(
        paths=tuple(local),
        text=tuple(_note(name) for name in nas.backups),
        commands=((_ROOTS, look),) if look else (),
    )


def packages(nas: Nas) -> tuple[str, ...]:
    return ("restic", "util-linux") if nas.backups else ()


def refusals(nas: Nas, host: str, probe: HostProbe) -> Iterator[str]:
    """What the host has not got that a backup needs: the folder of a repository is never made on a guess."""
    for name, backup in nas.backups.items():
        if backup.to in _outside(nas):
            state = probe.files.get(backup.to)
            if state is None:
                yield (
                    f"{host}: backups.{name}.to: {backup.to} is not there; mount its disk, and make the folder with "
                    f"mkdir {backup.to}"
                )
            elif state.kind != "dir":
                yield f"{host}: backups.{name}.to: {backup.to} is no folder; write one"


def warnings(nas: Nas, host: str, probe: HostProbe) -> Iterator[str]:
    """What need not be wrong."""
    same = probe.output.get(_ROOTS, "").split()
    for name, backup in nas.backups.items():
        if backup.to in same:
            yield (
                f"{host}: backups.{name}.to: {backup.to} is on the system's own disk; if a disk of its own is meant, "
                "mount that first"
            )


def files(nas: Nas, host: str, passwords: Mapping[str, str]) -> tuple[ManagedFile, ...]:
    """The script, settings, passwords and units; ``passwords`` are the resolved secrets by the backups' names."""
    if not nas.backups:
        return ()
    return (
        script("homelab-backup"),
        _SERVICE,
        *(
            each
            for name, backup in nas.backups.items()
            for each in (
                ManagedFile(_config_path(name), _config(nas, host, backup), mode="0600"),
                ManagedFile(
                    f"{_config_path(name)}.password", f"{passwords[name]}\n", mode="0600", check=_opens(name, backup.to)
                ),
                unit(_timer(name), timer(f"Backup {name}", f"OnCalendar=*-*-* {backup.at}", "Persistent=true")),
            )
        ),
    )


def timers(nas: Nas) -> tuple[str, ...]:
    return tuple(_timer(name) for name in nas.backups)


def watched(nas: Nas) -> Iterator[str]:
    """Lines for the watch."""
    for name in nas.backups:
        yield f"backup {name}"


def uninitialised(nas: Nas, probe: HostProbe) -> tuple[str, ...]:
    """The backups whose repository has not been made or opened from here, in the inventory's order."""
    return tuple(name for name, backup in nas.backups.items() if probe.text.get(_note(name), "").strip() != backup.to)


def initialise(name: str) -> str:
    """The command that opens a backup's repository, or makes it where there is provably none; names are no shell."""
    return f"{path('homelab-backup')} {name} init"


def let_go(name: str) -> str:
    """The command that deletes what a run of a backup, which was killed, left frozen; one that runs does so itself."""
    commands = f'. {path("lib.sh")}; exec 9>"$(backup_lock {name})"; ! flock -n 9 || let_go {name}'
    return f"sh -c '{commands}' || :"


def _opens(name: str, to: str) -> str:
    """The check of a password: one that does not open the repository never replaces one that may be the last to."""
    note = _note(name)
    return f"""\
if [ "$(cat {note} 2>/dev/null)" = '{to}' ]; then
  HOME=/root RESTIC_PASSWORD_FILE="$new" restic -r '{to}' cat config >/dev/null 2>&1 </dev/null || {{
    rm -f "$new"; echo 'homelab: backups.{name}.password does not open {to}; write the one that does' >&2; exit 1; }}
fi"""


def _pool_of(nas: Nas, backup: Backup) -> str | None:
    """The pool that a repository is on, if it is on one of these."""
    where = posixpath.normpath(backup.to)
    return next((pool for pool in nas.pools if f"{where}/".startswith(f"{nas.mountpoint(pool)}/")), None)


def _outside(nas: Nas) -> set[str]:
    """Local repositories that are on no pool, where nothing else proves that the right disk is mounted."""
    return {each.to for each in nas.backups.values() if each.to.startswith("/") and _pool_of(nas, each) is None}


def _config_path(name: str) -> str:
    return f"{CONFIG}/{name}"


def _note(name: str) -> str:
    return f"{_NOTES}/{name}.repository"


def _timer(name: str) -> str:
    return f"homelab-backup@{name}.timer"


def _config(nas: Nas, host: str, backup: Backup) -> str:
    values = {
        "repository": backup.to,
        "pool": _pool_of(nas, backup) or "",
        "volumes": " ".join(f"{nas.volumes[volume].pool}/{volume}" for volume in backup.volumes),
        "host": host,
        "daily": backup.keep.daily,
        "weekly": backup.keep.weekly,
        "monthly": backup.keep.monthly,
        "append_only": "yes" if backup.append_only else "no",
        "parts": backup.check_parts,
        "sample": backup.sample,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())
