"""People with files on the NAS: Unix accounts with fixed numbers, and what Samba knows of their passwords.

An account is never deleted and its numbers never change: files belong to numbers.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from homelab.files import ManagedFile
from homelab.model import Home, Host, Problem
from homelab.model.nas import Nas
from homelab.nas.md4 import md4
from homelab.probe import HostProbe, Questions

# Whom this toolkit gave a Samba password; only these it disables again.
RECORD = "/var/lib/homelab/nas/smb-users"
_PASSDB = "/var/lib/samba/private/passdb.tdb"
_ACCOUNTS, _PASSWORDS = "nas-accounts", "nas-passwords"
# What Windows' own dialogue takes.
_LONGEST = 127

# pdbedit would make a missing database. The hash is as good as the password to an SMB server, so it stays on its host.
_ASK_PASSWORDS = f"""\
[ -e {_PASSDB} ] && pdbedit -L -w | while IFS=: read -r name _ _ hash flags _; do
  printf '%s:%s:%s\\n' "$name" "$(printf %s "$hash" | sha256sum | cut -d' ' -f1)" "$flags"
done"""


@dataclass(frozen=True)
class _Accounts:
    """Who is on the host already, of those that were asked for: by name and by number."""

    users: Mapping[str, int]
    groups: Mapping[str, int]
    members: Mapping[str, frozenset[str]]

    def user_of(self, uid: int) -> str | None:
        return next((name for name, number in self.users.items() if number == uid), None)

    def group_of(self, gid: int) -> str | None:
        return next((name for name, number in self.groups.items() if number == gid), None)


@dataclass(frozen=True)
class Kept:
    """What Samba keeps of a user: the SHA-256 of the password's NT hash, and whether the user is shut out."""

    digest: str
    disabled: bool


def questions(home: Home, host: Host) -> Questions:
    """What to ask a NAS about its users."""
    nas = host.storage
    if nas is None:
        return Questions()
    names = [*nas.users, *_groups(nas)]
    keys = " ".join(shlex.quote(key) for key in (*names, *(str(user.uid) for user in nas.users.values())))
    accounts = (
        f"getent passwd {keys} | cut -d: -f1,3 | sed 's/^/user:/'\n"
        f"getent group {keys} | cut -d: -f1,3,4 | sed 's/^/group:/'"
    )
    commands = [(_PASSWORDS, _ASK_PASSWORDS)]
    if keys:
        commands.append((_ACCOUNTS, accounts))
    return Questions(paths=(RECORD,), text=(RECORD,), commands=tuple(commands))


