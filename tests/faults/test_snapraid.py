"""A pool of snapraid on the spare disks and one more: what is on it comes back, and what would lose it is not done."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import power, sandbox, storage
from tests.faults.shares import Clients, let_go, shared
from tests.faults.shares import clients as clients  # who uses the pool's share
from tests.faults.test_levels import FIRST, added, by_id
from tests.faults.test_nas import clear, deploy, disk, start, until
from tests.faults.test_nas import lab as lab  # the sandbox's NAS, deployed
from tests.faults.test_replace import OF_A_DISK, replace
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import Lab, environment

pytestmark = pytest.mark.long

SPARE = ("virtio-homelab-d5", "virtio-homelab-d6")

STATUS = "cat /var/lib/homelab/status/sync-films"
PLACES = ("data1", "data2", "parity1")
# The disk of data2, and those that take the places of others.
SECOND, *NEW = range(FIRST, FIRST + 4)
# The volume, its folder of files, and their hashes, which are on the system's disk.
FILMS = "/srv/films/films"
KEPT, SUMS = f"{FILMS}/kept", "/var/lib/films.sums"


def with_films(lab: Lab, ids: dict[int, int] | None = None) -> str:
    """The NAS's inventory with one more pool, its data on d5 and d7, its parity on d6, or on those that `ids` has in
    their place; gives its folder."""
    numbers = [*(int(name[1:]) for name in storage().disks), SECOND]
    disks = {f"d{number}": {"id": by_id((ids or {}).get(number, number))} for number in numbers}
    written = {
        "kind": "snapraid",
        "disks": ["d5", f"d{SECOND}"],
        "parity": ["d6"],
        "sync": {"deleted": 3, "deleted_percent": 100},
    }
    return lab.inventory("films", hosts={"nas": {"disks": disks, **shared("films", written, "films")}})


def away(lab: Lab) -> None:
    """Take the pool off the host, with all that the deploy laid for it, and make its disks blank again."""
    units = " ".join(f"srv-.disks-films-{slot}.mount" for slot in PLACES)
    lab.ssh(
        "nas",
        f"{let_go('films', 'films')};"
        " systemctl disable --now homelab-sync@films.timer homelab-scrub@films.timer >/dev/null 2>&1;"
        f" systemctl disable --now srv-films.mount {units} >/dev/null 2>&1;"
        f" cd /etc/systemd/system && rm -f srv-films.mount {units} homelab-sync@films.timer homelab-scrub@films.timer;"
        " chattr -i /srv/films /srv/.disks/films/*; rm -rf /srv/films /srv/.disks/films;"
        " rm -rf /var/lib/homelab/pools/films /var/lib/homelab/snapraid/films /etc/homelab/snapraid/films*"
        " /var/lib/homelab/status/*-films; systemctl daemon-reload; true",
    )
    # One that was added while another was out may have that one's place in the machine.
    for number in (SECOND, *NEW):
        sandbox("remove-disk", "nas", number)
    for number, name in zip((5, 6), SPARE, strict=True):
        if "no" in lab.ssh("nas", f"test -b /dev/disk/by-id/{name} || echo no"):
            lab.ssh("nas", f"rm -f /dev/disk/by-id/{name}")
            sandbox("attach-disk", "nas", number)
            there = f"[ -b /dev/disk/by-id/{name} ] && echo there"
            until("the disk is back", lambda look=there: lab.ssh("nas", look, check=False), 120)
        clear(lab, disk(lab, name))


@pytest.fixture(scope="module")
def films(lab: Lab) -> Iterator[str]:
    """The pool, deployed, with files on it that were synced once; its inventory's folder."""
    away(lab)
    added(lab, (SECOND,), 2048)
    case = with_films(lab)
    done = deploy(lab, inventory=case)
    assert done.code == 0, done.reasons
    # Some on each disk, and so much on the first one that what restores it takes a while.
    one, two = (f"/srv/.disks/films/data{each}/films/{Path(KEPT).name}" for each in (1, 2))
    fill = "".join(
        f"for i in $(seq {first} {first + 14}); do head -c 50000 /dev/urandom >{at}/f$i; done; "
        for first, at in ((1, one), (16, two))
    )
    big = f"head -c 300000000 /dev/urandom >{one}/f0"
    sums = f"sync; cd {KEPT} && sha256sum f* >{SUMS}"
    lab.ssh("nas", f"mkdir -p {one} {two}; {big}; {fill}{sums}", timeout=600)
    lab.ssh("nas", "systemctl start homelab-sync@films.service", timeout=900)
    assert "the first sync" in lab.ssh("nas", STATUS)
    yield case
    start(lab)
    away(lab)
    lab.ssh("nas", f"rm -f {SUMS}")
    done = deploy(lab)
    assert done.code == 0, done.reasons


