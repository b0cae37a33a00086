"""Who may reach a host: the inventory's hosts, the named networks, and always the one who is asking."""

import ipaddress
import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from homelab.host import firewall
from homelab.model import Base
from homelab.model.nas import Nas
from homelab.probe import HostProbe
from tests import builders
from tests.probes import DEPLOYED, captured, home, node

LAN = ipaddress.ip_network("10.17.77.0/24")
OFFICE = ipaddress.ip_network("172.20.0.0/24")
SERVER, AGENT, NAS = (
    node(),
    node("b2", "agent", address="10.17.77.92"),
    node("attic", None, nas=True, address="10.17.77.94"),
)
HOME = home(SERVER, AGENT, NAS, base=Base(networks={"office": OFFICE}))


def on(address: str, probe: HostProbe | None = None) -> HostProbe:
    """The captured host, found under another address."""
    probe = probe or captured()
    held = ipaddress.ip_address(address)
    return replace(probe, addresses={held: "eth0"}, subnets={held: LAN})


def rules(host=SERVER, known=HOME, **changes) -> list[str]:
    probe = replace(on(str(host.address)), **changes)
    return [line.strip() for line in firewall.rules(known, host, probe).content.splitlines()]


def test_only_the_toolkit_s_own_table_is_touched():
    lines = rules()
    assert not any("flush" in line for line in lines)
    assert [line for line in lines if line.startswith(("table", "delete"))] == [
        "table inet homelab",
        "delete table inet homelab",
        "table inet homelab {",
    ]


def test_forwarded_packets_are_not_filtered():
    hooks = {line.split(" hook ")[1].split()[0] for line in rules() if " hook " in line}
    assert hooks == {"input", "prerouting"}


def test_etcd_is_for_servers_only():
    lines = rules()
    own = lines.index("ip saddr @servers4 tcp dport 2379-2380 accept")
    assert lines[own + 1] == "tcp dport 2379-2380 drop"
    assert own < lines.index("ip saddr @nodes4 accept")
    assert not any("2379" in line for line in rules(AGENT))


def test_the_api_is_on_servers_for_lan_and_hosts():
    assert "ip saddr @lan4 tcp dport 6443 accept" in rules()
    assert not any("6443" in line for line in rules(AGENT))


def test_what_is_no_node_has_no_port_of_k3s():
    text = "\n".join(rules(NAS))
    assert "nodes4" not in text
    assert "hook prerouting" not in text
    assert "ip saddr @lan4 tcp dport { 445, 2049, 3702 } accept" in text


def exporting(*clients: str):
    share = {"volume": "media", "nfs": {"clients": list(clients)}}
    return node(
        "attic", None, nas=True, address="10.17.77.94", storage=Nas.model_validate({"shares": {"media": share}})
    )


def test_who_an_export_names_reaches_nfs_and_nothing_else():
    attic = exporting("198.51.100.7", "203.0.113.0/24", "2001:db8::/64", "10.17.77.50", "172.20.0.0/28", "b2", "office")
    lines = rules(attic, home(SERVER, AGENT, attic, base=Base(networks={"office": OFFICE})))
    start = lines.index("set clients4 {")
    assert "elements = { 198.51.100.7, 203.0.113.0/24 }" in lines[start : start + 3]
    assert [line for line in lines if "@clients" in line] == [
        "ip saddr @clients4 tcp dport 2049 accept",
        "ip6 saddr @clients6 tcp dport 2049 accept",
    ]
    inside = exporting("10.17.77.50", "office")
    assert not any("clients" in line for line in rules(inside, home(SERVER, inside)))


def test_nodeports_are_for_named_networks():
    assert "ip saddr @named4 tcp dport 30000-32767 accept" in rules()
    unnamed = rules(known=home(SERVER))
    assert not any("30000-32767 accept" in line for line in unnamed)
    assert not any("named" in line for line in unnamed)


def test_a_peer_inside_is_nothing_special():
    assert firewall.peer(HOME, SERVER, captured()) == ""
    assert not any("peer" in line for line in rules(ssh_peer="172.20.0.7"))


def test_a_peer_outside_keeps_its_way_in():
    lines = rules(ssh_peer="203.0.113.5")
    assert "# SSH also from 203.0.113.5" in lines
    assert "ip saddr @peer4 tcp dport 22 accept" in lines


