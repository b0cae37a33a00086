"""The home as Ansible's inventory: the same hosts, reached as pyinfra reaches them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from homelab.model import Host, Problem

_SAME = {
    "ssh_port": "ansible_port",
    "ssh_user": "ansible_user",
    "ssh_connect_retries": "ansible_ssh_retries",
    "ssh_file_transfer_protocol": "ansible_ssh_transfer_method",
}
# The group of those that a run is limited to. No host can be called so: a hostname has no underscore.
PART = "homelab_limit"
# paramiko's own, which OpenSSH has no word for.
_UNKNOWN = ("ssh_paramiko_connect_kwargs",)


def problems(hosts: Iterable[Host]) -> Iterator[Problem]:
    """Why Ansible cannot reach some of these hosts as pyinfra does."""
    for host in hosts:
        if host.inventory_name.startswith("@"):
            yield Problem(
                host.inventory_name, "is rehearsed, there is no such machine", "set HOMELAB_ENV to a real home"
            )
        for key in _UNKNOWN:
            if host.ssh.get(key):
                yield Problem(
                    f"{host.name}.{key}",
                    "is paramiko's, and Ansible uses ssh",
                    "write it in a file, as ssh_config_file",
                )


def inventory(hosts: Iterable[Host], base: Path, *, part: Iterable[Host] | None = None) -> dict[str, Any]:
    """Ansible's inventory of these hosts, in the groups of the inventory file. Relative paths are looked for in `base`.

    `part` of them are in PART as well, so that a run can be limited to just these: to Ansible a name is first of all a
    group's, and a NAS may well be called nas.
    """
    found = {host.name: host for host in hosts}
    children: dict[str, Any] = {
        group: {"hosts": {name: {} for name, host in found.items() if group in groups_of(host)}}
        for group in ("k3s_servers", "k3s_agents", "nas")
    }
    if part is not None:
        children[PART] = {"hosts": {host.name: {} for host in part}}
    return {"all": {"hosts": {name: variables(host, base) for name, host in found.items()}, "children": children}}


def groups_of(host: Host) -> list[str]:
    """The groups of the inventory file that a host is in."""
    role = {"server": "k3s_servers", "agent": "k3s_agents"}.get(host.role or "")
    return [group for group in (role, "nas" if host.nas else None) if group]


def variables(host: Host, base: Path) -> dict[str, Any]:
    """How Ansible reaches a host: its variables, from pyinfra's connection keys.

    Nobody is there to answer ssh, so it never asks; host keys are verified as the inventory says, by default strictly.
    """
    ssh = host.ssh
    found: dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": str(ssh.get("ssh_hostname") or host.name)}
    found |= {name: ssh[key] for key, name in _SAME.items() if ssh.get(key)}
    if own := ssh.get("ssh_key"):
        found["ansible_ssh_private_key_file"] = _path(own, base)
    found["ansible_ssh_common_args"] = shlex.join(_options(ssh, base))
    found["ansible_become_user"] = "root"
    return found


def _options(ssh: Mapping[str, object], base: Path) -> Iterator[str]:
    if file := ssh.get("ssh_config_file"):
        yield from ("-F", _path(file, base))
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": str(ssh.get("ssh_strict_host_key_checking") or "yes"),
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "8",
    }
    if known := ssh.get("ssh_known_hosts_file"):
        options["UserKnownHostsFile"] = _quoted(_path(known, base))
    if ssh.get("ssh_key"):
        # That key and no other, from the agent if it is there: as pyinfra.
        options["IdentitiesOnly"] = "yes"
    else:
        if ssh.get("ssh_allow_agent") is False:
            options["IdentityAgent"] = "none"
        if ssh.get("ssh_look_for_keys") is False:
            options["IdentityFile"] = "none"
    if ssh.get("ssh_forward_agent"):
        options["ForwardAgent"] = "yes"
    for key, value in options.items():
        yield from ("-o", f"{key}={value}")


def _path(value: object, base: Path) -> str:
    return str(base / Path(str(value)).expanduser())


def _quoted(path: str) -> str:
    # ssh_config(5): an argument with blanks stands in double quotes.
    return f'"{path}"' if " " in path else path