def whole(lab: Lab) -> None:
    lab.ssh("nas", f"cd {KEPT} && sha256sum -c --quiet {SUMS}")


def test_a_second_run_changes_nothing(lab: Lab, films: str) -> None:
    done = deploy(lab, inventory=films)
    assert (done.code, done.changes) == (0, {}), done.reasons
    whole(lab)


def test_too_many_deletions_stop_the_sync_and_everything_comes_back(lab: Lab, films: str) -> None:
    # Of one disk: what two have lost the one parity may not be enough for.
    names = lab.ssh("nas", "cd /srv/.disks/films/data1/films/kept && ls f* | grep -v f0 | head -n 4").split()
    assert len(names) == 4
    lab.ssh("nas", f"cd {KEPT} && rm {' '.join(names)}")
    parity = "sha256sum </srv/.disks/films/parity1/snapraid.parity"
    before = lab.ssh("nas", parity)
    lab.ssh("nas", "systemctl start homelab-sync@films.service; true", timeout=900)
    status = lab.ssh("nas", STATUS)
    assert "result=failed" in status and "4 of 31 files are deleted (3 are let through)" in status
    assert re.search(r"homelab-snapraid films sync --after-look [0-9a-f]{8}", status)
    assert lab.ssh("nas", parity) == before
    until("the watch has told it", lambda: "4 of 31 files" in lab.ssh("nas", "cat /var/lib/homelab/watch", check=False))
    lab.ssh("nas", "/usr/local/lib/homelab/homelab-snapraid films -m fix >/dev/null 2>&1", timeout=900)
    whole(lab)
    # They are root's alone.
    lab.ssh("nas", f"cd {KEPT} && chmod 0644 {' '.join(names)}")
    lab.ssh("nas", "systemctl start homelab-sync@films.service", timeout=900)
    assert "result=ok" in lab.ssh("nas", STATUS)


def test_without_a_disk_of_data_nothing_is_joined_and_nothing_synced(lab: Lab, films: str) -> None:
    lab.ssh("nas", "systemctl stop srv-.disks-films-data1.mount")
    assert "no" in lab.ssh("nas", "mountpoint -q /srv/films || echo no"), "the pool went with its disk"
    sandbox("detach-disk", "nas", 5)
    try:
        gone = f"[ -e /dev/disk/by-id/{SPARE[0]} ] || echo gone"
        until("the disk is gone", lambda: lab.ssh("nas", gone, check=False), 60)
        tried = lab.ssh(
            "nas",
            "systemctl start srv-films.mount >/dev/null 2>&1; mountpoint -q /srv/films || echo down;"
            " touch /srv/films/x /srv/.disks/films/data1/x 2>/dev/null || echo sealed;"
            " /usr/local/lib/homelab/homelab-snapraid films sync >/dev/null 2>&1 || echo stopped",
            timeout=400,
        )
        assert tried.split() == ["down", "sealed", "stopped"]
        assert "data1 (d5, serial homelab-d5) is not mounted" in lab.ssh("nas", STATUS)
    finally:
        sandbox("attach-disk", "nas", 5)
        lab.ssh("nas", "systemctl start srv-films.mount", timeout=400)
    whole(lab)


