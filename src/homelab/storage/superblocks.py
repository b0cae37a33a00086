"""The superblocks of md and btrfs and the header of LUKS, as bytes: a host without their tools tells as much as any."""

from __future__ import annotations

import struct
import uuid

from homelab.storage.seen import BtrfsMember, Luks, MdMember

MD_OFFSET, MD_LENGTH = 4096, 512
# Where in it stands at which sector the data begin.
MD_START = 128
BTRFS_OFFSET, BTRFS_LENGTH = 65536, 1024
# The binary part of a LUKS2 header; what follows it, in JSON, is covered by its checksum.
LUKS_LENGTH = 4096
_MD_MAGIC = 0xA92B4EFC


def md(raw: bytes) -> MdMember | None:
    """A member's superblock of version 1 (linux/raid/md_p.h, struct mdp_superblock_1); None when it is none."""
    if len(raw) < 256:
        return None
    magic, major = struct.unpack_from("<II", raw, 0)
    if magic != _MD_MAGIC or major != 1:
        return None
    level, disks = struct.unpack_from("<i", raw, 72)[0], struct.unpack_from("<I", raw, 92)[0]
    return MdMember(
        uuid=str(uuid.UUID(bytes=raw[16:32])),
        name=_text(raw[32:64]),
        level=level,
        disks=disks,
        events=struct.unpack_from("<Q", raw, 200)[0],
        device=str(uuid.UUID(bytes=raw[168:184])),
        # Where in a device the data begin and how much of them it holds, in sectors.
        needs=512 * (struct.unpack_from("<Q", raw, MD_START)[0] + struct.unpack_from("<Q", raw, 80)[0]),
    )


def btrfs(raw: bytes) -> BtrfsMember | None:
    """A device's superblock (kernel-shared/ctree.h, struct btrfs_super_block); None when it is none or unfinished."""
    if len(raw) < 0x22B or raw[0x40:0x48] != b"_BHRfS_M":
        return None
    return BtrfsMember(
        uuid=str(uuid.UUID(bytes=raw[0x20:0x30])),
        label=_text(raw[0x12B:0x22B]),
        devices=struct.unpack_from("<Q", raw, 0x88)[0],
        devid=struct.unpack_from("<Q", raw, 0xC9)[0],
        size=struct.unpack_from("<Q", raw, 0xD1)[0],
    )


def luks(raw: bytes, *, slots: bool) -> Luks | None:
    """A header of LUKS (the LUKS2 on-disk format specification, 2.1; LUKS1 has its UUID there too); None when none."""
    if len(raw) < 256 or raw[:6] != b"LUKS\xba\xbe":
        return None
    version = struct.unpack_from(">H", raw, 6)[0]
    return Luks(_text(raw[168:208]).lower(), version, _text(raw[24:72]) if version == 2 else "", slots)


def counts_projects(raw: bytes) -> bool:
    """Whether an ext4 with this superblock has the features quota and project, and a file for the latter's limits."""
    if len(raw) < 0x270 or raw[0x38:0x3A] != b"\x53\xef":
        return False
    features, file = struct.unpack_from("<I", raw, 0x64)[0], struct.unpack_from("<I", raw, 0x26C)[0]
    return bool(features & 0x100 and features & 0x2000 and file)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")


def mdadm_uuid(text: str) -> str:
    """A UUID as mdadm writes it, in four groups of eight."""
    digits = text.replace("-", "")
    return ":".join(digits[at : at + 8] for at in range(0, 32, 8))
