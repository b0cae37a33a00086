"""deploys/base.py on hosts that do not exist: the plan in its order, and what no host is asked to do."""

from __future__ import annotations

import json

import pytest

from tests.deploys.rehearsal import planned_site, pyinfra

NODES = {"@fake/s1", "@fake/s2", "@fake/s3", "@fake/a1", "@fake/a2"}
EVERYONE = NODES | {"@fake/nas"}


@pytest.fixture(scope="module")
def plan() -> dict[str, set[str]]:
    """Operation names in their order, with the hosts each would change."""
    done = pyinfra("--dry", "--json", "inventory", "deploys/base.py")
    assert done.returncode == 0, done.stderr
    return {each["name"]: set(each["hosts_with_change"]) for each in json.loads(done.stdout)["plan"]}


def test_the_plan_is_told_in_sentences_and_in_order(plan: dict[str, set[str]]) -> None:
    assert list(plan) == [
        "Set the hostname",
        "Name the inventory's hosts in /etc/hosts",
        "Install packages",
        "Set the time zone Europe/Berlin",
        "Leave the time servers to the system",
        "Keep the time",
        "Load the kernel's modules for pods",
        "Set the kernel for pods",
        "Install security upgrades unattended, without a reboot",
        "Start apt-daily.timer",
        "Start apt-daily-upgrade.timer",
        "Harden the SSH daemon",
        "Write the firewall's unit",
        "Close the firewall",
        "Close the firewall at boot",
        "Install what hears of the UPS",
        "Follow the UPS of nas",
        "Let a boot start NUT",
        "Go down in time when the battery is low",
    ]
    assert plan["Follow the UPS of nas"] == {f"@fake/{name}" for name in ("s1", "s2", "s3", "a1", "a2")}


def test_what_stands_is_not_changed(plan: dict[str, set[str]]) -> None:
    assert plan["Set the hostname"] == set()
    assert plan["Leave the time servers to the system"] == set()


def test_the_kernel_is_prepared_on_nodes_only(plan: dict[str, set[str]]) -> None:
    assert plan["Set the kernel for pods"] == NODES
    assert plan["Close the firewall"] == EVERYONE


def test_it_runs_to_its_end() -> None:
    done = pyinfra("-y", "inventory", "deploys/base.py")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_the_whole_site_begins_with_it_once() -> None:
    names = [each["name"].rpartition(" | ")[2] for each in planned_site()]
    assert names[0] == "Set the hostname"
    assert names.count("Close the firewall") == 1