def test_the_last_peer_outside_is_kept_while_runs_come_from_inside():
    away = "\n".join(rules(ssh_peer="203.0.113.5"))
    again = rules(ssh_peer="10.17.77.1", text={firewall.RULES: away})
    assert "# SSH also from 203.0.113.5" in again
    moved = rules(ssh_peer="203.0.113.9", text={firewall.RULES: away})
    assert "# SSH also from 203.0.113.9" in moved
    assert "# SSH also from 203.0.113.5" not in moved


def test_ssh_s_own_port_is_the_one_that_is_open():
    lines = rules(ssh_port=2222, reachable={2222: "sshd", 22: "sshd"})
    assert "ip saddr @lan4 tcp dport { 22, 2222 } accept" in lines


def test_both_families_of_the_host_s_wire_are_trusted():
    six = ipaddress.ip_address("fd00::93")
    probe = replace(captured(), addresses={SERVER.address: "eth0", six: "eth0"})
    probe = replace(probe, subnets={SERVER.address: LAN, six: ipaddress.ip_network("fd00::/64")})
    assert set(firewall.lan(HOME, SERVER, probe)) == {OFFICE, LAN, ipaddress.ip_network("fd00::/64")}


def test_an_address_that_moves_between_servers_changes_nothing():
    floating = ipaddress.ip_address("10.17.77.50")
    before = on(str(SERVER.address))
    after = replace(
        before,
        addresses={**before.addresses, floating: "eth0"},
        subnets={**before.subnets, floating: ipaddress.ip_network("10.17.77.50/32")},
    )
    assert firewall.rules(HOME, SERVER, before) == firewall.rules(HOME, SERVER, after)


def test_networks_within_one_another_are_one_interval():
    wide = home(SERVER, base=Base(networks={"all": ipaddress.ip_network("10.0.0.0/8"), "sandbox": LAN}))
    sets = rules(known=wide)
    assert sets[sets.index("set named4 {") + 2] == "elements = { 10.0.0.0/8 }"


def test_nodes_that_meet_over_a_vpn_are_heard_there():
    assert not any("tailscale" in line for line in rules())
    joined = node(server_config={"vpn-auth-file": "/etc/rancher/vpn"})
    assert 'iifname "tailscale0" accept' in rules(joined, home(joined))


def test_a_second_look_finds_it_in_force():
    mine = builders.host("s1", address="10.17.77.91")
    other = builders.host("a2", "agent", address="10.17.77.92")
    known = home(mine, other, base=Base(networks={"sandbox": LAN}))
    probe = captured(DEPLOYED)
    wanted = firewall.rules(known, mine, probe)
    assert firewall.stands(wanted, probe)
    assert not firewall.stands(wanted, replace(probe, firewall="touched by hand"))
    assert not firewall.stands(wanted, replace(probe, firewall="", text={}))


def test_a_service_that_will_be_cut_off_is_named():
    tcp = {22: "sshd", 8096: "jellyfin", 32400: "Plex Media Serv", 40000: "dnsmasq", 8080: "docker-proxy"}
    udp = {53: "pihole-FTL", 68: "dhclient", 5353: "avahi-daemon", 41641: "tailscaled", 51820: ""}
    probe = replace(captured(), reachable=tcp, reachable_udp=udp)
    assert firewall.closed(HOME, NAS, probe) == {
        ("tcp", 8096): "jellyfin",
        ("tcp", 32400): "Plex Media Serv",
        ("udp", 53): "pihole-FTL",
        ("udp", 51820): "",
    }


def test_what_the_cluster_itself_listens_to_is_not_named():
    probe = replace(captured(), reachable={6443: "k3s-server", 31000: ""}, reachable_udp={8472: "", 51820: ""})
    assert firewall.closed(HOME, SERVER, probe) == {}


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
@pytest.mark.parametrize("host", [SERVER, AGENT, NAS], ids=lambda host: host.name)
def test_nft_takes_it(host, tmp_path):
    file = tmp_path / "firewall.nft"
    changes = {"ssh_peer": "2001:db8::7"}
    file.write_text(firewall.rules(HOME, host, replace(on(str(host.address)), **changes)).content, encoding="utf-8")
    load = f"unshare -n sh -c 'nft -f {file} && nft -f {file} && nft list tables'"
    done = subprocess.run(load, shell=True, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("no network namespaces here")
    assert (done.stdout, done.stderr) == ("table inet homelab\n", "")
