"""Which packages a host gets, and who keeps its clock."""

from dataclasses import replace

import pytest

from homelab.host import clock, packages
from homelab.model import Base
from homelab.probe import UnitState
from tests.probes import home, machine, node

RUNNING = UnitState(load="loaded", active="active", sub="running", enabled="enabled", pid=1)


def wanted(probe, base=None):
    return packages.wanted(home(base=base), node(), probe)


def test_a_bare_machine_gets_a_time_daemon():
    assert clock.PACKAGE in wanted(machine(units={}))


@pytest.mark.parametrize("unit", clock.OTHER_UNITS)
def test_another_time_daemon_is_left_to_its_owner(unit: str):
    probe = machine(units={unit: RUNNING})
    assert clock.keeper(probe) == unit
    assert clock.PACKAGE not in wanted(probe)


@pytest.mark.parametrize("package", clock.OTHER_PACKAGES)
def test_a_time_daemon_that_does_not_run_is_not_replaced(package: str):
    # apt would remove it: Debian lets one stand at a time.
    assert clock.PACKAGE not in wanted(machine(units={}, packages=frozenset({package})))


def test_a_container_has_its_machine_s_clock():
    assert clock.PACKAGE not in wanted(machine(container="lxc", units={}))


def test_the_inventory_s_packages_come_along_each_once():
    names = wanted(machine(), Base(packages=("vim", "procps=2:4.0.2-3")))
    assert "vim" in names
    assert "procps=2:4.0.2-3" in names
    assert "procps" not in names


def test_nothing_is_installed_for_what_is_turned_off():
    names = wanted(machine(), Base(firewall=False, unattended_upgrades=False))
    assert not {"nftables", "unattended-upgrades"} & set(names)


def test_a_pinned_version_is_missing_when_another_is_installed():
    probe = machine(packages=frozenset({"vim", "vim=2:9.0"}))
    assert packages.missing(("vim", "vim=2:9.0"), probe) == ()
    assert packages.missing(("vim=2:9.1",), probe) == ("vim=2:9.1",)


def test_every_wanted_package_is_asked_for():
    base = Base(timezone="Europe/Berlin", packages=("vim=2:9.0",))
    asked = packages.candidates(home(base=base))
    assert {name.partition("=")[0] for name in wanted(machine(units={}), base)} <= set(asked)


def test_time_servers_fill_one_dropin():
    dropin = clock.timesyncd(home(base=Base(ntp_servers=("ntp1.example", "192.168.1.1"))))
    assert dropin is not None
    assert dropin.content == "[Time]\nNTP=ntp1.example 192.168.1.1\n"
    assert clock.timesyncd(home()) is None


def test_keeper_prefers_the_daemon_that_runs():
    probe = replace(machine(units={"ntp.service": RUNNING}), packages=frozenset({"chrony"}))
    assert clock.keeper(probe) == "ntp.service"


def test_a_node_whose_kernel_has_apparmor_gets_its_program():
    on = {packages.APPARMOR_ENABLED: "Y\n"}
    assert "apparmor" in wanted(machine(text=on))
    assert "apparmor" not in wanted(machine(text={packages.APPARMOR_ENABLED: "N\n"}))
    assert "apparmor" not in wanted(machine(text=on, container="lxc"))
    assert "apparmor" not in wanted(machine())
