"""A deploy that has nothing to do: the commands that each host is given, and the time beside ansible-playbook's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from homelab.model import Host
from tests.sandbox.lab import changes, release

from . import playbook
from .figures import Figure, Measured
from .remote import Absent, Bench, Broken, Remote

ROOT = Path(__file__).resolve().parents[2]
# Remote commands for each host; design §10.
BUDGET = 15
_ANSIBLE = ROOT / ".sandbox" / "bench" / "ansible"
# The last line that runs on Python 3.11.
_CORE = "ansible-core~=2.19.0" if sys.version_info < (3, 12) else "ansible-core"


def measure(bench: Bench) -> Measured:
    """Seconds and commands of runs that change nothing; raise Absent when a host is missing, or is nobody's sandbox."""
    hosts = [each for each in bench.home.hosts if not each.away]
    remotes = {host.name: bench.remote(host) for host in hosts}
    version = release().version if bench.home.cluster is not None and bench.home.environment == "sandbox" else ""
    deploys = ("site",) if version else ("base", *(("nas",) if bench.home.nas else ()))
    figures: list[Figure] = []
    remarks: list[str] = []
    for deploy in deploys:
        touched = [each for each in hosts if deploy != "nas" or each.nas]
        # Twice before it counts: what has to be done is done, and then there is nothing.
        _pyinfra(deploy, version)
        if done := _pyinfra(deploy, version)[2]:
            raise Broken(f"{deploy}.py has something to do on its second run: {', '.join(done)}")
        runs = [_pyinfra(deploy, version) for _ in range(bench.rounds)]
        figures.append(Figure(f"{deploy}.py", tuple(run[0] for run in runs), "s", more=False))
        for host in touched:
            counts = tuple(float(len(run[1].get(host.inventory_name, ()))) for run in runs)
            figures.append(Figure(f"{deploy}.py: commands on {host.name}", counts, "", more=False, budget=BUDGET))
            if max(counts) > BUDGET:
                remarks += [f"{host.name}: {_first(each)}" for each in runs[-1][1][host.inventory_name]]
    last = figures[[each.name for each in figures].index(f"{deploys[-1]}.py")]
    try:
        figures.append(_peer(bench, [each for each in hosts if deploys[-1] != "nas" or each.nas], remotes, last))
    except Absent as why:
        remarks.append(f"no peer: {why}")
    return Measured(remotes[touched[-1].name].machine(), tuple(figures), tuple(remarks))


def _pyinfra(deploy: str, version: str) -> tuple[float, Mapping[str, Sequence[str]], Mapping[str, Any]]:
    """One run: seconds, commands by host, and what it changed."""
    ours = ("HOMELAB_K3S_VERSION", "PYINFRA_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environment |= {"PYINFRA_PROGRESS": "off", **({"HOMELAB_K3S_VERSION": version} if version else {})}
    with tempfile.TemporaryDirectory(prefix="homelab-bench-") as folder:
        file = Path(folder) / "commands.json"
        command = [sys.executable, "-m", "tests.bench.counted", str(file), "--json", "-y", "inventory"]
        started = time.monotonic()
        done = subprocess.run(
            [*command, f"deploys/{deploy}.py"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        if done.returncode != 0:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip().splitlines()
            raise Broken(f"{deploy}.py ends with {done.returncode}: {plain[-1].strip() if plain else 'no word'}")
        return seconds, json.loads(file.read_text(encoding="utf-8")), changes(done.stdout)


def _first(command: str) -> str:
    """What tells a command from others, in one short line."""
    words = " ".join(command.split())
    return words if len(words) <= 100 else f"{words[:97]}..."


def _peer(bench: Bench, hosts: Sequence[Host], remotes: Mapping[str, Remote], ours: Figure) -> Figure:
    """ansible-playbook over the same state, with pipelining and one connection a host; raise Absent without it."""
    ansible = _installed()
    made = {host.name: playbook.tasks(host, remotes[host.name].run(playbook.look(bench.home, host))) for host in hosts}
    with tempfile.TemporaryDirectory(prefix="homelab-bench-") as folder:
        (Path(folder) / "play.yml").write_text(playbook.play(made), encoding="utf-8")
        (Path(folder) / "hosts").write_text("".join(f"{name}\n" for name in made), encoding="utf-8")
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": "20",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": folder,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{folder}/cp",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            # The same keys and known hosts as ours, and ControlPersist as it is by default.
            "ANSIBLE_SSH_COMMON_ARGS": f"-F {bench.ssh_config}",
        }
        samples = []
        for number in range(bench.rounds + 1):
            started = time.monotonic()
            done = subprocess.run(
                [str(ansible), "-i", f"{folder}/hosts", f"{folder}/play.yml"],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                said = [line for line in done.stdout.splitlines() if "FAILED" in line or "UNREACHABLE" in line]
                raise Broken(f"ansible-playbook ends with {done.returncode}: {(said or [done.stderr[-200:]])[0]}")
            if number and not _nothing_changed(done.stdout):
                raise Broken("ansible-playbook changes something each time")
            samples.append(time.monotonic() - started)
    count = max(len(tasks) for tasks in made.values())
    # The first run made its connections and whatever it had to change.
    return Figure(f"ansible-playbook, {count} tasks", tuple(samples[1:]), "s", (ours.name,))


def _nothing_changed(recap: str) -> bool:
    # nas : ok=42 changed=0 unreachable=0 failed=0 ...
    return set(re.findall(r"\bchanged=(\d+)", recap)) == {"0"}


def _installed() -> Path:
    """ansible-playbook in a virtual environment of the bench's own; raise Absent when it cannot be had."""
    program = _ANSIBLE / "bin" / "ansible-playbook"
    if program.exists():
        return program
    _ANSIBLE.parent.mkdir(parents=True, exist_ok=True)
    for command in (
        [sys.executable, "-m", "venv", str(_ANSIBLE)],
        [str(_ANSIBLE / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", _CORE],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Absent(f"ansible-core cannot be installed ({said[-1] if said else done.returncode})")
    return program
