"""What must be refused: one clear line, and nothing touched on any host."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from homelab.k3s import artifacts
from homelab.settings import Settings
from tests.faults.conftest import NODES, power, state
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import LOGS, Lab


def refused(
    lab: Lab,
    *says: str,
    hosts: tuple[str, ...] = NODES,
    processes: bool = True,
    inventory: str = "inventory",
    **env: str,
) -> None:
    """The deploy ends with exactly one line, which says all of this, and no host is touched; nor are its `processes`,
    where nothing else ends them."""
    before = state(lab, hosts, processes)
    done = lab.deploy("k3s", inventory=inventory, **env)
    assert done.code == 1, done.said
    assert len(done.reasons) == 1, done.reasons
    for text in says:
        assert text in done.reasons[0]
    assert "Traceback" not in done.said
    assert state(lab, hosts, processes) == before


def test_corrupt_binary_in_the_cache_is_refused(whole, tmp_path):
    cache = Settings.read().artifacts / whole.version
    copy = tmp_path / "homelab" / "artifacts" / whole.version
    shutil.copytree(cache, copy, ignore=shutil.ignore_patterns(".*"))
    with (copy / artifacts.binary("amd64")).open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))
    refused(whole, "is corrupt", "delete it", XDG_CACHE_HOME=str(tmp_path))


def test_wrong_interface_is_refused(whole):
    inventory = whole.inventory("interface", hosts={"s2": {"interface": "eth9"}})
    refused(whole, "s2", "eth9", "eth0", inventory=inventory)


def test_wrong_address_is_refused(whole):
    inventory = whole.inventory("address", hosts={"s2": {"address": "10.17.77.99"}})
    refused(whole, "s2", "10.17.77.99", inventory=inventory)


def test_user_without_sudo_is_refused(whole):
    whole.ssh(
        "s3",
        "id nosudo >/dev/null 2>&1 || useradd -m -s /bin/sh nosudo; install -d -o nosudo -m 700 ~nosudo/.ssh;"
        "install -o nosudo -m 600 ~vagrant/.ssh/authorized_keys ~nosudo/.ssh/authorized_keys",
    )
    try:
        refused(whole, "s3", "sudo", inventory=whole.inventory("sudo", hosts={"s3": {"ssh_user": "nosudo"}}))
    finally:
        whole.ssh("s3", "userdel -r nosudo 2>/dev/null; true")


def test_unsupported_system_is_refused(whole):
    # A stand-in: Debian that says of itself that it is Fedora.
    whole.ssh("a1", "cp -a --remove-destination $(readlink -f /etc/os-release) /etc/os-release.kept")
    whole.ssh(
        "a1",
        r"""sed 's/^ID=.*/ID=fedora/; s/^PRETTY_NAME=.*/PRETTY_NAME="Fedora Linux 42"/' /etc/os-release.kept \
>/etc/os-release.new && mv -f /etc/os-release.new /etc/os-release""",
    )
    try:
        refused(whole, "a1", "Fedora Linux 42")
    finally:
        whole.ssh("a1", "rm -f /etc/os-release.kept; ln -sfn ../usr/lib/os-release /etc/os-release")


def test_changed_version_is_refused(whole):
    before = state(whole)
    done = whole.deploy("k3s", HOMELAB_K3S_VERSION="v1.34.1+k3s1")
    assert done.code == 1
    assert len(done.reasons) == len(NODES), done.reasons
    assert all("changing the version is not supported yet" in line for line in done.reasons)
    assert state(whole) == before


def test_node_that_the_inventory_lacks_is_refused(whole):
    inventory = whole.inventory("lacks", append={"sandbox.py": "k3s_agents = []"})
    refused(whole, "a1", "the inventory lacks it", inventory=inventory)


def test_second_deploy_at_the_same_time_is_refused(whole):
    holder = subprocess.Popen(
        [
            "ssh",
            "-F",
            str(ROOT / ".sandbox" / "ssh_config"),
            "-o",
            "ControlPath=none",
            "s2",
            "sudo flock /run/homelab/lock sh -c"
            " 'echo somebody@elsewhere since noon >/run/homelab/holder; echo held; cat'",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused(whole, "s2", "another deploy is running", "somebody@elsewhere since noon")
    finally:
        holder.communicate()


def test_lock_of_a_killed_deploy_is_free(whole):
    LOGS.mkdir(parents=True, exist_ok=True)
    first = whole.start_deploy(LOGS / "killed-lock.log")
    whole.ssh("s1", "timeout 120 sh -c 'until ! flock -n /run/homelab/lock true; do sleep 0.2; done'")
    first.kill()
    first.wait()
    assert whole.ssh("s1", "timeout 60 flock /run/homelab/lock echo free") == "free\n"


def test_host_that_is_down_stops_the_run_and_away_lets_it_go_on(whole):
    others = ("s1", "s2", "a1")
    power("power-cut", "s3")
    try:
        # A K3s that loses etcd's leader with it ends by itself, and is started by systemd.
        refused(whole, "s3", "cannot be reached", "away: True", hosts=others, processes=False)
        inventory = whole.inventory(
            "away",
            hosts={"s3": {"away": True}},
            append={"group_data/sandbox.py": "timezone = 'Europe/Lisbon'"},
        )
        done = whole.deploy("site", inventory=inventory)
        assert done.code == 0, done.reasons
        assert "s3" not in {host for changed in done.changes.values() for host in changed}
        for host in others:
            assert whole.ssh(host, "readlink /etc/localtime").strip().endswith("Europe/Lisbon")
    finally:
        power("power-on", "s3")


def test_home_is_never_reached(whole):
    """A home.py of other addresses is there, and not one packet goes to them."""
    home = ROOT / "inventory" / "home.py"
    if home.exists():
        pytest.skip("inventory/home.py exists; this test would have to replace it")
    home.write_text('k3s_servers = [("rack1", {"ssh_hostname": "198.51.100.7", "address": "198.51.100.7"})]\n')
    count = ["iptables", "-w", "-I", "OUTPUT", "-d", "198.51.100.0/24", "-m", "comment", "--comment", "homelab-test"]
    subprocess.run(count, check=True)
    try:
        done = whole.deploy("site")
        assert done.code == 0, done.reasons
        listed = subprocess.run(
            ["iptables", "-w", "-nvxL", "OUTPUT"], check=True, capture_output=True, text=True
        ).stdout
        line = next(line for line in listed.splitlines() if "homelab-test" in line)
        assert line.split()[0] == "0", line
    finally:
        home.unlink()
        subprocess.run(["iptables", "-w", "-D", *count[3:]], check=True)