def test_with_its_record_lost_it_is_known_again_by_its_disks(lab: Lab, films: str) -> None:
    uuids = f"for each in {' '.join(PLACES)}; do findmnt -no UUID /srv/.disks/films/$each; done"
    before = lab.ssh("nas", uuids)
    assert len(before.split()) == len(PLACES)
    lab.ssh("nas", "rm /var/lib/homelab/pools/films")
    done = deploy(lab, inventory=films)
    assert done.code == 0, done.reasons
    assert not [name for name in done.changes if "additive" in name or "destructive" in name]
    assert lab.ssh("nas", uuids) == before
    whole(lab)


def test_a_power_cut_in_the_middle_of_a_sync_costs_nothing(lab: Lab, films: str, clients: Clients) -> None:
    # So much that a sync takes a while.
    big = "/srv/.disks/films/data1/films/kept/big"
    lab.ssh("nas", f"head -c 300000000 /dev/urandom >{big}; sync; cd {KEPT} && sha256sum big >>{SUMS}")
    lab.ssh("nas", "systemctl start --no-block homelab-sync@films.service")
    power("power-cut", "nas")
    start(lab)
    until("the pool is mounted", lambda: lab.ssh("nas", "mountpoint -q /srv/films && echo yes", check=False))
    whole(lab)
    clients.served(FILMS, SUMS)
    lab.ssh("nas", "systemctl start homelab-sync@films.service", timeout=1800)
    assert "result=ok" in lab.ssh("nas", STATUS)
    done = deploy(lab, inventory=films)
    assert (done.code, done.changes) == (0, {}), done.reasons


def protected(lab: Lab) -> None:
    """The parity is of all there is: each block is read and compared with it."""
    assert "result=ok" in lab.ssh("nas", STATUS)
    lab.ssh("nas", "/usr/local/lib/homelab/homelab-snapraid films check >/dev/null 2>&1", timeout=1800)


def described(lab: Lab, dead: int, ids: dict[int, int]) -> None:
    """With the old line the deploy says what is to be written; with the new one it has nothing to do for the pool."""
    old = deploy(lab, inventory=with_films(lab, {each: new for each, new in ids.items() if each != dead}))
    assert old.code == 1
    (line,) = old.reasons
    assert f"disks.d{dead}: {by_id(dead)} is no disk of films" in line and f"homelab-d{ids[dead]}" in line
    new = with_films(lab, ids)
    done = deploy(lab, inventory=new)
    assert done.code == 0 and set(done.changes) <= OF_A_DISK, (done.reasons, done.changes)
    again = deploy(lab, inventory=new)
    assert (again.code, again.changes) == (0, {}), again.reasons


