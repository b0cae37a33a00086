"""What keeps a host from being deployed to, and what its owner should know: all hosts in one report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from homelab.host import boot, clock, firewall, kernel, names, sshd
from homelab.model import Home, Host, Problem
from homelab.probe import Address, HostProbe

_MIB, _GIB = 1 << 20, 1 << 30
# Raspberry Pi OS calls itself debian on 64 bits and raspbian on 32.
_SYSTEMS = {"debian": ("12", "13"), "raspbian": ("12", "13"), "ubuntu": ("22.04", "24.04")}
_SUPPORTED = "install Debian 12 or 13, Ubuntu 22.04 or 24.04, or Raspberry Pi OS 12 or 13"
# What the kernel keeps for itself is missing from MemTotal, so the documented minimum is never quite reached.
_MEMORY_LEAST = 450 * _MIB
_MEMORY_ADVISED = {"server": 1800 * _MIB, "agent": _MEMORY_LEAST}
_DISK_LEAST = 2 * _GIB


def refusals(home: Home, probes: Mapping[str, HostProbe]) -> list[Problem]:
    """Every reason, on every host, not to begin; empty when there is none."""
    problems: list[Problem] = []
    for host in home.hosts:
        if host.name in probes:
            problems += _system(host, probes[host.name])
            problems += _address(host, probes[host.name])
            problems += _clock(host, probes[host.name])
            problems += _hosts_file(host, probes[host.name])
            if host.role:
                problems += _node(home, host, probes[host.name])
    problems += _same_machine(probes)
    return problems


def warnings(home: Home, probes: Mapping[str, HostProbe]) -> list[Problem]:
    """What does not stop a deploy, and its owner should know."""
    problems: list[Problem] = []
    for host in home.hosts:
        if host.name in probes:
            problems += _advice(home, host, probes[host.name])
    return problems


def _system(host: Host, probe: HostProbe) -> Iterator[Problem]:
    if probe.os_version not in _SYSTEMS.get(probe.os_id, ()):
        found = probe.os_name or " ".join((probe.os_id, probe.os_version)).strip() or "an unknown system"
        yield Problem(host.name, f"runs {found}, which is not supported", _SUPPORTED)
    if not probe.arch:
        yield Problem(
            host.name,
            f"its processor is {probe.machine or 'unknown'}",
            "use a 64-bit system on amd64 or arm64",
        )
    if probe.init != "systemd":
        yield Problem(
            host.name,
            f"its first process is {probe.init or 'unknown'}, not systemd",
            "deploy to a machine or system container that boots systemd",
        )


def _address(host: Host, probe: HostProbe) -> Iterator[Problem]:
    carrier = probe.addresses.get(host.address)
    if carrier is None:
        has = ", ".join(f"{address} ({name})" for address, name in probe.addresses.items() if _is_lan(address))
        yield Problem(
            f"{host.name}.address",
            f"{host.address} is not an address of this host, it has {has or 'none'}",
            "write the one it has, or give it this one (a fixed lease in the router)",
        )
    elif host.interface and carrier != host.interface:
        yield Problem(
            f"{host.name}.interface",
            f"{host.address} is on {carrier}, not on {host.interface}",
            f'write "{carrier}", or leave it out',
        )


def _is_lan(address: Address) -> bool:
    return not address.is_loopback and not address.is_link_local


def _clock(host: Host, probe: HostProbe) -> Iterator[Problem]:
    if clock.is_off(probe) and not probe.clock_synchronised:
        where = "" if probe.container == "none" else " of the machine that runs this container"
        yield Problem(
            host.name,
            f"its clock is {clock.offset(probe)} this machine's and is not synchronised",
            f"set the clock{where} (`timedatectl set-ntp true`, or `date -s`), and check this machine's own",
        )


def _hosts_file(host: Host, probe: HostProbe) -> Iterator[Problem]:
    """A file whose other lines could not be kept as they are."""
    state, text = probe.files.get(names.HOSTS), probe.text.get(names.HOSTS)
    place = f"{host.name}: {names.HOSTS}"
    if state is not None and state.kind != "file":
        yield Problem(place, f"is a {state.kind}, not a file", "make it a file, as the system had it")
    elif (state is not None and text is None) or "\ufffd" in (text or ""):
        yield Problem(place, "is not readable as UTF-8 text", "write its odd lines in UTF-8, or remove them")


def _node(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    if not probe.gateways:
        yield Problem(
            host.name,
            "has no default route, and K3s finds no address without one",
            f"add one, `ip route add default dev {probe.addresses.get(host.address, 'eth0')}` at least",
        )
    if probe.memory < _MEMORY_LEAST:
        yield Problem(
            host.name,
            f"has {probe.memory // _MIB} MiB of memory",
            "K3s needs 512 MiB for an agent and 2 GiB for a server",
        )
    free = probe.disk_free.get("/var/lib")
    if free is not None and free < _DISK_LEAST:
        yield Problem(f"{host.name}: /var/lib", f"has {free // _MIB} MiB free", "free 2 GiB or more")
    if not probe.memory_cgroup:
        yield from _cgroup(host, probe)
    if probe.hostname != host.name and _has_k3s(probe):
        yield Problem(
            host.name,
            f"is called {probe.hostname}, and K3s is installed on it under that name",
            f'write "{probe.hostname}" in the inventory, or remove K3s from the host first',
        )
    yield from _pods_way(home, host, probe)
    yield from _overlaps(home, host, probe)


def _pods_way(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """A pod network that would go by another interface or address than the host's, where no other node looks for it.

    Flannel takes the interface of the default route unless it is told one, and of an interface the first IPv4 address;
    node-ip does not count (k3s-io/k3s#72, #12056; pkg/agent/flannel, LookupExtInterface).
    """
    cluster = home.cluster
    if cluster is None or len(home.servers + home.agents) < 2:
        return
    settings = cluster.server_config
    if (
        settings.get("flannel-backend") == "none"
        or settings.get("flannel-external-ip")
        or firewall.over_vpn(home, host)
    ):
        return
    carrier, gateway = probe.addresses.get(host.address), probe.gateways.get(host.address.version)
    if not host.interface and carrier and gateway and carrier != gateway:
        yield Problem(
            host.name,
            f"{host.address} is on {carrier}, and pods' traffic would go by {gateway}, as the default route does",
            f'write "interface": "{carrier}"',
        )
    first = next(
        (each for each, name in probe.addresses.items() if name == carrier and each.version == 4 and _is_lan(each)),
        None,
    )
    # Without a firewall of ours the others take it from there as well.
    if home.base.firewall and host.address.version == 4 and carrier and first and first != host.address:
        # One that moves between machines (/32, as keepalived and kube-vip set it) is nobody's own.
        moves = first in probe.subnets and probe.subnets[first].num_addresses == 1
        yield Problem(
            f"{host.name}.address",
            f"{carrier} has {first} before {host.address}, and the other nodes' firewalls drop what comes from it",
            f"restart what sets {first}, so that it comes after"
            if moves
            else f'write "{first}", or take it off {carrier}',
        )


def _cgroup(host: Host, probe: HostProbe) -> Iterator[Problem]:
    if boot.is_raspberry(probe):
        try:
            boot.arguments(host, probe)
        except boot.BootError as error:
            remedy = f"set {' '.join(boot.NEEDED)} at the end of its one line by hand, and reboot"
            yield Problem(host.name, str(error), remedy)
        return
    yield Problem(
        host.name,
        f"its kernel has no memory cgroup ({probe.cgroup or 'no cgroups'}), and K3s does not start without",
        "add cgroup_enable=memory to its kernel arguments and reboot"
        if probe.container == "none"
        else "give the container the memory controller of its machine",
    )


def _has_k3s(probe: HostProbe) -> bool:
    return bool(probe.k3s_version) and (probe.node_password or probe.etcd_data or probe.sqlite_data)


def _overlaps(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """Pod and service networks that hide a network the host is in; the CNI's own interfaces are in them by right."""
    if home.cluster is None:
        return
    for key, networks in (("cluster_cidr", home.cluster.cluster_cidr), ("service_cidr", home.cluster.service_cidr)):
        for address, connected in probe.subnets.items():
            name = probe.addresses[address]
            if name.startswith(("cni", "flannel", "kube-", "cilium", "cali", "tunl", "vxlan", "nodelocal", "lo")):
                continue
            for network in networks:
                if network.version == connected.version and network.overlaps(connected):
                    yield Problem(
                        f"{host.name}: {key}",
                        f"{network} overlaps {connected}, which the host reaches over {name}",
                        "write a network nobody else uses",
                    )


def _same_machine(probes: Mapping[str, HostProbe]) -> Iterator[Problem]:
    # Containers share their machine's boot id, and clones share much else: addresses no two machines have together.
    seen: dict[tuple[str, frozenset[Address]], str] = {}
    for name, probe in probes.items():
        key = (probe.boot_id, frozenset(address for address in probe.addresses if _is_lan(address)))
        if probe.boot_id and key in seen:
            yield Problem(
                name, f"is the same machine as {seen[key]}", "give each host its own ssh_hostname, or list it once"
            )
        seen.setdefault(key, name)


def _advice(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    if host.role and _MEMORY_LEAST <= probe.memory < _MEMORY_ADVISED[host.role]:
        yield Problem(
            host.name,
            f"has {probe.memory // _MIB} MiB of memory",
            f"K3s advises 2 GiB for {'a server' if host.role == 'server' else 'an agent'} that is to stay healthy",
        )
    if clock.is_off(probe) and probe.clock_synchronised:
        yield Problem(
            host.name,
            f"its clock is {clock.offset(probe)} this machine's, though synchronised",
            "check this machine's own clock",
        )
    other = clock.keeper(probe)
    if other and probe.container == "none":
        if probe.unit(other).active != "active":
            yield Problem(
                host.name,
                f"{other} is installed and not running",
                f"start it, or remove it; {clock.UNIT} would take over",
            )
        elif home.base.ntp_servers:
            yield Problem(
                host.name,
                f"{other} keeps the time with its own servers",
                "ntp_servers is for systemd-timesyncd; set them there",
            )
    for module in kernel.modules(host):
        if module in probe.missing_modules and module not in probe.modules:
            yield Problem(
                host.name,
                f"its kernel has no module {module}",
                "install the kernel's extra modules (on Ubuntu for the Raspberry Pi linux-modules-extra-raspi)",
            )
    for setting, live in kernel.unset_sysctls(home, host, probe).items():
        yield Problem(host.name, f"{setting} is wanted and is {live}", "set it on the machine that runs this container")
    if names.managed_by_cloud_init(probe.text.get(names.HOSTS, "")):
        yield Problem(
            f"{host.name}: {names.HOSTS}",
            "cloud-init writes it anew at every boot",
            "set manage_etc_hosts: false in /etc/cloud/cloud.cfg.d/",
        )
    if home.base.ssh_hardening and sshd.is_there(probe) and not sshd.reads_dropins(probe):
        yield Problem(
            f"{host.name}: {sshd.CONFIG}",
            "does not include /etc/ssh/sshd_config.d/*.conf, so it was not hardened",
            "add that Include line at its top, or write ssh_hardening = False",
        )
    if home.base.firewall:
        for unit in firewall.others(probe):
            yield Problem(
                host.name,
                f"{unit} filters as well",
                "what it drops stays dropped; turn it off, or write firewall = False",
            )
        if not probe.firewall:
            for (protocol, port), process in firewall.closed(home, host, probe).items():
                yield Problem(
                    host.name,
                    f"the firewall closes {protocol} port {port} ({process or 'unknown'}) to other machines",
                    f'write "{protocol} dport {port} accept" in {firewall.ADDITIONS}/ on the host to keep it open',
                )
