"""The hosts that are measured: of the inventory in HOMELAB_ENV, and only such as carry the sandbox's mark."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from homelab.model import Home, Host

from .baseline import Machine

MARK = "/etc/homelab-sandbox"
_ASK = """\
. /etc/os-release
systemd-detect-virt -v; uname -m; nproc; awk '/^MemTotal:/ {printf "%.0f\\n", $2 / 1024}' /proc/meminfo
echo "$PRETTY_NAME"; uname -r"""


class Absent(Exception):
    """What a part measures is not there: it is skipped, and this says why."""


class Broken(Exception):
    """What a part measures is there and did not do what it should."""


def local_machine() -> Machine:
    """The machine that this runs on itself."""
    return _machine(subprocess.run(["sh", "-c", _ASK], capture_output=True, text=True, check=True).stdout)


def _machine(told: str) -> Machine:
    virtual, architecture, processors, memory, system, kernel = told.splitlines()
    return Machine(virtual, architecture, int(processors), int(memory), system, kernel)


@dataclass(frozen=True)
class Bench:
    """What every part is given. `size` in MiB is how much is written and read at a time, `rounds` how often."""

    home: Home
    ssh_config: Path
    size: int = 64
    rounds: int = 3

    def remote(self, host: Host) -> Remote:
        """A host that may be measured; raise Absent when it does not answer or is nobody's sandbox."""
        remote = Remote(host, self.ssh_config)
        remote.prove()
        return remote


@dataclass(frozen=True)
class Remote:
    """One host, where commands run as root."""

    host: Host
    ssh_config: Path

    def run(self, script: str, *, stdin: str = "", timeout: float = 1200) -> str:
        """What a script prints; raise Broken with its last words when it fails."""
        done = self._ssh(script, stdin, timeout)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
            # What mount.cifs says last is where to read on.
            raise Broken(f"{self.host.name}: {next((line for line in said if 'error' in line.lower()), said[-1])}")
        return done.stdout

    def prove(self) -> None:
        """Raise Absent unless the host answers and carries the sandbox's mark."""
        try:
            done = self._ssh(f"[ -f {MARK} ] && echo marked || echo bare", "", 180)
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess([], 255, "", "no answer in time")
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            raise Absent(f"{self.host.name} cannot be reached ({said}); `make sandbox` boots it")
        if done.stdout.strip() != "marked":
            raise Absent(f"{self.host.name} does not carry {MARK}; only simulated hosts are measured")

    def machine(self) -> Machine:
        """What it is measured on."""
        return _machine(self.run(_ASK))

    @contextmanager
    def packages(self, *wanted: str) -> Iterator[None]:
        """Debian's packages for as long as they are needed; those that were there before stay."""
        listed = self.run(f"dpkg-query -W -f '${{Package}} ${{db:Status-Status}}\\n' {' '.join(wanted)} 2>/dev/null; :")
        missing = [each for each in wanted if f"{each} installed" not in listed.splitlines()]
        apt = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
        if missing:
            self.run(f"({apt} update && {apt} install --no-install-recommends {' '.join(missing)}) </dev/null >&2")
        try:
            yield
        finally:
            if missing:
                self.run(f"{apt} purge --auto-remove {' '.join(missing)} </dev/null >&2")

    def _ssh(self, script: str, stdin: str, timeout: float) -> subprocess.CompletedProcess[str]:
        # The script is an argument and not standard input, which a command in it may want to read.
        quoted = "'" + script.replace("'", "'\\''") + "'"
        command = ["ssh", "-F", str(self.ssh_config), "-o", "ConnectTimeout=60", self.host.name, f"sudo sh -c {quoted}"]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
