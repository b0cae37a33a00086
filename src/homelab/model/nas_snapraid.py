"""What must hold for a pool whose disks each have a filesystem, with the parity of all of them on others."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.model.nas import Pool
from homelab.model.nas_written import Written
from homelab.model.problems import Problem

# snapraid(1): from one to six parity files, each on a disk of its own.
MOST_PARITY = 6


def check(written: Written, name: str, pool: Pool) -> Iterator[Problem]:
    """Everything that does not fit together in the disks and settings of one pool, of whatever kind."""
    place = written.place("pools", name)
    if pool.kind != "snapraid":
        for key, given in (("parity", pool.parity), ("sync", pool.sync)):
            if given:
                yield Problem(f"{place}.{key}", f"is for snapraid, and this is {pool.kind}", "leave it out")
        return
    if not pool.disks:
        yield Problem(f"{place}.disks", "no disk is there to hold data", 'write one or more, ["d1", "d2"]')
    if not pool.parity:
        found = "without a disk of parity nothing could be restored"
        yield Problem(f"{place}.parity", found, 'write one or more, each as large as the largest of disks, ["d3"]')
    if len(pool.parity) > MOST_PARITY:
        yield Problem(f"{place}.parity", f"{len(pool.parity)} are too many", f"write at most {MOST_PARITY}")
    elif pool.disks and len(pool.parity) > len(pool.disks):
        # Its list of what is in the parity has to outlive as many disks as the data do: a copy on each disk of data
        # and one on the system's are one more than the disks of parity then.
        found = f"{len(pool.parity)} of parity for {len(pool.disks)} of data are more than it needs"
        yield Problem(f"{place}.parity", found, "write at most as many as disks")


def check_volumes(written: Written) -> Iterator[Problem]:
    """What volumes of such a pool cannot have."""
    nas = written.nas
    for name, volume in nas.volumes.items():
        pool = nas.pools.get(volume.pool)
        if pool is not None and pool.kind == "snapraid" and volume.quota is not None:
            found = f"pool {volume.pool} is snapraid: its disks each know of their own part only, and none of quotas"
            yield Problem(written.place("volumes", name, "quota"), found, "leave it out, or use another kind of pool")
