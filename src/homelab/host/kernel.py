"""Kernel modules and settings that a node of the cluster needs."""

from __future__ import annotations

from collections.abc import Mapping

from homelab.files import ManagedFile
from homelab.model import Home, Host
from homelab.probe import HostProbe

MODULES = "/etc/modules-load.d/homelab.conf"
SYSCTLS = "/etc/sysctl.d/90-homelab.conf"

# A file watcher for each of some dozens of pods; Debian's 128 instances are used up by a dozen of them.
_AT_LEAST = {"fs.inotify.max_user_instances": 1024, "fs.inotify.max_user_watches": 524288}
# What the kubelet demands when told `protect-kernel-defaults: true`; it ends at once otherwise.
_PROTECTED = {
    "vm.panic_on_oom": "0",
    "vm.overcommit_memory": "1",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
}


def modules(host: Host) -> tuple[str, ...]:
    # vxlan: flannel's own way between nodes. K3s loads it by itself, but Ubuntu 22.04 for the Raspberry Pi has it in a
    # package apart, and without it a node ends with "operation not supported".
    return ("overlay", "br_netfilter", "vxlan") if host.role else ()


def modules_file(host: Host, probe: HostProbe) -> ManagedFile:
    """What systemd loads at boot; a module that this kernel does not have would only fail there."""
    names = [name for name in modules(host) if name not in probe.missing_modules]
    return ManagedFile(MODULES, "".join(f"{name}\n" for name in ("# homelab: for K3s", *names)))


def sysctls(home: Home, host: Host, probe: HostProbe) -> Mapping[str, str]:
    """The settings this host should have and can be given. In a container only those of its own network."""
    wanted = _asked(home, host, probe.addresses.get(host.address))
    for key, least in _AT_LEAST.items():
        live = probe.sysctls.get(key, "")
        if key in wanted and live.isdigit():
            # Somebody's larger limit is not lowered.
            wanted[key] = str(max(least, int(live)))
    if "br_netfilter" in probe.missing_modules:
        wanted = {key: value for key, value in wanted.items() if not key.startswith("net.bridge.")}
    if probe.container != "none":
        wanted = {key: value for key, value in wanted.items() if key.startswith("net.") and key in probe.sysctls}
    return wanted


def unset_sysctls(home: Home, host: Host, probe: HostProbe) -> Mapping[str, str]:
    """Settings of a container's machine that are not as its node needs them, with what they are."""
    if probe.container == "none":
        return {}
    asked = _asked(home, host, probe.addresses.get(host.address))
    return {
        f"{key}={value}": live
        for key, value in asked.items()
        if not key.startswith("net.") and (live := probe.sysctls.get(key, "missing")) != value
        if not (key in _AT_LEAST and live.isdigit() and int(live) >= _AT_LEAST[key])
    }


def questions(home: Home, host: Host) -> tuple[str, ...]:
    return tuple(_asked(home, host, host.interface))


def sysctl_file(wanted: Mapping[str, str]) -> ManagedFile:
    return ManagedFile(SYSCTLS, "# homelab: for K3s\n" + "".join(f"{key} = {value}\n" for key, value in wanted.items()))


def _asked(home: Home, host: Host, interface: str | None) -> dict[str, str]:
    if not host.role or home.cluster is None:
        return {}
    wanted = {
        "net.ipv4.ip_forward": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
        "net.bridge.bridge-nf-call-ip6tables": "1",
        **{key: str(least) for key, least in _AT_LEAST.items()},
    }
    if any(network.version == 6 for network in home.cluster.cluster_cidr):
        wanted["net.ipv6.conf.all.forwarding"] = "1"
        if interface and "." not in interface:
            # A host that forwards ignores router advertisements unless told otherwise, and loses its default route.
            wanted[f"net.ipv6.conf.{interface}.accept_ra"] = "2"
    shared, own = home.cluster.server_config, host.server_config
    if host.role == "agent":
        shared, own = home.cluster.agent_config, host.agent_config
    if {**shared, **own}.get("protect-kernel-defaults") is True:
        wanted |= _PROTECTED
    return wanted


def drift(wanted: Mapping[str, str], probe: HostProbe) -> Mapping[str, str]:
    """The settings that the running kernel has otherwise. One it lacks comes with its module, at its own default."""
    return {key: value for key, value in wanted.items() if probe.sysctls.get(key, value) != value}
