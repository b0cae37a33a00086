"""A NAS in a folder: the real scripts with HOMELAB_ROOT set to it, and stand-ins for what only a booted host has."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.nas import scripts, watch

UUID = "ada943b1-2ed8-4072-99e2-e4163e1dc810"
SCRIPTS = Path(watch.__file__).parent / "scripts"


def nas(**values: Any) -> Nas:
    """A btrfs pool `tank` with `media` and `photos`, an array `vault` with `docs`; and what is said."""
    pool = {"level": "raid1", "disks": ["d1", "d2"]}
    return Nas.model_validate(
        {
            "disks": {"d1": {"id": "ata-A_1"}, "d2": {"id": "serial:B2"}},
            "pools": {
                "tank": {"kind": "btrfs", **pool},
                "vault": {"kind": "mdraid", "filesystem": "ext4", **pool},
            },
            "volumes": {"media": {"pool": "tank"}, "photos": {"pool": "tank"}, "docs": {"pool": "vault"}},
            **values,
        }
    )


class NasHost:
    """The folder, laid out as the deploy would; `docs` and `vault` count as mounted while `mounted` names them."""

    def __init__(self, root: Path, described: Nas):
        self.root = root
        self.fakes = root / "fakes"
        self.fakes.mkdir(parents=True)
        for file in watch.files(described, "nas", dict.fromkeys(described.backups, "correct horse")):
            self.lay(file)
        for pool in described.pools:
            folder = self.path(f"/srv/{pool}")
            folder.mkdir(parents=True)
            (folder / ".homelab-pool").write_text(f"{pool} {UUID}\n")
            (folder / ".mounted").touch()
        for name, volume in described.volumes.items():
            self.path(f"/srv/{volume.pool}/{name}").mkdir()
        self.write("/proc/uptime", "99999.5 1.0\n")
        # For each pool a file stands for its mount, so that no root is needed.
        self.fake("mountpoint", '[ -e "$2/.mounted" ]')
        self.fake(
            "systemctl", 'case $1 in is-active) exit 0 ;; list-units) cat "$HOMELAB_ROOT/units" 2>/dev/null ;; esac'
        )
        self.fake("journalctl", "echo the last words")
        self.fake("logger", ":")

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: str) -> Path:
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return target

    def lay(self, file: ManagedFile) -> None:
        self.write(file.path, file.content).chmod(int(file.mode, 8))

    def fake(self, command: str, script: str) -> None:
        path = self.fakes / command
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(
        self, script: str, *arguments: str, stdin: str = "", mounts: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """One of the scripts, with its words and exit code; `mounts` of its own take root, and are for btrfs."""
        return self._ran([f"{self.path(scripts.FOLDER)}/{script}", *arguments], os.environ["PATH"], stdin, mounts)

    def system(self, command: str) -> subprocess.CompletedProcess[str]:
        """What a daemon runs by system(3), where the host's scripts and commands are those in the folder."""
        here = command.replace(scripts.FOLDER, str(self.path(scripts.FOLDER)))
        return self._ran(["sh", "-c", here], f"{self.fakes}:{os.environ['PATH']}")

    def _ran(
        self, command: list[str], path: str, stdin: str = "", mounts: bool = False
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": path,
            "HOMELAB_ROOT": str(self.root),
            "HOMELAB_PATH": str(self.fakes),
            "HOMELAB_ALONE": "" if mounts else "1",
        }
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=120, check=False
        )

    def job(self, name: str, result: str = "ok", good: int | None = None) -> None:
        """A script has written of its last run that it ended so, and when it was last good: a moment ago."""
        good = int(time.time()) if good is None else good
        self.write(f"/var/lib/homelab/status/{name}", f"time=1\nresult={result}\ngood={good}\nmessage=as it went\n")

    def status(self, name: str) -> dict[str, str]:
        """What a script wrote of its last run."""
        lines = self.path(f"/var/lib/homelab/status/{name}").read_text().splitlines()
        return dict(line.partition("=")[::2] for line in lines)


def ran(*command: str | Path) -> str:
    """What a command says; it has to succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def on_btrfs(host: NasHost, image: Path) -> Iterator[None]:
    """The pool `tank` as a real btrfs on a loop device, with a file in `media`; skips where that cannot be."""
    if os.geteuid() != 0 or not shutil.which("mkfs.btrfs") or not Path("/dev/loop-control").exists():
        pytest.skip("a real btrfs takes root, btrfs-progs and loop devices")
    with image.open("wb") as file:
        file.truncate(256 * 2**20)
    ran("mkfs.btrfs", "-q", image)
    tank = host.path("/srv/tank")
    shutil.rmtree(tank)
    tank.mkdir()
    try:
        ran("mount", "-o", "loop", image, tank)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no btrfs on a loop device here: {error.stderr.strip()}")
    try:
        host.write("/srv/tank/.homelab-pool", f"tank {UUID}\n")
        host.write("/srv/tank/.mounted", "")
        ran("btrfs", "subvolume", "create", tank / "media")
        host.write("/srv/tank/media/a", "a")
        yield
    finally:
        ran("umount", tank)
