"""The toolkit's own nftables table: who may open a connection to a host. Other tables are never touched.

It filters what is addressed to the host itself and NodePorts, nothing that is forwarded: pods, services and published
container ports pass through other hooks, which belong to kube-proxy, flannel and whoever else runs containers here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from homelab.files import ManagedFile
from homelab.host.guard import Trial
from homelab.model import Home, Host
from homelab.model.native import NODE_PORTS
from homelab.probe import Address, HostProbe, Network

RULES = "/etc/homelab/firewall.nft"
# A user's own additions, one file a service; read inside the chain of accepted connections.
ADDITIONS = "/etc/homelab/firewall.d"
UNIT = "homelab-firewall.service"
LOADED = "/run/homelab/firewall.loaded"
_UFW = "ufw.service"
OTHERS = (_UFW, "firewalld.service")
# Ubuntu brings ufw with every installation, its unit active and it itself off: what it is told here counts. The file
# stays when the package is removed.
UFW_CONF = "/etc/ufw/ufw.conf"

_RECORD = f"mkdir -p /run/homelab; nft -sn list table inet homelab | sha256sum | cut -d' ' -f1 >{LOADED}"
UNIT_FILE = ManagedFile(
    f"/etc/systemd/system/{UNIT}",
    f"""\
[Unit]
Description=Firewall of the homelab toolkit: nftables table inet homelab
ConditionPathExists={RULES}
DefaultDependencies=no
Conflicts=shutdown.target
Before=network-pre.target shutdown.target
Wants=network-pre.target
# nftables.service flushes every table when it starts, stops or reloads.
After=local-fs.target systemd-tmpfiles-setup.service nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {RULES}
ExecStart=/bin/sh -c "{_RECORD}"
ExecReload=/usr/sbin/nft -f {RULES}
ExecReload=/bin/sh -c "{_RECORD}"
ExecStop=-/usr/sbin/nft delete table inet homelab

[Install]
WantedBy=sysinit.target
""",
)

_PEER = re.compile(r"(?m)^# SSH also from (\S+)$")
# TCP 445 SMB, 2049 NFS, TCP and UDP 3702 WS-Discovery: how Windows finds a share.
_NAS_TCP, _NAS_UDP = "445, 2049, 3702", "3702"
_NUT = "3493"
# A tunnel into the home that ends here is perhaps the very way this run came in: its replies still pass, for now.
_WIREGUARD = 51820


def others(probe: HostProbe) -> tuple[str, ...]:
    """The units of other firewalls that filter on this host."""
    on = re.search(r"(?mi)^ENABLED=\W?yes", probe.text.get(UFW_CONF, "")) and probe.unit(_UFW).load == "loaded"
    return tuple(unit for unit in OTHERS if (on if unit == _UFW else probe.unit(unit).active == "active"))


def lan(home: Home, host: Host, probe: HostProbe) -> tuple[Network, ...]:
    """The networks this home trusts to reach its services: the named ones and those of the host's own wire."""
    interface = probe.addresses.get(host.address)
    own = [probe.subnets[address] for address, name in probe.addresses.items() if name == interface]
    networks = list(dict.fromkeys(home.base.networks.values()))
    # The widest first: an address that moves between servers (/32) is in its network already, and must not count.
    for network in sorted(own, key=lambda each: (each.version, each.prefixlen, each)):
        if not _holds(networks, network):
            networks.append(network)
    return tuple(networks)


def peer(home: Home, host: Host, probe: HostProbe) -> str:
    """The one address outside these networks that SSH stays open for, "" when there is none.

    The last one is kept while runs come from inside, so that a run from elsewhere and back changes nothing.
    """
    noted = _PEER.search(probe.text.get(RULES, ""))
    known = noted.group(1) if noted else ""
    for text in (probe.ssh_peer, known):
        if text and not _inside(ipaddress.ip_address(text), (*lan(home, host, probe), *_hosts(home))):
            return text
    return ""


