"""The sandbox as its tests use it: deploy, look at hosts, and which K3s there is to deploy."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homelab.k3s import artifacts
from homelab.settings import Settings

from .hosts import ROOT

SANDBOX = ROOT / ".sandbox"
LOGS = SANDBOX / "log"
KUBECONFIG = SANDBOX / "kubeconfig"
BIN = ROOT / ".venv" / "bin"


@dataclass(frozen=True)
class Release:
    """The K3s of this sandbox; `version` is "" when none can be had, and `why` says how it was chosen or why not."""

    version: str
    why: str


def release() -> Release:
    """HOMELAB_K3S_VERSION, else the inventory's version if it is cached or to be had, else the newest one cached."""
    settings = Settings.read()
    if settings.k3s_version:
        return Release(settings.k3s_version, "HOMELAB_K3S_VERSION")
    text = (ROOT / "inventory" / "group_data" / "all.py").read_text(encoding="utf-8")
    found = re.search(r'^k3s_version = "(.+)"', text, re.MULTILINE)
    assert found
    wanted, arch = found[1], {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    asset = artifacts.binary(arch)
    if (settings.artifacts / wanted / asset).is_file():
        return Release(wanted, "the inventory's version, from the artifact cache")
    try:
        with urllib.request.urlopen(artifacts.asset_url(wanted, artifacts.sums_asset(arch)), timeout=10):
            return Release(wanted, "the inventory's version, from upstream")
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
    cached = [path.parent.name for path in settings.artifacts.glob(f"v*/{asset}")]
    if cached:
        newest = max(cached, key=lambda version: [int(each) for each in re.findall(r"\d+", version)])
        return Release(newest, f"the newest in the artifact cache; {wanted} is not there and not to be had ({reason})")
    return Release("", f"no K3s binary: {wanted} is not in the artifact cache and not to be had ({reason})")


def environment(size: str, version: str = "") -> dict[str, str]:
    """The environment of everything that touches the sandbox: never another inventory, never the user's kubeconfig."""
    ours = ("HOMELAB_", "PYINFRA_", "KUBECONFIG")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    chosen = {"HOMELAB_K3S_VERSION": version} if version else {}
    return {**kept, **chosen, "HOMELAB_ENV": "sandbox", "SANDBOX": size, "PYINFRA_PROGRESS": "off"}


@dataclass(frozen=True)
class Deployed:
    """One pyinfra run: its exit code, all it said, and which operations changed something on which hosts."""

    code: int
    said: str
    changes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def reasons(self) -> list[str]:
        """The lines in which the run says why it did not do what was asked."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.said)
        return [line.partition("--> ")[2] for line in plain.splitlines() if re.search(r"--> (refused|stopped):", line)]


@dataclass(frozen=True)
class Lab:
    """One sandbox set with the K3s that it runs ("" for none)."""

    size: str
    version: str

    def pyinfra(self, *arguments: str, env: dict[str, str] | None = None, timeout: float = 3600) -> Deployed:
        """Run pyinfra on the sandbox as a user would, and read what changed from its JSON."""
        command = [str(BIN / "pyinfra"), "--json", *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**environment(self.size, self.version), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Deployed(done.returncode, done.stderr, changes(done.stdout))

    def deploy(self, deploy: str = "site", *options: str, inventory: str = "inventory", **env: str) -> Deployed:
        """`pyinfra -y inventory deploys/<deploy>.py`."""
        return self.pyinfra("-y", *options, inventory, f"deploys/{deploy}.py", env=env)

    def plan(self, deploy: str = "site", inventory: str = "inventory") -> Deployed:
        """`homelab plan <deploy>` in the folder of the inventory; its changes are those that a deploy would make."""
        done = subprocess.run(
            [str(BIN / "homelab"), "plan", deploy, "--format", "json"],
            cwd=(ROOT / inventory).parent,
            env=environment(self.size, self.version),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        told: dict[str, Any] = json.loads(done.stdout) if done.returncode in (0, 2) else {"changes": []}
        named = _named((each["name"], each["hosts"]) for each in told["changes"])
        return Deployed(done.returncode, done.stdout + done.stderr, named)

    def start_deploy(self, log: Path, deploy: str = "k3s", inventory: str = "inventory") -> subprocess.Popen[bytes]:
        """The same in the background, for tests that end it or look on."""
        command = [str(BIN / "pyinfra"), "-y", inventory, f"deploys/{deploy}.py"]
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(self.size, self.version),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def ssh(self, host: str, command: str, check: bool = True, timeout: float = 120) -> str:
        """What a command prints as root on a host of the sandbox; the host must carry the sandbox's mark."""
        marked = f"test -f /etc/homelab-sandbox && sudo sh -c {shlex.quote(command)}"
        done = subprocess.run(
            ["ssh", "-F", str(SANDBOX / "ssh_config"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", host, marked],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{host}: {command[:200]}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def wipe(self, host: str) -> None:
        """Take K3s off a host as if its disk were new; of a half-made one whatever is there."""
        self.ssh(
            host,
            "for script in /usr/local/bin/k3s-uninstall.sh /usr/local/bin/k3s-agent-uninstall.sh; do"
            ' [ -x "$script" ] && "$script" >/dev/null 2>&1; done;'
            " rm -rf /etc/rancher /var/lib/rancher /usr/local/bin/k3s* /usr/local/bin/.k3s* /run/homelab/k3s*"
            " /etc/systemd/system/k3s*.service; systemctl daemon-reload; true",
        )

    def inventory(
        self, case: str, append: dict[str, str] | None = None, hosts: dict[str, dict[str, object]] | None = None
    ) -> str:
        """A copy of the sandbox's inventory with lines appended to some files and host data changed; gives its folder.

        It lies under `.sandbox`, with links that make its folder one where a person can work: with the same keys,
        kubeconfig, charts and deploys.
        """
        folder = SANDBOX / "cases" / case / "inventory"
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(ROOT / "inventory", folder, ignore=shutil.ignore_patterns("home.py", "__pycache__"))
        (folder.parent / ".sandbox").symlink_to(SANDBOX)
        for name in ("charts", "config.py", "deploys"):
            (folder.parent / name).symlink_to(ROOT / name)
        for name, lines in (append or {}).items():
            with (folder / name).open("a", encoding="utf-8") as file:
                file.write(f"\n{lines}\n")
        if hosts:
            with (folder / "sandbox.py").open("a", encoding="utf-8") as file:
                file.write(
                    f"\nfor _name, _more in {hosts!r}.items():\n"
                    "    for _host in (*k3s_servers, *k3s_agents, *nas):\n"
                    "        if _host[0] == _name:\n"
                    "            _host[1].update(_more)\n"
                )
        return str(folder)

    def starts(self, hosts: list[str]) -> dict[str, str]:
        """When each host's K3s process started, and its process id: equal before and after means no restart."""
        show = "systemctl show k3s k3s-agent -p MainPID,ExecMainStartTimestampMonotonic,NRestarts"
        return {host: self.ssh(host, show) for host in hosts}


def changes(output: str) -> dict[str, list[str]]:
    """From pyinfra's JSON: the hosts that each operation changed. Empty when there are no results, a refused run's."""
    if not output.strip():
        return {}
    results: Any = json.loads(output).get("results") or {}
    return _named((each["name"], each["success"]) for each in results.get("operations", ()) if each["success"])


def _named(operations: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Hosts by operation; one that a deploy has in several places, for hosts that take different ways, is one."""
    found: dict[str, list[str]] = {}
    for name, hosts in operations:
        found[name] = sorted({*found.get(name, ()), *hosts})
    return found


def main() -> None:
    """Say which K3s this machine's sandbox would get."""
    chosen = release()
    print(chosen.version or "none", "-", chosen.why, file=sys.stdout)  # noqa: T201


if __name__ == "__main__":
    main()
