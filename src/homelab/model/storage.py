"""Words of the NAS: only what they can be is let through, as they reach shells and config files."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import BeforeValidator

from homelab.model.strict import refuse, shown

# Also the name of an array, a label, a directory and part of a unit's name, where a hyphen would mean a slash.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
# useradd(8) on Debian, and never a number.
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_BY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+#=@-]{2,200}")
_SERIAL = re.compile(r"serial:[A-Za-z0-9][A-Za-z0-9._+#=@ -]{1,100}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MODE = re.compile(r"[0-2]?[0-7]{3}")
_SIZE = re.compile(r"(\d+)([KMGT])")
_MOMENT = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_CONSENT = re.compile(r"[0-9a-f]{16}")
_REPOSITORY = re.compile(r"(/|sftp:|rest:https?://|s3:|b2:)[^\s'\"`$\\]+")
_URL = re.compile(r"https?://[^\s'\"`$\\@]+")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_HOST = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")


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


Name = Annotated[str, _matching(_NAME, "a name", "write at most 16 lower-case letters, digits and _, a letter first")]
UserName = Annotated[str, _matching(_USER, "a user's name", 'write one, "anna"')]
DiskId = Annotated[str, BeforeValidator(disk_id)]
PoolUuid = Annotated[str, _matching(_UUID, "a UUID", "write it in its five groups, as lsblk -o UUID shows it")]
Consent = Annotated[
    str, _matching(_CONSENT, "a consent", "write the 16 letters that the refusal names, or leave it out")
]
Bytes = Annotated[int, BeforeValidator(size)]
OctalMode = Annotated[str, BeforeValidator(octal_mode)]
Moment = Annotated[str, _matching(_MOMENT, "a time of day", 'write one, "03:00"')]
NfsClient = Annotated[str, BeforeValidator(nfs_client)]
Repository = Annotated[
    str, _matching(_REPOSITORY, "a restic repository", 'write one, "/mnt/usb/restic" or "sftp:user@host:/restic"')
]
Url = Annotated[str, _matching(_URL, "a URL", 'write one without a password in it, "https://ntfy.sh/my-nas"')]