def rules(home: Home, host: Host, probe: HostProbe) -> ManagedFile:
    """The whole table, loaded in one transaction."""
    outside = peer(home, host, probe)
    cluster = home.cluster
    node = host.role is not None and cluster is not None
    ssh_ports = _ports(probe)
    sets: dict[str, Iterable[Address | Network]] = {"hosts": _addresses(home.hosts), "lan": lan(home, host, probe)}
    accept = _Chain()
    accept.to("tcp", ssh_ports, "hosts", "lan")
    if outside:
        sets["peer"] = [ipaddress.ip_address(outside)]
        accept.to("tcp", ssh_ports, "peer")
    if node and cluster:
        sets["pods"] = (*cluster.cluster_cidr, *cluster.service_cidr)
        sets["nodes"] = _addresses(one for one in home.hosts if one.role)
        sets["servers"] = _addresses(home.servers)
        sets["named"] = tuple(dict.fromkeys(home.base.networks.values()))
        if host.role == "server":
            accept.to("tcp", "2379-2380", "servers")
            accept.say("tcp dport 2379-2380 drop")
            accept.to("tcp", "6443", "hosts", "lan", *(["peer"] if outside else []))
        # Ports 8472/udp, 10250, 51820-51821/udp, 5001 and 6443 among them; a pod that leaves its node's own network is
        # seen with its node's address, so monitoring of another node's ports comes from here as well.
        accept.from_("nodes", "pods")
        accept.to("tcp", "80, 443", "hosts", "lan")
        accept.to("tcp", NODE_PORTS, "named")
        accept.to("udp", NODE_PORTS, "named")
    if host.nas:
        accept.to("tcp", _NAS_TCP, "hosts", "lan")
        accept.to("udp", _NAS_UDP, "hosts", "lan")
        # Who is named as a client of an export is meant to reach it, and that alone, from wherever.
        sets["clients"] = _clients(home, host, probe)
        accept.to("tcp", "2049", "clients")
        # NUT: who goes down with this one's UPS asks how its battery is.
        sets["followers"] = _addresses(home.followers(host))
        accept.to("tcp", _NUT, "followers")
    # Multicast names: how a home finds its hosts without a DNS server.
    accept.to("udp", "5353", "lan")
    early = _Chain()
    if node:
        early.from_("hosts", "pods", "named", verdict="return")
    chains = [
        "\tchain accepted {",
        *accept.lines(sets),
        f'\t\tinclude "{ADDITIONS}/*.nft"',
        "\t}",
        "",
        "\tchain input {",
        "\t\ttype filter hook input priority filter; policy drop;",
        "\t\tct state established,related accept",
        '\t\tiifname "lo" accept',
        # ICMP, IGMP and ICMPv6, by number: names would need /etc/protocols.
        "\t\tmeta l4proto { 1, 2, 58 } accept",
        "\t\tudp sport 67 udp dport 68 accept",
        "\t\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
        # Names and addresses for this machine's own guests, which no other network reaches.
        *(f'\t\tiifname "{bridge}" accept' for bridge in ("virbr*", "lxcbr*", "lxdbr*", "incusbr*", "docker0")),
        # K3s with vpn-auth: its nodes talk to each other through this one.
        *(['\t\tiifname "tailscale0" accept'] if node and over_vpn(home, host) else []),
        "\t\tjump accepted",
        "\t}",
    ]
    if node:
        chains += [
            "",
            # kube-proxy redirects NodePorts before the input hook sees them.
            "\tchain nodeports {",
            "\t\ttype filter hook prerouting priority mangle; policy accept;",
            *(
                f"\t\tct state new fib daddr type local {protocol} dport {NODE_PORTS} jump strangers"
                for protocol in ("tcp", "udp")
            ),
            "\t}",
            "",
            "\tchain strangers {",
            '\t\tiifname "lo" return',
            *early.lines(sets),
            "\t\tdrop",
            "\t}",
        ]
    head = [
        "# homelab: written by deploys/base.py from the inventory; additions go to " + ADDITIONS,
        *([f"# SSH also from {outside}"] if outside else []),
        "table inet homelab",
        "delete table inet homelab",
        "table inet homelab {",
    ]
    body = [line for name, members in sets.items() for line in _sets(name, members)]
    text = "\n".join([*head, *body, *chains, "}"]) + "\n"
    return ManagedFile(RULES, text, check=f'mkdir -p -m 0755 {ADDITIONS}; nft -c -f "$new"')


def stands(wanted: ManagedFile, probe: HostProbe) -> bool:
    """Whether the file is as wanted and the kernel has what was loaded from it, untouched since."""
    loaded = probe.text.get(LOADED, "").strip()
    return wanted.stands(probe.files.get(RULES)) and bool(loaded) and loaded == probe.firewall


def trial(wanted: ManagedFile) -> Trial:
    """The table on trial; what is undone is the table as it was loaded, whatever the file said."""
    return Trial(
        "firewall",
        wanted,
        save="nft list table inet homelab >firewall.table 2>/dev/null || : >firewall.table",
        apply=f"nft -f {RULES}\n{_RECORD}",
        restore="nft delete table inet homelab 2>/dev/null || :\n"
        f"if [ -s firewall.table ]; then nft -f firewall.table && {{ {_RECORD}; }}; else rm -f {LOADED}; fi",
    )


REMOVE = (
    f"systemctl disable --now {UNIT} 2>/dev/null || :\n"
    "if command -v nft >/dev/null; then nft delete table inet homelab 2>/dev/null || :; fi\n"
    f"rm -f {UNIT_FILE.path} {RULES} {LOADED}; systemctl daemon-reload"
)


