"""Boxes built from this machine's own distribution: made once, known to Vagrant by the hash of their recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from . import libvirt
from .progress import step
from .system import end, run, run_remembered

_HERE = Path(__file__).resolve().parent
_SCRIPT = _HERE / "build-box"
_PROVIDER = {"lxc": "lxc", "vm": "libvirt"}


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "homelab" / "boxes"


def recipe(kind: str, inputs: str) -> str:
    """A short hash of everything that a box of that kind is made from."""
    digest = hashlib.sha256(inputs.encode())
    digest.update(_SCRIPT.read_bytes())
    folders = ["common"] if kind == "base" else ["common", kind]
    if kind == "lxc":
        digest.update((_HERE / "box" / "lxc-template").read_bytes())
    for folder in folders:
        for path in sorted((_HERE / "box" / folder).rglob("*")):
            if path.is_symlink():
                digest.update(f"{path.relative_to(_HERE)} -> {path.readlink()}\0".encode())
            elif path.is_file():
                digest.update(f"{path.relative_to(_HERE)} {path.stat().st_mode & 0o111:o}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _known(box: str, kind: str) -> bool:
    home = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    return (home / "boxes" / box / "0" / _PROVIDER[kind] / "metadata.json").exists()


def _stale(box: str, kind: str) -> list[str]:
    home = Path(os.environ.get("VAGRANT_HOME") or Path.home() / ".vagrant.d")
    found = sorted((home / "boxes").glob(f"homelab-{kind}-*"), key=lambda path: path.stat().st_mtime)
    # One older one stays, for a clone at another commit.
    return [path.name for path in found if path.name != box][:-1]


def ensure(kinds: set[str], logs: Path) -> dict[str, str]:
    """The name of a box for each kind, built and added to Vagrant first where it is not there yet."""
    inputs = run([str(_SCRIPT), "inputs"]).stdout
    names = {kind: f"homelab-{kind}-{recipe(kind, inputs)}" for kind in kinds}
    missing = sorted(kind for kind in kinds if not _known(names[kind], kind))
    if not missing:
        return names

    directory = cache()
    directory.mkdir(parents=True, exist_ok=True)
    # Two clones may want the same box at the same time.
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in [*directory.glob("building-*"), *directory.glob("*.part")]:
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()
        base = directory / f"base-{recipe('base', inputs)}.tar"
        if not base.exists():
            with step("download and unpack a minimal system for the boxes"):
                _build("base", [base], logs)
            for old in directory.glob("base-*.tar"):
                if old != base:
                    old.unlink()
        for kind in missing:
            if _known(names[kind], kind):
                continue
            box = directory / f"{names[kind]}.box"
            with step(f"build the box {names[kind]}"):
                _build(kind, [base, box], logs)
            with step(f"add {names[kind]} to Vagrant"):
                vagrant(["box", "add", "--name", names[kind], str(box)], logs / f"box-add-{kind}.log")
            box.unlink()
            for stale in _stale(names[kind], kind):
                vagrant(["box", "remove", "--force", "--all", stale], logs / "box-remove.log", check=False)
                if kind == "vm":
                    for volume in libvirt.volumes():
                        if volume.startswith(f"{stale}_vagrant_box_image_"):
                            libvirt.virsh("vol-delete", volume, "--pool", "default")
    return names


def _build(kind: str, arguments: list[Path], logs: Path) -> None:
    log = logs / f"build-{kind}.log"
    command = [str(_SCRIPT), kind, *map(str, arguments)]
    run_remembered(command, log.with_suffix(".process"), check=True, timeout=3600, log=log, env={})


def vagrant(arguments: list[str], log: Path, *, check: bool = True, timeout: float = 3600) -> None:
    """Run Vagrant on the sandbox's Vagrantfile."""
    run_remembered(
        ["vagrant", *arguments, "--no-color"] if arguments[0] != "ssh" else ["vagrant", *arguments],
        log.with_suffix(".process"),
        check=check,
        timeout=timeout,
        log=log,
        # No question to Vagrant's makers whether there is something newer: it waits for an answer where none can come.
        env={"VAGRANT_CHECKPOINT_DISABLE": "1"},
    )


def end_interrupted(logs: Path) -> None:
    """A Vagrant or a build that goes on after its `up` was killed would work against the next one."""
    for record in logs.glob("*.process"):
        end(record, group=True)