def test_a_dead_disk_of_data_is_told_of_and_what_it_held_comes_back_on_another(
    lab: Lab, films: str, clients: Clients, tmp_path: Path
) -> None:
    new, ids = NEW[0], {5: NEW[0]}
    added(lab, (new,), 2048)
    power("power-cut", "nas")
    sandbox("detach-disk", "nas", 5)
    start(lab)
    down = "mountpoint -q /srv/films || echo down"
    assert "down" in lab.ssh("nas", down)
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    assert "data1 (d5, serial homelab-d5) is not mounted" in lab.ssh("nas", "cat /var/lib/homelab/watch")
    refused = deploy(lab, inventory=films)
    assert refused.code == 1
    (line,) = refused.reasons
    assert "day2/replace_disk.py --limit nas --data disk=d5" in line

    # The power goes while it is restored.
    command = [str(ROOT / ".venv" / "bin" / "pyinfra"), "-y", "--limit", "nas", "--data", "disk=d5"]
    command += ["--data", f"with={by_id(new)}", films, "deploys/day2/replace_disk.py"]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            command, cwd=ROOT, env=environment(lab.size), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        restores = "systemctl is-active homelab-rebuild-films"
        until("it is restored", lambda: lab.ssh("nas", restores, check=False).strip() == "active", 900)
        power("power-cut", "nas")
        running.kill()
        running.wait()
    start(lab)
    assert "down" in lab.ssh("nas", down)
    synced = lab.ssh("nas", "systemctl start homelab-sync@films.service; cat /var/lib/homelab/status/sync-films")
    assert "data1 (d5, serial homelab-d5): what was on it is not all restored yet" in synced
    refused = deploy(lab, inventory=films)
    assert refused.code == 1
    (line,) = refused.reasons
    assert f"--data disk=d5 --data with=serial:homelab-d{new}`, which goes on" in line
    # Where the system's notes are lost with it, the disk itself says so.
    record, aside = "/var/lib/homelab/pools/films", "/root/films"
    lab.ssh("nas", f"mv {record} {aside}")
    refused = deploy(lab, inventory=with_films(lab, ids))
    assert refused.code == 1
    assert "on the disk at /srv/.disks/films/data1 not all is restored" in refused.said
    assert "down" in lab.ssh("nas", f"mv -f {aside} {record}; {down}")

    done = replace(lab, 5, by_id(new), inventory=with_films(lab))
    assert done.code == 0, done.said[-1500:]
    assert f'"d5": {{"id": "{by_id(new)}"}}' in done.said and "the last good sync was 20" in done.said
    whole(lab)
    clients.served(FILMS, SUMS)
    restored = lab.ssh("nas", "stat -c '%U %a' /srv/.disks/films/data1/films/kept/*").splitlines()
    assert set(restored) == {"anna 660"}
    protected(lab)
    again = replace(lab, 5, by_id(new), inventory=with_films(lab))
    assert (again.code, again.reasons) == (0, [])
    described(lab, 5, ids)


def test_a_dead_disk_of_parity_is_told_of_and_another_takes_its_place(lab: Lab, films: str, clients: Clients) -> None:
    new, ids = NEW[1], {5: NEW[0]}
    added(lab, (new,), 2048)
    power("power-cut", "nas")
    sandbox("detach-disk", "nas", 6)
    start(lab)
    until("it comes up without", lambda: lab.ssh("nas", "mountpoint -q /srv/films && echo yes", check=False), 600)
    whole(lab)
    clients.served(FILMS, SUMS)
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    assert "parity1 (d6, serial homelab-d6) is not mounted" in lab.ssh("nas", "cat /var/lib/homelab/watch")
    lab.ssh("nas", f"cd {KEPT} && echo new >newer && sha256sum newer >>{SUMS}")
    done = replace(lab, 6, by_id(new), inventory=with_films(lab, ids))
    assert done.code == 0, done.reasons
    assert f'"d6": {{"id": "{by_id(new)}"}}' in done.said
    whole(lab)
    protected(lab)
    described(lab, 6, ids | {6: new})


def test_a_disk_of_data_that_dies_while_it_is_served_is_replaced_without_a_boot(
    lab: Lab, films: str, clients: Clients
) -> None:
    new, ids = NEW[2], {5: NEW[0], 6: NEW[1]}
    added(lab, (new,), 2048)
    # Whoever asked nfsd and Samba for something; they hold on to it for a while.
    clients.served(FILMS, SUMS)
    sandbox("detach-disk", "nas", SECOND)
    gone = f"[ -e /dev/disk/by-id/{by_id(SECOND)} ] || echo gone"
    until("the disk is gone", lambda: lab.ssh("nas", gone, check=False), 60)
    done = replace(lab, SECOND, by_id(new), inventory=with_films(lab, ids))
    assert done.code == 0, done.reasons
    whole(lab)
    clients.served(FILMS, SUMS)
    protected(lab)
    described(lab, SECOND, ids | {SECOND: new})
