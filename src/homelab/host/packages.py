"""The Debian packages of a host."""

from __future__ import annotations

from collections.abc import Mapping

from homelab.host import clock
from homelab.model import Home, Host
from homelab.probe import HostProbe

# K3s brings its own containerd, iptables and CNI; it wants certificates for registries, and modprobe and mount helpers.
# Its containerd starts no pod where the kernel has AppArmor and this program is missing (seen with v1.21; newer ones
# leave pods unconfined): minimal installations lack it, as the kernel only recommends it.
_APPARMOR = "apparmor"
APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
_EVERYWHERE = ("ca-certificates", "iproute2", "kmod", "procps")


def wanted(home: Home, host: Host, probe: HostProbe) -> tuple[str, ...]:
    """What should be installed, a name or `name=version` each."""
    names = [*_EVERYWHERE]
    if home.base.timezone:
        names.append("tzdata")
    if home.base.firewall:
        names.append("nftables")
    if home.base.unattended_upgrades:
        names.append("unattended-upgrades")
    if clock.needs_timesyncd(probe):
        names.append(clock.PACKAGE)
    if host.role and probe.container == "none" and probe.text.get(APPARMOR_ENABLED, "").strip() == "Y":
        names.append(_APPARMOR)
    # An inventory's `vim=2:9.0` is more than `vim`.
    pinned = {name.partition("=")[0]: name for name in (*names, *home.base.packages)}
    return tuple(pinned.values())


def candidates(home: Home) -> tuple[str, ...]:
    """Every package whose presence matters to the plan."""
    optional = ("tzdata", "nftables", "unattended-upgrades", _APPARMOR, clock.PACKAGE, *clock.OTHER_PACKAGES)
    return (*_EVERYWHERE, *optional, *(name.partition("=")[0] for name in home.base.packages))


def missing(names: tuple[str, ...], probe: HostProbe) -> tuple[str, ...]:
    return tuple(name for name in names if name not in probe.packages)


def environment() -> Mapping[str, str]:
    """What keeps apt from asking, and Ubuntu's needrestart from restarting services by itself."""
    return {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "APT_LISTCHANGES_FRONTEND": "none"}
