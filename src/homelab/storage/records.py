"""What the host remembers of its pools, so that a pool is known again and one that was half made is finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from homelab.files import ManagedFile

FOLDER = "/var/lib/homelab/pools"
# Lines `4001 tank/photos`: project ids of volumes, kept for ever.
PROJECTS = "/var/lib/homelab/volumes"
SENTINEL = ".homelab-pool"

State = Literal["making", "formatting", "made"]


@dataclass(frozen=True)
class Record:
    """A pool as it was decided. `state` is "making" before its disks are joined, "formatting" before mkfs begins.

    `slots` are the places of a snapraid pool: to each the UUID of its filesystem, and the disk that is listed for it.
    """

    pool: str
    kind: str
    level: str
    uuid: str
    filesystem: str
    filesystem_uuid: str
    serials: Mapping[str, str]
    state: State = "made"
    slots: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # Of an encrypted pool: the UUID of each disk's LUKS header.
    luks: Mapping[str, str] = field(default_factory=dict)
    # Of a snapraid pool: the place whose disk is dead, and the serial of the one that is being filled for it.
    rebuilding: str = ""
    # By place, the serials of disks that were replaced there: what is on them is older than the pool.
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, state: State | None = None) -> str:
        lines = [
            f"uuid={self.uuid}",
            f"filesystem_uuid={self.filesystem_uuid}",
            f"kind={self.kind}",
            f"level={self.level}",
            f"filesystem={self.filesystem}",
            *(f"disk.{name}={serial}" for name, serial in self.serials.items()),
            *(f"slot.{slot}={uuid} {name}" for slot, (uuid, name) in self.slots.items()),
            *(f"luks.{name}={uuid}" for name, uuid in self.luks.items()),
            *([f"rebuilding={self.rebuilding}"] if self.rebuilding else []),
            *(f"former.{slot}={'|'.join(serials)}" for slot, serials in self.former.items() if serials),
            f"state={state or self.state}",
        ]
        return "".join(f"{line}\n" for line in lines)

    @property
    def file(self) -> ManagedFile:
        return ManagedFile(f"{FOLDER}/{self.pool}", self.text())

    @property
    def sentinel(self) -> str:
        return f"{self.pool} {self.filesystem_uuid}"


def read(pool: str, said: Mapping[str, str] | None) -> Record | None:
    """A record from its lines; None when there is none. Raise ValueError when a part of it is missing."""
    if not said:
        return None
    try:
        state = said["state"]
        if state not in ("making", "formatting", "made"):
            raise ValueError(f"has the state {state!r}")
        return Record(
            pool,
            kind=said["kind"],
            level=said["level"],
            uuid=said["uuid"],
            filesystem=said["filesystem"],
            filesystem_uuid=said["filesystem_uuid"],
            serials={key[5:]: value for key, value in said.items() if key.startswith("disk.")},
            state=state,  # type: ignore[arg-type]
            slots={key[5:]: _slot(value) for key, value in said.items() if key.startswith("slot.")},
            luks={key[5:]: value for key, value in said.items() if key.startswith("luks.") and value},
            rebuilding=said.get("rebuilding", ""),
            former={key[7:]: tuple(value.split("|")) for key, value in said.items() if key.startswith("former.")},
        )
    except KeyError as error:
        raise ValueError(f"has no line {error.args[0]}") from None


def noted(number: int, full: str) -> str:
    """Shell: note a volume's project id, once. A hand that took a line out may have left no end of the last one."""
    end = f'if [ -s {PROJECTS} ] && [ -n "$(tail -c 1 {PROJECTS})" ]; then echo >>{PROJECTS}; fi'
    return f"grep -qsxF '{number} {full}' {PROJECTS} || {{ {end}; echo '{number} {full}' >>{PROJECTS}; }}"


def _slot(value: str) -> tuple[str, str]:
    uuid, _, name = value.partition(" ")
    return uuid, name
