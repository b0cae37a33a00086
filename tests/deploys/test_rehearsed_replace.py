"""deploys/day2/replace_disk.py on a NAS that does not exist: what it is told wrongly is a line and exit 1."""

from __future__ import annotations

import pytest

from tests.deploys.rehearsal import pyinfra

REPLACE = ("--dry", "inventory", "deploys/day2/replace_disk.py")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((), "usage: HOMELAB_ENV=home pyinfra inventory deploys/day2/replace_disk.py --data disk=NAME"),
        (("disk=d1",), "usage: HOMELAB_ENV=home pyinfra inventory deploys/day2/replace_disk.py --data disk=NAME"),
        (("disk=d1", "with=d2", "consnet=1"), "--data consnet: no such argument; usage: "),
        (("disk=d11", "with=ata-NEW"), "--data disk: no 'd11' in disks; did you mean d1?"),
        (("disk=d1", "with=sda"), "--data with: 'sda' may be another disk after the next boot"),
        (("disk=d1", "with=d3"), "--data with: d3 is in pool pics; write the new disk"),
        (("disk=d1", "with=ata-NEW"), "nas.pools.tank: has no record on this host"),
    ],
)
def test_a_wrong_argument_is_a_line(data: tuple[str, ...], says: str) -> None:
    done = pyinfra(*REPLACE, *(word for each in data for word in ("--data", each)))
    assert done.returncode == 1
    assert says in done.stderr and "Traceback" not in done.stderr


def test_it_is_never_done_to_an_inventory_that_nobody_named() -> None:
    done = pyinfra(*REPLACE, "--data", "disk=d1", "--data", "with=ata-NEW", HOMELAB_ENV="")
    assert done.returncode == 1
    assert "HOMELAB_ENV: is not set; write HOMELAB_ENV=home before it" in done.stderr