def problems(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """Names and numbers that belong to somebody else already."""
    nas = host.storage
    if nas is None:
        return
    known = _accounts(probe)
    for name, user in nas.users.items():
        place = f"{host.name}: users.{name}"
        if name in known.users and known.users[name] != user.uid:
            found = f"this host has an account {name} with uid {known.users[name]}, not {user.uid}"
            yield Problem(place, found, f"write uid {known.users[name]}, or give the user another name")
            continue
        holder = known.user_of(user.uid)
        if holder not in (None, name):
            yield Problem(place, f"uid {user.uid} is {holder}'s on this host", "write a uid that nobody has")
            continue
        # An account that is there already may have a group of its own with another number.
        if name in known.groups:
            if name not in known.users and known.groups[name] != user.uid:
                found = f"this host has a group {name} with gid {known.groups[name]}, not {user.uid}"
                yield Problem(place, found, "give the user another name")
        elif (holder := known.group_of(user.uid)) is not None:
            yield Problem(place, f"gid {user.uid} is the group {holder}'s on this host", "write a uid that nobody has")
    for name, volume in nas.volumes.items():
        if volume.group and volume.group not in nas.users and volume.group not in (*known.groups, "root"):
            found = f"this host has no group {volume.group}"
            yield Problem(f"{host.name}: volumes.{name}.group", found, 'write "users", which every Debian has')


def commands(host: Host, probe: HostProbe) -> tuple[str, ...]:
    """What makes the missing accounts, groups and memberships; empty when none is missing.

    Neither tool takes a name or a number that has been taken since the look: they fail, and say so.
    """
    nas = host.storage
    if nas is None:
        return ()
    known = _accounts(probe)
    found = []
    for name, user in nas.users.items():
        if name not in known.groups:
            found.append(f"groupadd --gid {user.uid} {name}")
        if name not in known.users:
            found.append(
                f"useradd --uid {user.uid} --gid {name} --no-create-home --home-dir /nonexistent"
                f" --shell /usr/sbin/nologin --comment 'NAS user' {name}"
            )
    for group, names in members(nas).items():
        for name in names:
            if name not in known.members.get(group, frozenset()):
                found.append(f"usermod --append --groups {group} {name}")
    return tuple(found)


def group(nas: Nas, volume: str) -> str:
    """The group that a volume's files belong to: its own, else its owner's."""
    wanted = nas.volumes[volume]
    return wanted.group or wanted.owner


def gid(nas: Nas, name: str, probe: HostProbe) -> int | None:
    """A group's number, as it is or as it will be; None when nobody knows."""
    found = _accounts(probe).groups.get(name)
    if found is not None:
        return found
    return nas.users[name].uid if name in nas.users else None


def is_member(probe: HostProbe, group: str, name: str) -> bool:
    """Whether somebody was in a group when the run began."""
    return name in _accounts(probe).members.get(group, frozenset())


def shared_group(nas: Nas, volume: str) -> str | None:
    """A volume's group when it was made to be shared: not root, and nobody's own."""
    name = nas.volumes[volume].group
    return name if name and name != "root" and name not in nas.users else None


def members(nas: Nas) -> dict[str, list[str]]:
    """Who belongs to which shared group, so that NFS and SMB let the same people in: its volumes' owners and users."""
    found: dict[str, list[str]] = {}
    for name, volume in nas.volumes.items():
        shared = shared_group(nas, name)
        if shared is None:
            continue
        people = [volume.owner] if volume.owner in nas.users else []
        people += [
            each for share in nas.shares.values() if share.volume == name and share.smb for each in share.smb.users
        ]
        found[shared] = list(dict.fromkeys([*found.get(shared, []), *people]))
    return found


def digest(password: str) -> str:
    """What `Kept.digest` is for this password."""
    return hashlib.sha256(md4(password.encode("utf-16-le")).hex().upper().encode()).hexdigest()


def kept(probe: HostProbe) -> Mapping[str, Kept]:
    """What Samba on this host keeps of each of its users."""
    found = {}
    # anna:<sha256>:[U          ]
    for line in probe.output.get(_PASSWORDS, "").splitlines():
        name, hashed, flags = line.split(":", 2)
        found[name] = Kept(hashed, "D" in flags)
    return found


def password_problem(password: str) -> str | None:
    """Why Samba could not take a password, if so; never the password."""
    # smbpasswd reads a line of 255 bytes.
    if len(password) > _LONGEST or len(password.encode()) > 255:
        return f"is longer than the {_LONGEST} characters that Windows takes"
    return None


def to_set(passwords: Mapping[str, SecretStr], probe: HostProbe) -> tuple[str, ...]:
    """Who has no password with Samba, or another one."""
    known = {name: each.digest for name, each in kept(probe).items()}
    return tuple(name for name, text in passwords.items() if known.get(name) != digest(text.get_secret_value()))


def to_enable(passwords: Mapping[str, SecretStr], probe: HostProbe) -> tuple[str, ...]:
    """Who was shut out and is to be let in again."""
    known = kept(probe)
    return tuple(name for name in passwords if name in known and known[name].disabled)


def to_disable(host: Host, probe: HostProbe) -> tuple[str, ...]:
    """Who got a password from this toolkit and is described with none any more: shut out, never deleted."""
    nas = host.storage
    wanted = {name for name, user in nas.users.items() if user.password} if nas else set()
    known = kept(probe)
    return tuple(name for name in _recorded(probe) if name not in wanted and name in known and not known[name].disabled)


def record(names: tuple[str, ...], probe: HostProbe) -> ManagedFile:
    """The file that says to whom this toolkit gave a password, these now among them. It is laid before they get it."""
    everybody = sorted({*_recorded(probe), *names})
    return ManagedFile(RECORD, "".join(f"{name}\n" for name in everybody), mode="0600")


def _recorded(probe: HostProbe) -> tuple[str, ...]:
    return tuple(probe.text.get(RECORD, "").split())


def _groups(nas: Nas) -> list[str]:
    return list(dict.fromkeys(volume.group for volume in nas.volumes.values() if volume.group))


def _accounts(probe: HostProbe) -> _Accounts:
    users, groups, members = {}, {}, {}
    # user:anna:2001 and group:users:100:anna,bob
    for line in probe.output.get(_ACCOUNTS, "").splitlines():
        kind, name, number, *rest = line.split(":")
        if kind == "user":
            users[name] = int(number)
        else:
            groups[name] = int(number)
            members[name] = frozenset(rest[0].split(",")) if rest else frozenset()
    return _Accounts(users, groups, members)
