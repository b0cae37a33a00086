"""Words of the NAS: only what they can be is let through, as they reach shells and config files."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo

from homelab.model import levels
from homelab.model.problems import did_you_mean
from homelab.model.strict import refuse, shown, words

# Also the name of an array, a label, a directory and part of a unit's name, where a hyphen would mean a slash.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
# useradd(8) on Debian, and never a number.
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_BY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+#=@-]{2,200}")
_SERIAL = re.compile(r"serial:[A-Za-z0-9][A-Za-z0-9._+#=@ -]{1,100}")
# That of a ZFS pool is a number, its guid.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[1-9][0-9]{15,19}")
_MODE = re.compile(r"[0-2]?[0-7]{3}")
_SIZE = re.compile(r"(\d+)([KMGT])")
_MOMENT = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_CONSENT = re.compile(r"[0-9a-f]{16}")
# Neither what a shell would take apart nor, after sftp:, what ssh would take for an option.
_REPOSITORY = re.compile(r"(/|sftp:(//)?(?=[A-Za-z0-9_\[])|rest:https?://|s3:|b2:)[A-Za-z0-9@:/._+,=%\[\]-]+")
_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9:/._~+,=%?&#\[\]-]*")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
_MAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9][A-Za-z0-9.-]*")
# curl takes a user and a password with a colon between them.
_SMTP_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._%+=/-]{0,254}")
_SMTP = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(\d{1,5})")

# What does not work yet, or never will, and is asked for all the same.
_KINDS = ("mdraid", "btrfs", "snapraid", "zfs")
_KINDS_LATER = words("lvm bcachefs")


def _matching(pattern: re.Pattern[str], what: str, remedy: str) -> BeforeValidator:
    def check(value: object) -> object:
        if value is None or (isinstance(value, str) and pattern.fullmatch(value)):
            return value
        raise refuse(f"{shown(value)} is not {what}", remedy)

    return BeforeValidator(check)


def disk_id(value: object) -> str:
    """A name under /dev/disk/by-id, or ``serial:...``: what stays with a disk whatever port it is in."""
    remedy = "write its name under /dev/disk/by-id (`ls -l /dev/disk/by-id`), or serial:..."
    if not isinstance(value, str):
        raise refuse(f"{shown(value)} is not a disk's id", remedy)
    name = value.removeprefix("/dev/disk/by-id/")
    if name.startswith("/") or re.fullmatch(r"(sd|vd|hd|xvd)[a-z]+\d*|(nvme\d+n|mmcblk|md|dm-)\d+(p\d+)?", name):
        raise refuse(f"{shown(value)} may be another disk after the next boot", remedy)
    if re.search(r"-part\d+$", name):
        raise refuse(f"{shown(value)} is a partition", "write the whole disk's name, without -part1")
    if re.match(r"(md|dm|lvm|raid)-", name):
        raise refuse(f"{shown(value)} is no disk, but made of disks", remedy)
    if _SERIAL.fullmatch(name) or (_BY_ID.fullmatch(name) and not name.startswith("serial:")):
        return name
    raise refuse(f"{shown(value)} is not a disk's id", remedy)


def pool_kind(value: object) -> str:
    """What keeps the pool's disks together."""
    if value in _KINDS:
        return str(value)
    remedy = f"write {', '.join(_KINDS[:-1])} or {_KINDS[-1]}"
    if value == "luks":
        raise refuse("luks lies under a pool and is none", 'write mdraid or btrfs, and "encryption" beside it')
    if value in ("mergerfs", "mergerfs+snapraid"):
        raise refuse(f"{shown(value)} is not a kind of pool", "write snapraid, whose disks are joined by mergerfs")
    if isinstance(value, str) and value in _KINDS_LATER:
        raise refuse(f"{value}: not supported yet", remedy)
    known = (*_KINDS, *_KINDS_LATER)
    raise refuse(f"{shown(value)} is not a kind of pool", did_you_mean(str(value), known, remedy))


def pool_level(value: object, info: ValidationInfo) -> str:
    """How the disks share what is written; which there are depends on the pool's kind."""
    kind = info.data.get("kind")
    if kind == "snapraid":
        if value == "":
            return ""
        raise refuse("snapraid has no level", "leave it out; how many disks may die is how many are listed as parity")
    if value == "" and kind is not None:
        raise refuse("is missing", "write it")
    # Of a kind that was refused the level is no second problem.
    if kind is None:
        return "raid1"
    if value in levels.names(kind):
        return str(value)
    remedy = levels.offered(kind)
    if isinstance(value, str) and (kind, value) in levels.REFUSED:
        raise refuse(f"{value} of {kind}{levels.REFUSED[kind, value]}", remedy)
    others = [each.kind for each in levels.LEVELS if each.name == value]
    if others:
        raise refuse(f"{value} is a level of {others[0]}, not of {kind}", remedy)
    raise refuse(f"{shown(value)} is not a level of {kind}", did_you_mean(str(value), levels.names(kind), remedy))


