"""Which hosts there are and how each is run here; decides, touches nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "10.17.77.0/24"
GATEWAY = "10.17.77.1"
BRIDGE = "homelab0"
PROVIDERS = ("libvirt", "virtualbox", "lxc")

# { name: "s1",  address: "10.17.77.11", group: "k3s_servers", kernel: "any", memory: 2048, disks: 0 },
_HOST = re.compile(
    r'^\s*\{ name: "(?P<name>[a-z0-9-]+)",\s+address: "(?P<address>[0-9.]+)", group: "(?P<group>[a-z0-9_]+)",'
    r'\s+kernel: "(?P<kernel>any|own)",\s+memory: (?P<memory>\d+), disks: (?P<disks>\d+) \},$',
    re.MULTILINE,
)
#   "small" => %w[s1 a1 nas],
_SET = re.compile(r'^\s*"(?P<name>[a-z]+)"\s*=> %w\[(?P<hosts>[a-z0-9 -]+)\],$', re.MULTILINE)


class Refused(Exception):
    """The sandbox cannot or must not be made here; the message is one line that says what to do instead."""


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    group: str
    own_kernel: bool
    memory: int
    disks: int

    @property
    def machine(self) -> str:
        """What the container or domain is called on this machine."""
        return f"homelab-{self.name}"

    @property
    def mac(self) -> str:
        return f"52:54:00:17:77:{int(self.address.rsplit('.', 1)[1]):02x}"


@dataclass(frozen=True)
class Placed:
    """A host and how it is run here."""

    host: Host
    provider: str
    emulated: bool = False

    @property
    def built(self) -> bool:
        """It runs from a box of our own; otherwise from a public one."""
        return self.provider == "lxc" or self.emulated

    @property
    def kind(self) -> str:
        return "lxc" if self.provider == "lxc" else "vm"


def read_table(vagrantfile: str) -> tuple[dict[str, Host], dict[str, tuple[str, ...]]]:
    """The hosts and the sets of them that the Vagrantfile's text describes."""
    hosts = {
        row["name"]: Host(
            row["name"],
            row["address"],
            row["group"],
            row["kernel"] == "own",
            int(row["memory"]),
            int(row["disks"]),
        )
        for row in _HOST.finditer(vagrantfile)
    }
    sets = {row["name"]: tuple(row["hosts"].split()) for row in _SET.finditer(vagrantfile)}
    return hosts, sets


def table() -> tuple[dict[str, Host], dict[str, tuple[str, ...]]]:
    """The hosts and the sets of them that there are."""
    return read_table((ROOT / "Vagrantfile").read_text())


def chosen_set(env: Mapping[str, str]) -> str:
    """The name in SANDBOX, `small` unless it is given; raise Refused when there is no such set."""
    chosen = env.get("SANDBOX") or "small"
    _, sets = table()
    if chosen not in sets:
        raise Refused(f"SANDBOX={chosen}: no such set; write one of {', '.join(sets)}")
    return chosen


def choose(
    names: tuple[str, ...],
    hosts: Mapping[str, Host],
    env: Mapping[str, str],
    cpuinfo: str,
    kvm_device: bool,
) -> list[Placed]:
    """Place every host: hardware-virtualised where that works, else containers and emulation where allowed.

    Raise Refused when this machine could only use containers and nobody asked for them.
    """
    asked = env.get("SANDBOX_PROVIDER", "")
    if asked and asked not in PROVIDERS:
        raise Refused(f"SANDBOX_PROVIDER={asked}: no such provider; write one of {', '.join(PROVIDERS)}")
    # The device alone proves nothing: where the processor's flag is missing, a guest hangs in its first instructions.
    virtualised = kvm_device and re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE) is not None
    if asked == "virtualbox":
        return [Placed(hosts[name], "virtualbox") for name in names]
    if asked == "libvirt" or (virtualised and asked != "lxc"):
        return [Placed(hosts[name], "libvirt", emulated=not virtualised) for name in names]
    if asked != "lxc" and env.get("CI") != "true":
        raise Refused(
            "this machine has no hardware virtualisation (KVM); write SANDBOX_PROVIDER=lxc for system containers,"
            " which are root on this machine, or SANDBOX_PROVIDER=virtualbox"
        )
    return [
        Placed(hosts[name], "libvirt", emulated=not virtualised)
        if hosts[name].own_kernel
        else Placed(hosts[name], "lxc")
        for name in names
    ]
