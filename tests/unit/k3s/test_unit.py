"""The unit and the scripts beside it: sound for sh, and carried out in a folder of this machine."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from homelab.files import ManagedFile
from homelab.k3s import paths, plan, unit
from homelab.probe import Questions, parse, script

ROLES = ("server", "agent")
SCRIPTS = [
    pytest.param(each, id=f"{each.path}-{role}")
    for role in ROLES
    for each in (unit.prestart(role), unit.killall(), unit.uninstall(role))
]


class Host:
    """A host's root in a folder: scripts run with every path of theirs moved below it."""

    def __init__(self, root: Path):
        self.root = root
        self.bin = root / "stubs"
        self.bin.mkdir()

    def path(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def lay(self, path: str, text: str) -> Path:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def stub(self, name: str, body: str = "exit 0") -> None:
        """A command that this host has instead of the machine's own; it notes how it was called."""
        file = self.bin / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.root}/calls\n{body}\n', encoding="utf-8")
        file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def moved(self, text: str) -> str:
        return re.sub(r"(?<![\w.])/(usr/local|etc|run|var)/", rf"{self.root}/\1/", text)

    def run(self, text: str, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", self.moved(text), "script", *arguments],
            env={**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Host:
    return Host(tmp_path)


# Their text
#


@pytest.mark.parametrize("file", SCRIPTS)
def test_scripts_are_sound_for_sh_and_fully_filled_in(file: ManagedFile) -> None:
    done = subprocess.run(["sh", "-n"], input=file.content, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "%(" not in file.content
    assert not re.search(r"(?<!\$)\{[a-z_]+\}", file.content)
    assert (file.mode, file.owner) == ("0755", "root:root")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("file", SCRIPTS)
def test_scripts_pass_shellcheck(file: ManagedFile) -> None:
    done = subprocess.run(
        ["shellcheck", "-S", "warning", "-e", "SC2174", "-"],
        input=file.content,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


@pytest.mark.parametrize("role", ROLES)
def test_the_unit_is_upstreams_in_what_matters(role: str) -> None:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[method-assign, assignment]
    file = unit.unit(role)
    parsed.read_string(file.content)
    service = dict(parsed["Service"])
    assert (service["Type"], service["KillMode"], service["TimeoutStartSec"]) == ("notify", "process", "0")
    assert (service["Restart"], service["Delegate"]) == ("always", "yes")
    assert service["ExecStart"] == f"/usr/local/bin/k3s {role}"
    assert f"ExecStartPre={paths.PRESTART} {role}\n" in file.content
    assert file.path == f"/etc/systemd/system/{'k3s' if role == 'server' else 'k3s-agent'}.service"
    assert "token" not in file.content.lower()


def test_a_unit_of_ours_is_known_as_ours() -> None:
    assert all(unit.unit(role).content.startswith("# Written by homelab") for role in ROLES)


# Before the start
#


@pytest.mark.parametrize("role", ROLES)
def test_what_a_start_notes_is_what_the_probe_reads_and_the_plan_compares(machine: Host, role: str) -> None:
    wanted = {}
    for path in (paths.BINARY, paths.unit_file(role), paths.CONFIG):
        file = ManagedFile(path, f"the content of {path}\n")
        machine.lay(path, file.content)
        wanted[path] = file.sha256
    assert machine.run(unit.prestart(role).content, role).returncode == 0
    asked = subprocess.run(
        ["sh", "-c", machine.moved(script(Questions()))], capture_output=True, text=True, check=False
    )
    found = parse(line.replace(str(machine.root), "") for line in asked.stdout.splitlines())
    assert found.k3s_started == wanted
    assert plan.drift(found, wanted) == []
    registries = ManagedFile(paths.REGISTRIES, "mirrors: {}\n")
    assert plan.drift(found, {**wanted, paths.REGISTRIES: registries.sha256}) == [paths.REGISTRIES]
    assert plan.drift(found, {**wanted, paths.CONFIG: "0" * 64}) == [paths.CONFIG]
    assert plan.drift(found, {path: each for path, each in wanted.items() if path != paths.CONFIG}) == [paths.CONFIG]


def test_each_start_replaces_what_the_last_one_noted(machine: Host) -> None:
    machine.lay(paths.CONFIG, "one\n")
    machine.run(unit.prestart("server").content, "server")
    machine.lay(paths.CONFIG, "two\n")
    machine.run(unit.prestart("server").content, "server")
    noted = machine.path(paths.STARTED).read_text(encoding="utf-8").split()
    assert noted == [ManagedFile(paths.CONFIG, "two\n").sha256, str(machine.path(paths.CONFIG))]


def test_a_server_whose_data_is_gone_does_not_start_as_if_it_were_new(machine: Host) -> None:
    machine.lay(paths.ESTABLISHED, unit.established().content)
    done = machine.run(unit.prestart("server").content, "server")
    assert done.returncode != 0
    assert "not starting" in done.stderr
    assert not machine.path(paths.STARTED).exists()


def test_a_server_with_its_data_starts(machine: Host) -> None:
    machine.lay(paths.ESTABLISHED, unit.established().content)
    machine.path(f"{paths.DATA}/server/db/etcd/member").mkdir(parents=True)
    assert machine.run(unit.prestart("server").content, "server").returncode == 0


def test_an_agent_does_not_mind_the_mark(machine: Host) -> None:
    machine.lay(paths.ESTABLISHED, unit.established().content)
    assert machine.run(unit.prestart("agent").content, "agent").returncode == 0


# Taking K3s away
#


def laid_node(machine: Host, role: str, mounts: str = "") -> None:
    """A node with its files, a killall that says so, and what the kernel would say is mounted."""
    for path in (
        paths.BINARY,
        paths.PREVIOUS,
        paths.PRESTART,
        paths.unit_file(role),
        paths.CONFIG,
        paths.TOKEN,
        paths.ESTABLISHED,
        "/etc/rancher/node/password",
        f"{paths.DATA}/server/db/state.db",
        f"{paths.DATA}/agent/x",
        "/var/lib/kubelet/pods/x",
        paths.STARTED,
    ):
        machine.lay(path, "x\n")
    machine.lay("/proc-mountinfo", machine.moved(mounts))
    killall = machine.lay(paths.KILLALL, f"#!/bin/sh\necho killall >>{machine.root}/calls\n")
    killall.chmod(0o755)
    for link in paths.LINKS:
        machine.path(f"/usr/local/bin/{link}").symlink_to("k3s")
    for command in ("systemctl", "sudo"):
        machine.stub(command)
    machine.stub("id", "echo 0")


def uninstalled(machine: Host, role: str) -> subprocess.CompletedProcess[str]:
    text = unit.uninstall(role).content.replace("/proc/self/mountinfo", f"{machine.root}/proc-mountinfo")
    text = text.replace('"$0"', "")
    # It removes things and runs for real: it may name no place outside.
    for path in re.findall(r"(?<![\w.}\])*/])/[a-z][\w./-]*", machine.moved(text)):
        assert path.startswith((f"{machine.root}/", "/bin/sh", "/dev/null")), path
    return machine.run(text)


def left(machine: Host) -> set[str]:
    return {
        f"/{each.relative_to(machine.root)}"
        for each in machine.root.rglob("*")
        if (each.is_file() or each.is_symlink()) and each.parent != machine.bin and each.name != "calls"
    } - {"/proc-mountinfo"}


@pytest.mark.parametrize("role", ROLES)
def test_uninstall_stops_k3s_first_and_leaves_nothing_of_it(machine: Host, role: str) -> None:
    laid_node(machine, role)
    machine.lay("/etc/hosts", "theirs\n")
    machine.lay("/var/lib/photos/1.jpg", "theirs\n")
    machine.lay("/usr/local/bin/other", "theirs\n")
    done = uninstalled(machine, role)
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.calls[1] == "killall"
    assert left(machine) == {"/etc/hosts", "/var/lib/photos/1.jpg", "/usr/local/bin/other"}


def test_uninstall_keeps_volumes(machine: Host) -> None:
    laid_node(machine, "server")
    volume = f"{paths.DATA}/storage/pvc-1_photos/1.jpg"
    machine.lay(volume, "theirs\n")
    done = uninstalled(machine, "server")
    assert done.returncode == 0
    assert "kept" in done.stderr
    assert left(machine) == {volume}


def test_uninstall_removes_nothing_while_something_is_mounted_there(machine: Host) -> None:
    share = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~nfs/photos"
    laid_node(machine, "server", f"36 25 0:45 / {share} rw,relatime - nfs4 nas:/photos rw\n")
    machine.lay(f"{share}/1.jpg", "theirs\n")
    before = left(machine)
    done = uninstalled(machine, "server")
    assert done.returncode != 0
    assert f"{machine.root}{share}" in done.stderr
    assert left(machine) == before


@pytest.mark.parametrize("mounted", [paths.DATA, f"{paths.DATA}/storage", "/srv/photos", "/"])
def test_uninstall_minds_no_mount_that_it_does_not_empty(machine: Host, mounted: str) -> None:
    laid_node(machine, "server", f"36 25 8:1 / {mounted} rw,relatime - ext4 /dev/sdb1 rw\n")
    assert uninstalled(machine, "server").returncode == 0


def test_uninstall_removes_nothing_when_k3s_could_not_be_stopped(machine: Host) -> None:
    laid_node(machine, "server")
    machine.path(paths.KILLALL).unlink()
    before = left(machine)
    assert uninstalled(machine, "server").returncode != 0
    assert left(machine) == before


def test_uninstall_leaves_a_kubectl_that_is_not_k3s(machine: Host) -> None:
    laid_node(machine, "server")
    theirs = machine.path("/usr/local/bin/kubectl")
    theirs.unlink()
    theirs.write_text("theirs\n", encoding="utf-8")
    assert uninstalled(machine, "server").returncode == 0
    assert left(machine) == {"/usr/local/bin/kubectl"}
