"""What a snapraid pool must be in itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from homelab.model import nas_snapraid
from homelab.model.nas import Nas, Pool
from homelab.model.nas_written import Written


def told(pool: dict[str, Any], **more: Any) -> list[str]:
    """Every problem of one pool, `media`, and of the volumes on it."""
    names = [f"d{number}" for number in range(1, 10)]
    values = {"disks": {name: {"id": f"ata-DISK_{name}"} for name in names}, "pools": {"media": pool}, **more}
    nas = Nas.model_validate(values)
    written = Written("nas", "nas[0]", nas, {})
    found = [*nas_snapraid.check(written, "media", nas.pools["media"]), *nas_snapraid.check_volumes(written)]
    return [str(problem) for problem in found]


def raid(disks: int, parity: int, **more: Any) -> dict[str, Any]:
    names = [f"d{number}" for number in range(1, disks + parity + 1)]
    return {"kind": "snapraid", "disks": names[:disks], "parity": names[disks:], **more}


@pytest.mark.parametrize("kind", ["mergerfs", "mergerfs+snapraid"])
def test_what_joins_its_disks_is_no_kind_of_its_own(kind: str) -> None:
    with pytest.raises(ValidationError, match="is not a kind of pool; write snapraid, whose disks are joined"):
        Pool.model_validate(raid(2, 1) | {"kind": kind})


@pytest.mark.parametrize(("disks", "parity"), [(1, 1), (2, 1), (3, 3), (6, 1)])
def test_one_disk_of_parity_or_more_and_as_many_of_data(disks: int, parity: int) -> None:
    assert told(raid(disks, parity)) == []


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (raid(2, 0), "nas[0].pools.media.parity: without a disk of parity nothing could be restored"),
        (raid(0, 1), "nas[0].pools.media.disks: no disk is there to hold data"),
        (raid(1, 7), "nas[0].pools.media.parity: 7 are too many; write at most 6"),
        (raid(1, 2), "2 of parity for 1 of data are more than it needs; write at most as many as disks"),
        (
            {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"], "parity": ["d3"]},
            "nas[0].pools.media.parity: is for snapraid, and this is btrfs; leave it out",
        ),
        (
            {"kind": "mdraid", "level": "raid1", "disks": ["d1", "d2"], "sync": {"deleted": 1}},
            "nas[0].pools.media.sync: is for snapraid, and this is mdraid; leave it out",
        ),
    ],
)
def test_what_does_not_fit_together(pool: dict[str, Any], says: str) -> None:
    (problem,) = told(pool)
    assert says in problem


def test_its_volumes_have_no_quota() -> None:
    (problem,) = told(raid(2, 1), volumes={"films": {"pool": "media", "quota": "1G"}})
    assert "nas[0].volumes.films.quota: pool media is snapraid" in problem


def test_it_has_no_level_and_the_others_have_one() -> None:
    with pytest.raises(ValidationError, match="snapraid has no level; leave it out"):
        told(raid(2, 1, level="raid5"))
    with pytest.raises(ValidationError, match="is missing"):
        told({"kind": "mdraid", "disks": ["d1", "d2"]})


@pytest.mark.parametrize("wrong", [{"deleted": -1}, {"deleted_percent": 101}, {"added": 5}, {"at": "25:00"}])
def test_limits_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        told(raid(2, 1, sync=wrong))
