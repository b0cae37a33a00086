"""A change that could lock everyone out: on trial for a minute, undone unless it is confirmed through a new connection.

The host undoes it by itself, so it does not matter what became of the machine that asked for it. A transient timer
does it while the host runs; after a power cut in that minute, systemd-tmpfiles removes the unproven file at boot.
"""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass

from homelab.files import ManagedFile

SECONDS = 60
_FOLDER = "/var/lib/homelab/trial"


@dataclass(frozen=True)
class Trial:
    """A file, how to note what is in force (`save`), put the file in force (`apply`) and undo that (`restore`).

    The three are shell text, run in the folder that keeps a trial's notes, `save` and `apply` under `set -e`; `restore`
    runs when the previous file, if there was one, is back in its place.
    """

    name: str
    file: ManagedFile
    save: str
    apply: str
    restore: str


def _unit(name: str) -> str:
    return f"homelab-revert-{name}"


def _at_boot(name: str) -> str:
    return f"/etc/tmpfiles.d/homelab-revert-{name}.conf"


def _head(name: str) -> str:
    # One of start, revert and confirm at a time.
    return f'set -eu\nPATH="$PATH:/usr/sbin:/sbin"\ncd {_FOLDER}\nexec 9>{name}.lock; flock 9\n'


def revert(trial: Trial) -> str:
    """The script that undoes a trial; it does nothing once that is confirmed."""
    path = shlex.quote(trial.file.path)
    name = trial.name
    return (
        _head(name)
        + f"""\
[ -e {name}.pending ] || exit 0
if [ -e {name}.previous ]; then cp -a {name}.previous {path}.homelab-new; mv -fT {path}.homelab-new {path}
else rm -f {path}; fi
{{ {trial.restore.rstrip()}
}} || echo "homelab: what {path} says could not be put in force again" >&2
rm -f {_at_boot(name)} {name}.pending
echo "homelab: no new connection confirmed the change of {trial.file.path}, the previous state is back" >&2
"""
    )


def start(trial: Trial, seconds: int = SECONDS) -> str:
    """The script that puts the file, which it reads from standard input, in force for so many seconds."""
    name, file = trial.name, trial.file
    path = shlex.quote(file.path)
    folder, base = posixpath.split(file.path)
    new = shlex.quote(posixpath.join(folder, f".{base}.homelab-new"))
    check = [f"new={new}", file.check] if file.check else []
    lines = [
        f"mkdir -p -m 0755 /var/lib/homelab; mkdir -p -m 0700 {_FOLDER}",
        _head(name).rstrip(),
        "umask 077",
        f"mkdir -p -m 0755 {shlex.quote(folder)}; rm -f {new}; cat >{new}",
        *check,
        f"chown {shlex.quote(file.owner)} {new}; chmod {file.mode} {new}",
        # What a killed run left on trial is undone first, so that the state to go back to is a proven one.
        f"systemctl stop {_unit(name)}.timer 2>/dev/null || :",
        f"if [ -e {name}.pending ]; then exec 9>&-; sh {name}.revert; exec 9>{name}.lock; flock 9; fi",
        f"rm -f {name}.previous; [ ! -e {path} ] || cp -a {path} {name}.previous",
        trial.save,
        f"cat >{name}.revert <<'END-OF-REVERT'\n{revert(trial)}END-OF-REVERT",
        f"cat >{name}.apply <<'END-OF-APPLY'\n{trial.apply.rstrip()}\nEND-OF-APPLY",
        f"mkdir -p -m 0755 /etc/tmpfiles.d; printf 'r! %s\\n' {path} >{_at_boot(name)}; chmod 0644 {_at_boot(name)}",
        f"systemctl reset-failed {_unit(name)}.service 2>/dev/null || :",
        f": >{name}.pending",
        f"systemd-run --quiet --collect --unit={_unit(name)} --on-active={seconds}"
        f" --timer-property=AccuracySec=100ms /bin/sh {_FOLDER}/{name}.revert",
        f"mv -fT {new} {path}",
        f"sh -e {name}.apply || {{ exec 9>&-; sh {name}.revert; exit 1; }}",
    ]
    return "\n".join(lines)


def confirm(trial: Trial) -> str:
    """The script that keeps the change; it fails when the host has undone it already."""
    name = trial.name
    return (
        _head(name)
        + f"""\
if [ ! -e {name}.pending ]; then echo "the change was undone already" >&2; exit 1; fi
rm -f {name}.pending {_at_boot(name)}
systemctl stop {_unit(name)}.timer 2>/dev/null || :
"""
    )


def undo(trial: Trial) -> str:
    """The script that undoes a trial now, without waiting for its minute to end."""
    return f"systemctl stop {_unit(trial.name)}.timer 2>/dev/null || :\nsh {_FOLDER}/{trial.name}.revert"
