"""A UPS whose battery gets low: who hears of it, and that the NAS goes down last. NUT's own simulated UPS plays it.

The UPS is the only stand-in: the driver, upsd, both upsmons, the units and the shutdown of the two machines are real.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.conftest import power
from tests.faults.test_nas import lab as lab  # the sandbox's NAS, deployed
from tests.faults.test_nas import start, until
from tests.hosts import inventory
from tests.sandbox import machines
from tests.sandbox.hosts import table
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.long

# Who is at the UPS; the servers of the cluster are not.
NODE = "a1"
PLAYED = "/etc/nut/homelab.dev"
NUT = "nut-monitor.service nut-server.service nut-driver@ups.service nut.target"


def deploy(lab: Lab, inventory: str = "inventory") -> tuple[int, dict[str, list[str]], list[str]]:
    """The base of the node, and the NAS: what the deploys of a whole home do about a UPS."""
    done = lab.deploy("nas", "--limit", f"nas,{NODE}", inventory=inventory)
    if done.code:
        return done.code, done.changes, done.reasons
    node = lab.deploy("base", "--limit", f"nas,{NODE}", inventory=inventory)
    return node.code, {**done.changes, **node.changes}, node.reasons


@pytest.fixture(scope="module")
def powered(lab: Lab) -> Iterator[str]:
    """The inventory with a simulated UPS, deployed; afterwards it is described no more."""
    if not any(host.name == NODE for host in inventory.home().hosts):
        pytest.skip(f"the set {lab.size} has no {NODE}")
    ups = {"driver": "dummy-ups", "port": PLAYED.rpartition("/")[2], "nodes": [NODE]}
    case = lab.inventory("ups", hosts={"nas": {"ups": ups}})
    try:
        lab.ssh("nas", f"rm -f {PLAYED}")
        code, _, reasons = deploy(lab, case)
        assert code == 0, reasons
        yield case
    finally:
        switch_on(lab)
        lab.ssh("nas", f"rm -f {PLAYED}")
        code, _, reasons = deploy(lab)
        assert code == 0, reasons


def switch_on(lab: Lab) -> None:
    """Switch the node and the NAS on, and wait until both answer."""
    power("power-on", NODE)
    start(lab)
    until("the node answers", lambda: lab.ssh(NODE, "echo up", check=False), 600)


def status(lab: Lab, host: str = "nas", at: str = "127.0.0.1") -> str:
    """What a host hears of the UPS."""
    return lab.ssh(host, f"upsc ups@{at} ups.status 2>/dev/null", check=False).strip()


def play(lab: Lab, words: str, check: bool = True) -> None:
    lab.ssh("nas", f"sed -i 's/^ups.status:.*/ups.status: {words}/' {PLAYED} && sync", check)


def test_the_node_is_connected_and_nobody_else_may_be(lab: Lab, powered: str) -> None:
    home = inventory.home()
    nas, node = str(home.host("nas").address), str(home.host(NODE).address)
    clients = "upsc -c ups@127.0.0.1 2>/dev/null"
    until("the UPS answers", lambda: status(lab) == "OL")
    until("both are connected", lambda: {"127.0.0.1", node} <= set(lab.ssh("nas", clients, check=False).split()))
    assert "homelab_node" in lab.ssh("nas", "journalctl -b -u nut-server -o cat | grep 'logged into UPS'")
    assert status(lab, NODE, nas) == "OL"
    reach = f"timeout 10 bash -c '</dev/tcp/{nas}/3493' 2>/dev/null && echo open || echo closed"
    server = next(host.name for host in home.hosts if host.role == "server")
    assert (lab.ssh(NODE, reach).strip(), lab.ssh(server, reach).strip()) == ("open", "closed")
    for host, files in (("nas", "nut.conf ups.conf upsd.conf upsd.users upsmon.conf"), (NODE, "nut.conf upsmon.conf")):
        modes = lab.ssh(host, f"cd /etc/nut && stat -c '%a %U:%G' {files}").splitlines()
        assert set(modes) == {"640 root:nut"}
    # Passwords are in no command line and no log.
    for host in ("nas", NODE):
        count = (
            "umask 077; cd /run; awk '$1 == \"MONITOR\" {print $5}' /etc/nut/upsmon.conf >secret; wc -c <secret;"
            " { journalctl -b -o cat; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; } 2>/dev/null | grep -cFf secret;"
            " rm secret"
        )
        length, found = lab.ssh(host, count, timeout=300).split()
        assert int(length) > 30 and found == "0"


def test_a_second_run_changes_nothing_and_restarts_nothing(lab: Lab, powered: str) -> None:
    pids = f"systemctl show -p MainPID {NUT}"
    before = [lab.ssh(host, pids) for host in ("nas", NODE)]
    assert deploy(lab, powered) == (0, {}, [])
    assert [lab.ssh(host, pids) for host in ("nas", NODE)] == before


def test_an_upsmon_that_dies_is_back_without_anybody(lab: Lab, powered: str) -> None:
    node = str(inventory.home().host(NODE).address)
    connected = "upsc -c ups@127.0.0.1 2>/dev/null"
    main = lab.ssh(NODE, "systemctl show -p MainPID --value nut-monitor").strip()
    lab.ssh(NODE, f"kill -9 {main}")
    until(
        "it is another one",
        lambda: lab.ssh(NODE, "systemctl show -p MainPID --value nut-monitor").strip() not in (main, "0"),
    )
    until("the node is connected", lambda: node in lab.ssh("nas", connected, check=False).split())


def test_a_power_cut_is_told_at_once_and_so_is_its_end(lab: Lab, powered: str) -> None:
    watch = "cat /var/lib/homelab/watch"
    play(lab, "OB")
    until("it is told", lambda: "UPS ups: the power is out" in lab.ssh("nas", watch, check=False))
    play(lab, "OL")
    until("its end is told", lambda: "UPS ups" not in lab.ssh("nas", watch, check=False))


def test_with_a_low_battery_the_node_goes_down_and_the_nas_after_it(lab: Lab, powered: str) -> None:
    hosts, _ = table()
    _, providers = machines.planned()

    def on(name: str) -> bool:
        return machines.running(hosts[name], providers[name])

    # What is said of it has to be there after the boot.
    lab.ssh("nas", "mkdir -p /var/log/journal && journalctl --flush")
    play(lab, "OB LB")
    try:
        # Of the two the NAS is looked at first, so a node that is on after it is one that the NAS left behind.
        until("the node is down", lambda: _in_order(on("nas"), on(NODE)) and not on(NODE), 600)
        until("the NAS is down", lambda: not on("nas"), 900)
    finally:
        machines.end_shared_connections([hosts["nas"], hosts[NODE]])
        try:
            # Where ups-shutdown never ran, the next boot would find the battery low.
            play(lab, "OL", check=False)
        finally:
            power("power-cut", NODE)
            power("power-cut", "nas")
            switch_on(lab)
    said = lab.ssh("nas", "journalctl -b -1 -u nut-monitor -o cat")
    told = ("Executing automatic power-fail shutdown", "the battery is low: waiting", " is down")
    places = [said.find(each) for each in told]
    assert -1 not in places and places == sorted(places), said
    # With the power back all is as before. The simulated UPS cuts nothing, so that part is not tried.
    until("the UPS answers", lambda: status(lab) == "OL", 600)
    node = str(inventory.home().host(NODE).address)
    until(
        "the node is connected", lambda: node in lab.ssh("nas", "upsc -c ups@127.0.0.1 2>/dev/null", check=False), 300
    )
    assert deploy(lab, powered) == (0, {}, [])


def test_who_follows_no_more_is_let_go(lab: Lab, powered: str) -> None:
    code, _, reasons = deploy(lab)
    assert code == 0, reasons
    for host in ("nas", NODE):
        assert {*lab.ssh(host, f"systemctl is-active {NUT}; true").split()} == {"inactive"}
        left = "cd /etc/nut && ls ups.conf upsd.users upsmon.conf 2>/dev/null; true"
        assert lab.ssh(host, left) == ""
    assert deploy(lab) == (0, {}, [])


def _in_order(nas: bool, node: bool) -> bool:
    assert nas or not node, f"the NAS is off and {NODE} is on"
    return True
