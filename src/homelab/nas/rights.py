"""Rights that this toolkit gave on a NAS, noted before they are given, so that just these can be taken back.

What somebody had before, or got by hand, is never noted and never taken.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from homelab.files import ManagedFile
from homelab.model import Host
from homelab.model.nas import Nas
from homelab.nas import users
from homelab.probe import HostProbe, Questions

# Lines `group family anna`, `volume tank/photos family`, `share photos anna`.
RECORD = "/var/lib/homelab/nas/rights"

# smbd asks who may come in, and in which groups they are, once a session; a client makes a new one by itself.
_SESSIONS = r"""smbstatus -p -u {person} 2>/dev/null | awk '$1 ~ /^[0-9]+$/ {{print $1}}' | xargs -r kill || :"""


@dataclass(frozen=True, order=True)
class Right:
    """What was given: membership of a group, a volume's files to a group, or an SMB share to a person."""

    kind: str
    what: str
    whom: str

    @property
    def line(self) -> str:
        return f"{self.kind} {self.what} {self.whom}"


def questions(host: Host) -> Questions:
    return Questions(paths=(RECORD,), text=(RECORD,)) if host.storage is not None else Questions()


def record(host: Host, probe: HostProbe) -> ManagedFile:
    """The note of all that is given after this run's accounts and shares are as described, and of what is yet to go."""
    noted = {*_noted(probe), *(_new(host.storage, probe) if host.storage else ())}
    return ManagedFile(RECORD, "".join(f"{each.line}\n" for each in sorted(noted)), mode="0600")


def withdrawn(host: Host, probe: HostProbe) -> dict[str, str]:
    """What is taken back, as sentences for the plan with the command that does it; run after smb.conf is in force."""
    nas = host.storage or Nas()
    gone = [right for right in _noted(probe) if right not in set(_wanted(nas)) and _can_go(nas, right)]
    return {_said(nas, right): _command(nas, right) for right in gone}


def _noted(probe: HostProbe) -> list[Right]:
    found = (line.split() for line in probe.text.get(RECORD, "").splitlines())
    return [Right(*words) for words in found if len(words) == 3]


def _wanted(nas: Nas) -> Iterator[Right]:
    for group, members in users.members(nas).items():
        yield from (Right("group", group, name) for name in members)
    for name, volume in nas.volumes.items():
        if shared := users.shared_group(nas, name):
            yield Right("volume", f"{volume.pool}/{name}", shared)
    for name, share in nas.shares.items():
        yield from (Right("share", name, user) for user in (share.smb.users if share.smb else ()))


def _new(nas: Nas, probe: HostProbe) -> Iterator[Right]:
    """What this run gives: a membership that is there and not noted is somebody else's gift."""
    for right in _wanted(nas):
        if right.kind != "group" or not users.is_member(probe, right.what, right.whom):
            yield right


def _can_go(nas: Nas, right: Right) -> bool:
    """A volume that is not listed any more is kept as it is."""
    pool, _, name = right.what.partition("/")
    return right.kind != "volume" or (name in nas.volumes and nas.volumes[name].pool == pool)


def _said(nas: Nas, right: Right) -> str:
    if right.kind == "group":
        return f"Take {right.whom} out of the group {right.what}"
    if right.kind == "share":
        return f"End {right.whom}'s sessions, who is no user of the share {right.what} any more"
    return f"Take /srv/{right.what} from the group {right.whom}, all files in it too"


def _command(nas: Nas, right: Right) -> str:
    sessions = _SESSIONS.format(person=shlex.quote(right.whom))
    if right.kind == "group":
        # mountd tells the kernel once in half an hour in which groups somebody is.
        does = (
            f"if id -nG {right.whom} | tr ' ' '\\n' | grep -qxF {right.what}; then\n"
            f"  gpasswd --delete {right.whom} {right.what} >/dev/null\nfi\n"
            f"exportfs -f 2>/dev/null || :\n{sessions}"
        )
    elif right.kind == "share":
        does = sessions
    else:
        pool, _, name = right.what.partition("/")
        # It walks by open folders, so a link laid in its way leads nowhere.
        does = (
            f"mountpoint -q /srv/{pool} || {{ echo 'homelab: {pool} is not mounted' >&2; exit 1; }}\n"
            f"chown -RPh --from=:{right.whom} :{users.group(nas, name)} /srv/{right.what}"
        )
    forget = f"sed -i '\\|^{right.line}$|d' {RECORD}"
    return f"set -e\n{does}\n{forget}"
