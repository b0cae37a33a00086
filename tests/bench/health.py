"""`homelab health` beside what else reads a cluster: processor time and memory of whole processes, on one API.

The API is simulated on the loopback; what it is asked and how it answers is not the clients' time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from .figures import Figure, Measured
from .remote import Bench, Broken, local_machine

ROOT = Path(__file__).resolve().parents[2]
# Processor seconds and MB that health may take with so many pods; design §10.
BUDGETS = {300: (0.5, 60.0), 5_000: (1.0, 100.0), 20_000: (None, None)}
# What a process took is asked of a parent that is small itself: a child's peak begins with its parent's.
_METER = """\
import json, os, sys
away = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=away)
_, status, used = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""
_TYPED = """\
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
assert len(client.CoreV1Api().list_pod_for_all_namespaces().items) == int(sys.argv[2])
"""


@dataclass(frozen=True)
class Took:
    """What one process took: processor seconds and, at its peak, MB of memory."""

    seconds: float
    memory: float


def measure(bench: Bench) -> Measured:
    """Processor time and memory at each size; raise Broken when one of the clients fails."""
    figures: list[Figure] = []
    remarks = ["cold processes; of the peers, each reads the pods alone, while health reads every kind that it judges"]
    if shutil.which("kubectl") is None:
        remarks.append("no peers kubectl: there is none on this machine")
    for pods, (seconds, memory) in BUDGETS.items():
        with _serving(pods) as kubeconfig:
            peers = _peers(kubeconfig, pods)
            took: dict[str, list[Took]] = {name: [] for name in peers}
            for _ in range(bench.rounds):
                for name, command in peers.items():
                    took[name].append(meter(command))
        figures += _figures(pods, took, seconds, memory)
    return Measured(local_machine(), tuple(figures), tuple(remarks))


def _figures(
    pods: int, took: Mapping[str, Sequence[Took]], seconds: float | None, memory: float | None
) -> Iterator[Figure]:
    for name, runs in took.items():
        ours = name == "homelab health"
        cpu, peak = tuple(each.seconds for each in runs), tuple(each.memory for each in runs)
        of = (lambda what: (f"{pods} pods, {what}: typed client",)) if ours else (lambda what: ())
        yield Figure(f"{pods} pods, CPU: {name}", cpu, "s", of("CPU"), more=False, budget=seconds if ours else None)
        yield Figure(
            f"{pods} pods, memory: {name}", peak, "MB", of("memory"), more=False, budget=memory if ours else None
        )


def _peers(kubeconfig: Path, pods: int) -> dict[str, list[str]]:
    homelab, kubectl = str(Path(sys.executable).with_name("homelab")), shutil.which("kubectl")
    found = {
        "homelab health": [homelab, "health", "--kubeconfig", str(kubeconfig), "--timeout", "300"],
        "typed client": [sys.executable, "-c", _TYPED, str(kubeconfig), str(pods)],
    }
    if kubectl:
        get = [kubectl, "--kubeconfig", str(kubeconfig), "get", "pods", "-A"]
        found |= {"kubectl get -o json": [*get, "-o", "json"], "kubectl get": get}
    return found


def meter(command: Sequence[str]) -> Took:
    """What a command took; raise Broken unless it ends with 0."""
    # What is installed has its bytecode, and which inventory is measured is for the other parts.
    own = ("PYTHONDONTWRITEBYTECODE", "HOMELAB_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    with tempfile.TemporaryDirectory(prefix="homelab-") as home:
        # kubectl keeps what it learnt in the home folder, and each run is to be a first one.
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _METER, *command],
            cwd=home,
            env={**environment, "HOME": home},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    try:
        code, seconds, memory = json.loads(done.stdout)
    except ValueError as error:
        raise Broken(f"{command[0]}: cannot be measured: {done.stderr.strip()[-300:]}") from error
    if code != 0:
        raise Broken(f"{' '.join(command[:2])}: exit {code}: {done.stderr.strip()[-300:]}")
    return Took(seconds, memory)


@contextmanager
def _serving(pods: int) -> Iterator[Path]:
    """The API of a cluster of so many pods, in a process of its own; gives a kubeconfig for it."""
    with (
        tempfile.TemporaryDirectory(prefix="homelab-") as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.big_cluster", str(pods)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as server,
    ):
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split(" ")[0].strip()
            if not url:
                raise Broken("the simulated API did not start")
            path = Path(folder) / "kubeconfig"
            path.write_text(yaml.safe_dump(_kubeconfig(url)), encoding="utf-8")
            yield path
        finally:
            server.terminate()


def _kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "big", "cluster": {"server": url}}],
        "users": [{"name": "big", "user": {}}],
        "contexts": [{"name": "big", "context": {"cluster": "big", "user": "big"}}],
        "current-context": "big",
    }
