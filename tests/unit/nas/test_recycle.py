"""Recycle bins: what has lain there long enough goes, nothing else, and nowhere else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from homelab.nas import recycle, watch
from homelab.probe import HostProbe
from tests.nas_host import NasHost, nas

DAY = 86400


def described(**smb: Any) -> Any:
    return nas(
        users={"anna": {"uid": 2001, "password": "env:A"}},
        shares={"docs": {"volume": "docs", "smb": {"users": ["anna"], **smb}}},
    )


@pytest.fixture
def host(tmp_path: Path) -> NasHost:
    return NasHost(tmp_path, described(recycle=True, recycle_days=10))


def deleted(host: NasHost, name: str, days: float) -> Path:
    """A file that Samba moved into the bin so many days ago."""
    path = host.write(f"/srv/vault/docs/.recycle/anna/{name}", "x")
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def later(host: NasHost) -> None:
    """Nobody can set a ctime: the tool that looks at it is told to look at the other one only."""
    host.fake(
        "find",
        'for a; do shift; case $a in -cmin) skip=1 ;; *) [ -n "${skip:-}" ] || set -- "$@" "$a"; skip= ;; esac; done\n'
        'exec /usr/bin/find "$@"',
    )


def test_what_is_old_goes_and_what_is_not_stays(host: NasHost) -> None:
    later(host)
    old, young = deleted(host, "trip/old.jpg", 10.1), deleted(host, "young.jpg", 9.9)
    mine = host.write("/srv/vault/docs/old.jpg", "x")
    os.utime(mine, (0, 0))
    done = host.run("homelab-recycle")
    assert done.returncode == 0, done.stderr
    assert (old.exists(), young.exists(), mine.exists()) == (False, True, True)
    assert host.status("recycle-all")["deleted"] == "1"


def test_what_was_moved_there_just_now_stays_whatever_its_time(host: NasHost) -> None:
    file = deleted(host, "from-1999.jpg", 9000)
    assert host.run("homelab-recycle").returncode == 0
    assert file.exists()


def test_empty_folders_go_and_the_bin_itself_stays(host: NasHost) -> None:
    later(host)
    old = deleted(host, "trip/2019/a.jpg", 20)
    host.run("homelab-recycle")
    for folder in (old.parent, old.parent.parent):
        os.utime(folder, (0, 0))
    host.run("homelab-recycle")
    os.utime(old.parent.parent, (0, 0)) if old.parent.parent.exists() else None
    host.run("homelab-recycle")
    assert [path.name for path in host.path("/srv/vault/docs/.recycle").iterdir()] == ["anna"]
    assert list(host.path("/srv/vault/docs/.recycle/anna").iterdir()) == []


def test_a_link_in_the_bins_place_leads_nowhere(host: NasHost) -> None:
    later(host)
    elsewhere = host.write("/elsewhere/photo.jpg", "x")
    os.utime(elsewhere, (0, 0))
    host.path("/srv/vault/docs/.recycle").symlink_to(elsewhere.parent)
    assert host.run("homelab-recycle").returncode == 0
    assert elsewhere.exists()


def test_without_the_pool_that_is_loud_and_nothing_goes(host: NasHost) -> None:
    later(host)
    old = deleted(host, "old.jpg", 20)
    host.path("/srv/vault/.mounted").unlink()
    assert host.run("homelab-recycle").returncode == 1
    assert old.exists()
    assert "is not mounted" in host.status("recycle-all")["message"]


def test_only_shares_with_a_bin_have_a_timer() -> None:
    assert recycle.timers(described()) == ()
    assert recycle.files(described()) == ()
    with_bin = described(recycle=True)
    assert recycle.timers(with_bin) == (recycle.TIMER,)
    files = {each.path: each.content for each in watch.files(with_bin, "nas", {})}
    assert files[recycle.CONFIG] == "vault docs 30\n"
    assert "recycle\n" in files[watch.CONFIG]
    standing = HostProbe(output={"nas_units": f"{recycle.TIMER}\n"})
    assert watch.stale(described(), standing) == (recycle.TIMER,)
    assert watch.stale(with_bin, standing) == ()
    assert "/var/lib/homelab/status/recycle-all" in watch.remove((recycle.TIMER,))