def size(value: object) -> int:
    """Bytes, from ``"500G"`` (powers of 1024)."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found or int(found[1]) == 0:
        raise refuse(f"{shown(value)} is not a size", 'write one, "500G"')
    return int(found[1]) * _UNITS[found[2]]


def octal_mode(value: object) -> str:
    """A directory's mode as four octal digits."""
    if isinstance(value, str) and _MODE.fullmatch(value):
        return value.zfill(4)
    raise refuse(f"{shown(value)} is not a mode", 'write one as a string, "0770"')


def nfs_client(value: object) -> str:
    """A host's or network's name, an address, or a network; never everybody."""
    remedy = 'write a host, a name of networks, an address or a network, "192.168.1.0/24"'
    if not isinstance(value, str):
        raise refuse(f"{shown(value)} is not a client", remedy)
    try:
        network = ip_network(value)
    except ValueError:
        try:
            ip_address(value)
        except ValueError:
            if _HOST.fullmatch(value):
                return value
            raise refuse(f"{shown(value)} is not a client", remedy) from None
        return value
    if network.prefixlen == 0:
        raise refuse(f"{shown(value)} is everybody", remedy)
    return str(network) if "/" in value else str(network.network_address)


def repository(value: object) -> str:
    """A restic repository without a secret in it."""
    remedy = 'write one, "/mnt/usb/restic" or "sftp:user@host:/restic"'
    if not isinstance(value, str):
        raise refuse("is not a restic repository", remedy)
    # rest:https://me:secret@host, and sftp:me:secret@host; sftp:me@host has none.
    user, at, _ = value.removeprefix("sftp:").removeprefix("//").partition("@")
    if at and ("://" in user or (value.startswith("sftp:") and ":" in user)):
        remedy = "write it without: sftp: logs in by SSH key, and servers that ask for a password are not supported yet"
        raise refuse("an address with a secret in clear", remedy)
    if _REPOSITORY.fullmatch(value):
        return value
    raise refuse("is not a restic repository" if at else f"{shown(value)} is not a restic repository", remedy)


def url(value: object) -> str:
    """An address of the web without a password in it. Never echoed: a webhook's path is a secret of its own."""
    if isinstance(value, str) and _URL.fullmatch(value):
        return value
    if isinstance(value, str) and "@" in value:
        raise refuse("an address with a secret in clear", 'write it without, "https://ntfy.sh/my-nas"')
    raise refuse("is not a URL", 'write one, "https://ntfy.sh/my-nas"')


def mail(value: object) -> str:
    """A mail address."""
    if isinstance(value, str) and _MAIL.fullmatch(value):
        return value
    shows = f"{shown(value)} " if isinstance(value, str) else ""
    raise refuse(f"{shows}is not a mail address", 'write one, "anna@example.org"')


def smtp(value: object) -> str:
    """``host:port`` of a mail server."""
    found = _SMTP.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and found and 0 < int(found[3]) < 65536:
        return value
    # me:secret@mail.example.org:587
    shows = "" if isinstance(value, str) and "@" in value else f"{shown(value)} "
    raise refuse(f"{shows}is not a mail server", 'write its name and port, "mail.example.org:25"')


def smtp_user(value: object) -> str:
    """A name to log in with at a mail server; never echoed, since passwords are pasted into the wrong place."""
    if isinstance(value, str) and _SMTP_USER.fullmatch(value):
        return value
    raise refuse("is not a user's name", 'write one, "nas@example.org"')


Name = Annotated[str, _matching(_NAME, "a name", "write at most 16 lower-case letters, digits and _, a letter first")]
UserName = Annotated[str, _matching(_USER, "a user's name", 'write one, "anna"')]
GroupName = Annotated[str, _matching(_USER, "a group's name", 'write one, "family"')]
DiskId = Annotated[str, BeforeValidator(disk_id)]
PoolUuid = Annotated[str, _matching(_UUID, "a UUID", "write it in its five groups, as lsblk -o UUID shows it")]
Consent = Annotated[
    str, _matching(_CONSENT, "a consent", "write the 16 letters that the refusal names, or leave it out")
]
Bytes = Annotated[int, BeforeValidator(size)]
OctalMode = Annotated[str, BeforeValidator(octal_mode)]
Moment = Annotated[str, _matching(_MOMENT, "a time of day", 'write one, "03:00"')]
NfsClient = Annotated[str, BeforeValidator(nfs_client)]
Repository = Annotated[str, BeforeValidator(repository)]
Url = Annotated[str, BeforeValidator(url)]
Mail = Annotated[str, BeforeValidator(mail)]
Smtp = Annotated[str, BeforeValidator(smtp)]
SmtpUser = Annotated[str, BeforeValidator(smtp_user)]