def closed(home: Home, host: Host, probe: HostProbe) -> Mapping[tuple[str, int], str]:
    """Protocol and port of services that other machines could reach until now and will no longer, with who listens."""
    tcp = {22, 80, 443, 5353, *(int(port) for port in _ports(probe).split(", "))}
    # Clients that only listen for answers: DHCP's, and time daemons.
    udp = {68, 123, 323, 546, 5353}
    # The kernel's own choice for whoever asks for no port in particular; on nodes also what is there for NodePorts.
    passing = range(30000 if host.role else 32768, 61000)
    if host.role:
        tcp |= {6443, 2379, 2380, 10250, 5001}
        udp |= {8472, _WIREGUARD, 51821}
    if host.nas:
        tcp |= {445, 2049, 3702}
        udp |= {3702}
    if home.followers(host):
        tcp.add(int(_NUT))
    services = [("tcp", port, process) for port, process in sorted(probe.reachable.items()) if port not in tcp]
    services += [("udp", port, process) for port, process in sorted(probe.reachable_udp.items()) if port not in udp]
    return {
        (protocol, port): process
        for protocol, port, process in services
        if port not in passing or (protocol, port) == ("udp", _WIREGUARD)
        if not process.startswith(("k3s", "docker-proxy"))
    }


def _ports(probe: HostProbe) -> str:
    """SSH's ports: where the daemon listens, and where this connection came in."""
    ports = {port for port, process in probe.reachable.items() if process == "sshd"} | {probe.ssh_port} - {0}
    return ", ".join(str(port) for port in sorted(ports or {22}))


def _clients(home: Home, host: Host, probe: HostProbe) -> tuple[Network, ...]:
    """Addresses and networks that NFS shares name outright and that are neither hosts nor of this home's networks."""
    found = []
    known = (*lan(home, host, probe), *_hosts(home))
    for share in host.storage.shares.values() if host.storage else ():
        for client in share.nfs.clients if share.nfs else ():
            try:
                network = ipaddress.ip_network(client)
            except ValueError:
                continue
            if not _holds(known, network):
                found.append(network)
    return tuple(dict.fromkeys(found))


def _addresses(hosts: Iterable[Host]) -> tuple[Address, ...]:
    found = []
    for host in hosts:
        found.append(host.address)
        external = host.server_config.get("node-external-ip", host.agent_config.get("node-external-ip", ""))
        for text in external.split(",") if isinstance(external, str) else ():
            try:
                found.append(ipaddress.ip_address(text.strip()))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))


def over_vpn(home: Home, host: Host) -> bool:
    """Whether K3s's nodes talk to each other through a VPN of its own."""
    shared = home.cluster.server_config | home.cluster.agent_config if home.cluster else {}
    return any(key.startswith("vpn-auth") for key in (*shared, *host.server_config, *host.agent_config))


def _hosts(home: Home) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(address) for address in _addresses(home.hosts))


def _inside(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _holds(networks: Iterable[Network], own: Network) -> bool:
    return any(
        own.version == network.version and own.network_address in network and own.broadcast_address in network
        for network in networks
    )


def _family(members: Iterable[Address | Network], version: int) -> list[str]:
    """The members of one family, none within another: intervals of a set must not overlap."""
    networks = [ipaddress.ip_network(each) for each in members]
    merged: Iterable[Network]
    if version == 4:
        merged = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network))
    else:
        merged = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network))
    return [str(each.network_address) if each.num_addresses == 1 else str(each) for each in merged]


def _sets(name: str, members: Iterable[Address | Network]) -> list[str]:
    lines = []
    members = tuple(members)
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        found = _family(members, version)
        if found:
            lines += [
                f"\tset {name}{version} {{",
                f"\t\ttype {kind}; flags interval",
                f"\t\telements = {{ {', '.join(found)} }}",
                "\t}",
            ]
    return [*lines, ""] if lines else []


class _Chain:
    """Rules by the sets they are for; a rule for a set without addresses of a family is left out."""

    def __init__(self) -> None:
        self._rules: list[tuple[str, str, str]] = []

    def to(self, protocol: str, ports: str, *names: str) -> None:
        several = "," in ports
        self._rules += [
            (name, f"{protocol} dport {f'{{ {ports} }}' if several else ports}", "accept") for name in names
        ]

    def from_(self, *names: str, verdict: str = "accept") -> None:
        self._rules += [(name, "", verdict) for name in names]

    def say(self, rule: str) -> None:
        self._rules.append(("", rule, ""))

    def lines(self, sets: Mapping[str, Iterable[Address | Network]]) -> list[str]:
        lines = []
        for name, match, verdict in self._rules:
            if not name:
                lines.append(f"\t\t{match}")
                continue
            for version, family in ((4, "ip"), (6, "ip6")):
                if _family(sets.get(name, ()), version):
                    words = [family, "saddr", f"@{name}{version}", match, verdict]
                    lines.append("\t\t" + " ".join(word for word in words if word))
        return lines
