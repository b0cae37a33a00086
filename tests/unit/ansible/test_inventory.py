"""The home as Ansible's inventory: reached as pyinfra reaches it, never laxer."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from homelab.ansible.inventory import PART, inventory, problems, variables
from homelab.model import Host
from homelab.model.ssh import SSH_KEYS

BASE = Path("/home/anna/lab")


def host(name: str = "s1", **fields: Any) -> Host:
    return Host(name=name, address="192.0.2.11", **fields)


def options(**ssh: Any) -> dict[str, str]:
    """ssh's options of a host with these connection keys."""
    words = shlex.split(variables(host(ssh=ssh), BASE)["ansible_ssh_common_args"])
    return dict(word.split("=", 1) for word in words if "=" in word)


def test_hosts_in_the_groups_of_the_inventory_file() -> None:
    hosts = (host("s1", role="server"), host("a1", role="agent"), host("nas", nas=True, role="agent"))
    made = inventory(hosts, BASE)["all"]
    assert list(made["hosts"]) == ["s1", "a1", "nas"]
    assert {name: list(group["hosts"]) for name, group in made["children"].items()} == {
        "k3s_servers": ["s1"],
        "k3s_agents": ["a1", "nas"],
        "nas": ["nas"],
    }
    # What a run is limited to: the name of a host may be that of a group.
    made = inventory(hosts, BASE, part=hosts[:1])["all"]
    assert list(made["hosts"]) == ["s1", "a1", "nas"] and list(made["children"][PART]["hosts"]) == ["s1"]


def test_a_host_with_nothing_said_is_reached_by_its_name_and_verified_strictly() -> None:
    made = variables(host(), BASE)
    assert made["ansible_host"] == "s1" and "ansible_user" not in made
    assert options() == {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "8",
    }


def test_every_connection_key_of_pyinfra_is_passed_on_or_refused() -> None:
    given = {
        "ssh_hostname": "192.0.2.99",
        "ssh_port": 2222,
        "ssh_user": "admin",
        "ssh_key": ".sandbox/ssh/key",
        "ssh_config_file": "ssh config",
        "ssh_known_hosts_file": ".sandbox/known hosts",
        "ssh_strict_host_key_checking": "accept-new",
        "ssh_forward_agent": True,
        "ssh_connect_retries": 3,
        "ssh_file_transfer_protocol": "scp",
    }
    made = variables(host(ssh=given), BASE)
    assert {key: value for key, value in made.items() if key != "ansible_ssh_common_args"} == {
        "ansible_connection": "ssh",
        "ansible_host": "192.0.2.99",
        "ansible_port": 2222,
        "ansible_user": "admin",
        "ansible_ssh_private_key_file": "/home/anna/lab/.sandbox/ssh/key",
        "ansible_ssh_retries": 3,
        "ansible_ssh_transfer_method": "scp",
        "ansible_become_user": "root",
    }
    assert shlex.split(made["ansible_ssh_common_args"])[:2] == ["-F", "/home/anna/lab/ssh config"]
    found = options(**given)
    assert found["UserKnownHostsFile"] == '"/home/anna/lab/.sandbox/known hosts"'
    assert (found["StrictHostKeyChecking"], found["ForwardAgent"]) == ("accept-new", "yes")
    assert found["IdentitiesOnly"] == "yes"
    # Without a key; a password in clear is refused at the door, delays between retries are Ansible's own.
    elsewhere = {"ssh_allow_agent", "ssh_look_for_keys", "ssh_paramiko_connect_kwargs"}
    refused = {"ssh_password", "ssh_key_password", "ssh_connect_retry_min_delay", "ssh_connect_retry_max_delay"}
    assert set(SSH_KEYS) == {*given} | elsewhere | refused


def test_without_a_key_the_agent_and_the_users_keys_count_unless_it_says_otherwise() -> None:
    assert not {"IdentitiesOnly", "IdentityAgent", "IdentityFile"} & options().keys()
    closed = options(ssh_allow_agent=False, ssh_look_for_keys=False)
    assert (closed["IdentityAgent"], closed["IdentityFile"]) == ("none", "none")


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (host(), None),
        (host(inventory_name="@fake/s1"), "@fake/s1: is rehearsed"),
        (
            host(ssh={"ssh_paramiko_connect_kwargs": {"compress": True}}),
            "s1.ssh_paramiko_connect_kwargs: is paramiko's",
        ),
    ],
)
def test_what_ansible_cannot_reach_as_pyinfra_does(made: Host, found: str | None) -> None:
    told = [str(each) for each in problems([made])]
    assert [line.startswith(found or "") for line in told] == ([True] if found else [])
