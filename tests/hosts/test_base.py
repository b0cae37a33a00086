"""Every host: its name, time, kernel, upgrades, SSH daemon and firewall, as seen on it and from here."""

from __future__ import annotations

import errno
import socket

import paramiko
import pytest

from homelab.host import boot, clock, firewall, kernel, sshd, upgrades
from tests.hosts.inventory import hosts

testinfra_hosts = hosts()


@pytest.fixture(scope="module")
def contained(host) -> bool:
    """Whether the host is a container, which has its machine's clock, modules and settings."""
    return host.run("systemd-detect-virt --container --quiet").rc == 0


def knock(address: object, port: int) -> str:
    """What this machine gets at a port: open, closed (the host says so) or silence (a firewall does not)."""
    with socket.socket(socket.AF_INET6 if ":" in str(address) else socket.AF_INET) as caller:
        caller.settimeout(3)
        try:
            caller.connect((str(address), port))
        except TimeoutError:
            return "silence"
        except OSError as error:
            assert error.errno == errno.ECONNREFUSED
            return "closed"
    return "open"


def test_it_is_called_as_in_the_inventory(host, mine):
    assert host.check_output("cat /proc/sys/kernel/hostname") == mine.name
    assert host.file("/etc/hostname").content_string.strip() == mine.name


def test_it_knows_the_others_by_name(host, home):
    for other in home.hosts:
        found = host.check_output("getent ahosts %s", other.name).split()
        assert str(other.address) in found or other.name == host.check_output("hostname")


def test_its_address_is_where_the_inventory_says(host, mine):
    carrier = [name for name in host.interface.names() if str(mine.address) in host.interface(name).addresses]
    assert carrier == [mine.interface] if mine.interface else len(carrier) == 1


def test_packages_are_installed(host, home):
    names = {"ca-certificates", "kmod", *(name.partition("=")[0] for name in home.base.packages)}
    names |= {"nftables"} if home.base.firewall else set()
    assert {name for name in names if not host.package(name).is_installed} == set()


def test_the_time_zone_is_the_inventory_s(host, home):
    if home.base.timezone is None:
        pytest.skip("the inventory names none")
    assert host.check_output("readlink -f /etc/localtime") == f"/usr/share/zoneinfo/{home.base.timezone}"


def test_a_daemon_keeps_the_time(host, contained):
    if contained:
        pytest.skip("a container has its machine's clock")
    assert any(host.service(unit).is_running for unit in (clock.UNIT, *clock.OTHER_UNITS))


def test_the_kernel_is_ready_for_pods(host, mine, contained):
    if mine.role is None:
        pytest.skip("no node of the cluster")
    assert host.sysctl("net.ipv4.ip_forward") == 1
    assert host.sysctl("net.bridge.bridge-nf-call-iptables") == 1
    written = host.file(kernel.SYSCTLS).content_string
    for line in written.splitlines()[1:]:
        key, _, value = line.partition(" = ")
        assert (key, str(host.sysctl(key))) == (key, value)
        assert not contained or key.startswith("net.")
    controllers = host.run("cat /sys/fs/cgroup/cgroup.controllers").stdout.split()
    assert "memory" in controllers or "memory" in host.file("/proc/cgroups").content_string


def test_modules_are_loaded_at_boot(host, mine, contained):
    if mine.role is None or contained:
        pytest.skip("no node of the cluster with a kernel of its own")
    assert set(kernel.modules(mine)) <= set(host.file(kernel.MODULES).content_string.splitlines())


def test_kernel_arguments_are_left_alone_off_a_raspberry(host):
    assert not host.file(f"{boot.CMDLINE}.homelab-before").exists


def test_security_upgrades_come_by_themselves_and_never_reboot(host, home):
    if not home.base.unattended_upgrades:
        pytest.skip("turned off in the inventory")
    said = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in said
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in said
    for timer in upgrades.TIMERS:
        assert host.service(timer).is_running
        assert host.service(timer).is_enabled


def test_the_ssh_daemon_is_hardened(host, home):
    if not home.base.ssh_hardening:
        pytest.skip("turned off in the inventory")
    said = host.check_output("sshd -T").splitlines()
    for setting in ("permitrootlogin without-password", "permitemptypasswords no", "x11forwarding no"):
        assert setting in said


def test_the_ssh_daemon_takes_keys_only(host, mine, home):
    if not home.base.ssh_hardening or "PasswordAuthentication no" not in host.file(sshd.DROPIN).content_string:
        pytest.skip("passwords are left on: the deploy's own login needs one, or the inventory says so")
    transport = paramiko.Transport((str(mine.ssh.get("ssh_hostname", mine.address)), int(mine.ssh.get("ssh_port", 22))))
    try:
        transport.start_client(timeout=30)
        with pytest.raises(paramiko.BadAuthenticationType) as refused:
            transport.auth_none(str(mine.ssh.get("ssh_user", "root")))
        assert refused.value.allowed_types == ["publickey"]
    finally:
        transport.close()


def test_nothing_is_on_trial(host):
    assert host.run("ls /etc/tmpfiles.d/homelab-revert-*").rc != 0
    assert host.check_output("systemctl list-units --all --no-legend 'homelab-revert-*'") == ""


def test_the_firewall_is_loaded_and_starts_at_boot(host, home):
    if not home.base.firewall:
        pytest.skip("turned off in the inventory")
    assert host.service(firewall.UNIT).is_enabled
    assert host.service(firewall.UNIT).is_running
    loaded = host.check_output("nft -sn list table inet homelab | sha256sum").split()[0]
    assert host.file(firewall.LOADED).content_string.strip() == loaded


def test_only_what_it_is_for_answers_from_here(host, mine, home):
    if not home.base.firewall:
        pytest.skip("turned off in the inventory")
    assert knock(mine.address, int(mine.ssh.get("ssh_port", 22))) == "open"
    # 9: discard, which nobody runs; without the firewall the host would say that it is closed.
    assert knock(mine.address, 9) == "silence"
    if mine.role:
        assert knock(mine.address, 443) in ("open", "closed")
        assert knock(mine.address, 10250) == "silence"
        assert knock(mine.address, 2379) == "silence"
    if mine.role == "server":
        assert knock(mine.address, 6443) in ("open", "closed")


def test_members_of_the_cluster_reach_each_other(host, mine, home):
    if mine.role is None or not home.base.firewall:
        pytest.skip("no node of the cluster behind a firewall")
    for other in home.servers + home.agents:
        if other.away or other.name == mine.name:
            continue
        # A closed port is refused at once; a dropped packet would take the whole three seconds (124).
        done = host.run(f"timeout 3 bash -c '</dev/tcp/{other.address}/10250'")
        assert (other.name, done.rc) != (other.name, 124)
