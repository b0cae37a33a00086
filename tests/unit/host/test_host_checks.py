"""Every reason not to begin, by host, found and remedied in one line; and what is only said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from homelab.host import refusals, sshd, warnings
from homelab.model import Base
from homelab.probe import FileState, UnitState, parse
from tests.probes import DEPLOYED, captured, home, machine, node


def refused(host=None, known=None, **changes) -> str:
    host = host or node()
    return "\n".join(str(each) for each in refusals(known or home(host), {host.name: replace(captured(), **changes)}))


def said(host=None, base=None, **changes) -> str:
    host = host or node()
    return "\n".join(str(each) for each in warnings(home(host, base=base), {host.name: machine(**changes)}))


def test_a_sound_host_is_not_refused():
    assert refused() == ""


@pytest.mark.parametrize(
    ("os_id", "version"),
    [("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04"), ("raspbian", "12")],
)
def test_supported_systems(os_id: str, version: str):
    assert refused(os_id=os_id, os_version=version) == ""


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"os_id": "debian", "os_version": "11", "os_name": "Debian GNU/Linux 11 (bullseye)"},
            "runs Debian GNU/Linux 11",
        ),
        ({"os_id": "fedora", "os_version": "43", "os_name": "Fedora Linux 43"}, "runs Fedora Linux 43, which is not"),
        ({"os_id": "", "os_version": "", "os_name": ""}, "runs an unknown system"),
        ({"machine": "armv7l"}, "its processor is armv7l"),
        ({"init": "sysvinit"}, "its first process is sysvinit, not systemd"),
        ({"gateways": {}}, "has no default route"),
        ({"memory": 300 << 20}, "has 300 MiB of memory"),
        ({"disk_free": {"/var/lib": 1 << 30}}, "/var/lib: has 1024 MiB free"),
        ({"memory_cgroup": False}, "no memory cgroup"),
        ({"clock_offset": timedelta(days=-3), "clock_synchronised": False}, "its clock is 3 days, 0:00:00 behind"),
    ],
)
def test_refused_by_name(changes: dict[str, object], found: str):
    text = refused(**changes)
    assert text.startswith("b3")
    assert found in text
    assert len(text.splitlines()) == 1


def test_a_wrong_address_is_told_with_the_right_one():
    assert "10.17.77.99 is not an address of this host, it has 10.17.77.93 (eth0)" in refused(
        node(address="10.17.77.99")
    )


def test_pods_traffic_goes_where_the_nodes_look_for_it():
    two = [node(), node("b4", address="10.17.77.94")]
    assert refused(known=home(*two), gateways={4: "eth1"}) == (
        "b3: 10.17.77.93 is on eth0, and pods' traffic would go by eth1, as the default route does; "
        'write "interface": "eth0"'
    )
    assert refused(node(interface="eth0"), home(node(interface="eth0"), two[1]), gateways={4: "eth1"}) == ""
    assert refused(gateways={4: "eth1"}) == "", "alone it meets nobody"
    assert refused(known=home(*two), gateways={4: "eth0", 6: "eth1"}) == ""
    for own in ({"flannel-backend": "none"}, {"flannel-external-ip": True}, {"vpn-auth-file": "/etc/rancher/vpn"}):
        assert refused(known=home(*two, server_config=own), gateways={4: "eth1"}) == "", own


def test_a_node_is_told_by_the_address_that_its_traffic_comes_from():
    two = [node(), node("b4", address="10.17.77.94")]
    leased, mine, local = ip_address("10.17.77.180"), ip_address("10.17.77.93"), ip_address("169.254.3.4")
    both = {ip_address("127.0.0.1"): "lo", leased: "eth0", mine: "eth0"}
    assert refused(known=home(*two), addresses=both, subnets={}) == (
        "b3.address: eth0 has 10.17.77.180 before 10.17.77.93, and the other nodes' firewalls drop what comes "
        'from it; write "10.17.77.180", or take it off eth0'
    )
    moving = {leased: ip_network("10.17.77.180/32"), mine: ip_network("10.17.77.0/24")}
    found = refused(known=home(*two), addresses={leased: "eth0", mine: "eth0"}, subnets=moving)
    assert found.endswith("; restart what sets 10.17.77.180, so that it comes after")
    assert refused(known=home(*two), addresses={local: "eth0", mine: "eth0", leased: "eth0"}, subnets={}) == ""
    assert refused(known=home(*two), addresses={leased: "wlan0", mine: "eth0"}, subnets={}) == ""
    assert refused(known=home(*two, base=Base(firewall=False)), addresses=both, subnets={}) == ""
    assert refused(addresses=both, subnets={}) == "", "alone it meets nobody"


def test_a_wrong_interface_is_told_with_the_right_one():
    assert refused(node(interface="eth1")) == (
        'b3.interface: 10.17.77.93 is on eth0, not on eth1; write "eth0", or leave it out'
    )


def test_what_k3s_needs_is_not_asked_of_a_nas():
    nas = node(role=None, nas=True)
    assert refused(nas, gateways={}, memory_cgroup=False, memory=300 << 20) == ""


def test_a_synchronised_clock_is_believed():
    off = {"clock_offset": timedelta(minutes=5), "clock_synchronised": True}
    assert refused(**off) == ""
    assert "its clock is 0:05:00 ahead" in said(**off)


def test_a_raspberry_pi_gets_its_cgroup_from_the_deploy():
    text = {**captured().text, "/boot/firmware/cmdline.txt": "console=tty1 root=/dev/mmcblk0p2\n"}
    pi = {"board": "Raspberry Pi 5 Model B Rev 1.0", "container": "none", "memory_cgroup": False}
    assert refused(text=text, **pi) == ""
    assert "has 0 lines instead of one" in refused(**pi)


def test_a_node_keeps_the_name_that_k3s_knows_it_by():
    installed = {"hostname": "old", "k3s_version": "v1.35.6+k3s1", "node_password": True}
    assert "is called old, and K3s is installed on it under that name" in refused(**installed)
    assert refused(hostname="old") == ""


def test_two_names_for_one_machine():
    two = (node("b3"), node("b4"))
    found = refusals(home(*two), {each.name: captured() for each in two})
    assert [str(each) for each in found] == [
        "b4: is the same machine as b3; give each host its own ssh_hostname, or list it once"
    ]


def test_containers_on_one_kernel_are_not_one_machine():
    other = node("b4", address="10.17.77.94")
    moved = replace(captured(), addresses={other.address: "eth0"}, subnets={})
    assert refusals(home(node(), other), {"b3": captured(), "b4": moved}) == []


def test_pod_networks_may_not_hide_the_host_s_own():
    vpn = ip_address("10.42.7.1")
    probe = captured()
    text = refused(
        addresses={**probe.addresses, vpn: "wg0"}, subnets={**probe.subnets, vpn: ip_network("10.42.7.0/24")}
    )
    assert "10.42.0.0/16 overlaps 10.42.7.0/24, which the host reaches over wg0" in text
    cni = refused(
        addresses={**probe.addresses, vpn: "cni0"}, subnets={**probe.subnets, vpn: ip_network("10.42.7.0/24")}
    )
    assert cni == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"text": {}},
        {"text": {"/etc/hosts": "127.0.0.1 localhost\n192.168.1.9 k\ufffdche\n"}},
        {"files": {"/etc/hosts": FileState("link", "0777", "root:root", target="/run/hosts")}},
    ],
)
def test_a_hosts_file_that_could_not_be_kept_is_not_touched(changes: dict[str, object]):
    assert "b3: /etc/hosts: is " in refused(**changes)


def test_all_hosts_are_told_at_once():
    hosts = (node("b3"), node("b4", address="10.17.77.94"))
    found = refusals(home(*hosts), {each.name: replace(captured(), machine="riscv64") for each in hosts})
    assert {each.place.partition(".")[0] for each in found} == {"b3", "b4"}


def test_hosts_that_were_not_asked_are_not_judged():
    assert refusals(home(node(), node("b4", address="10.17.77.94", away=True)), {"b3": captured()}) == []


def test_little_memory_is_only_said():
    assert refused(memory=1024 << 20) == ""
    assert "b3: has 1024 MiB of memory; K3s advises 2 GiB" in said(memory=1024 << 20)


def test_a_deployed_host_with_nothing_odd_is_told_nothing():
    first = node("b1", address="10.17.77.91")
    found = warnings(home(first), {"b1": replace(captured(DEPLOYED), container="none")})
    assert found == []


def test_a_foreign_firewall_and_a_service_behind_ours_are_said():
    ufw = {"ufw.service": UnitState(load="loaded", active="active")}
    on = {"/etc/ufw/ufw.conf": "# Set to yes to start on boot\nENABLED=yes\nLOGLEVEL=low\n"}
    text = said(units=ufw, text=on, reachable={8096: "jellyfin"})
    assert "b3: ufw.service filters as well" in text
    assert "the firewall closes tcp port 8096 (jellyfin) to other machines" in text
    text = said(reachable_udp={67: "pihole-FTL"})
    assert 'the firewall closes udp port 67 (pihole-FTL) to other machines; write "udp dport 67 accept" in' in text
    assert "firewall" not in said(units=ufw, text=on, reachable={8096: "jellyfin"}, base=Base(firewall=False))
    # As Ubuntu is installed.
    assert "ufw" not in said(units=ufw, text={"/etc/ufw/ufw.conf": "ENABLED=no\n"})
    # As a package that is removed, and not purged, leaves it: its unit gone or masked.
    assert "ufw" not in said(text=on) and "ufw" not in said(units={"ufw.service": UnitState(load="masked")}, text=on)
    assert "firewalld.service filters as well" in said(units={"firewalld.service": ufw["ufw.service"]})


def test_a_kernel_without_flannels_module_is_said():
    assert "its kernel has no module vxlan; install" in said(missing_modules=frozenset({"vxlan"}))


def test_a_daemon_without_dropins_is_said():
    assert "so it was not hardened" in said(text={sshd.CONFIG: "Port 22\n"})


def test_time_servers_that_nobody_reads_are_said():
    chrony = {"chrony.service": UnitState(load="loaded", active="active")}
    assert "chrony.service keeps the time with its own servers" in said(
        units=chrony, base=Base(ntp_servers=("n.example",))
    )


@pytest.mark.parametrize(
    ("clock", "offset"), [(0, 0), (59, 0), (60, 0), (-10, -10), (75, 15)], ids=lambda seconds: f"{seconds}s"
)
def test_a_slow_answer_is_no_wrong_clock(clock: int, offset: int):
    asked = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    lines = [f"clock\t{(asked + timedelta(seconds=clock)).timestamp()}", "end\t1"]
    assert parse(lines, asked + timedelta(seconds=60), asked).clock_offset == timedelta(seconds=offset)
