"""Ansible's way to hosts over real SSH, with what the inventory says: key, port, strictness, and no terminal."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
import pytest

from homelab.ansible.inventory import inventory
from homelab.ansible.runner import Ansible
from homelab.model import Host
from homelab.patch.by_ansible import PLAYBOOK, AnsibleHosts
from homelab.patch.hosts import Seen
from homelab.patch.rolling import HostError
from tests.unit.test_pyinfra_connections import Daemon, Door

ROOT = Path(__file__).parents[3]


class Shell(Door):
    """Carries out what it is told, as a host would; sudo is left out, as nothing here needs it."""

    terminals = 0

    def check_channel_pty_request(self, channel: paramiko.Channel, *_: Any) -> bool:
        type(self).terminals += 1
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())

        def answer() -> None:
            assert channel.transport.granted.acquire(timeout=60)  # type: ignore[attr-defined]
            done = subprocess.run(["sh", "-c", command], capture_output=True, stdin=subprocess.DEVNULL, check=False)
            channel.sendall(done.stdout)
            channel.sendall_stderr(done.stderr)
            channel.send_exit_status(done.returncode)
            channel.close()

        threading.Thread(target=answer).start()
        return True


# What differs from host to host: what is known of its key, and what its inventory says of the way to it.
WAYS: dict[str, tuple[str, dict[str, object]]] = {
    "known": ("own", {}),
    "another-strict": ("other", {"ssh_strict_host_key_checking": "yes"}),
    "another-new": ("other", {"ssh_strict_host_key_checking": "accept-new"}),
    "unknown": ("", {}),
    "unknown-new": ("", {"ssh_strict_host_key_checking": "accept-new"}),
    "not-opened": ("own", {"ssh_key": "other"}),
}


@dataclass
class Looked:
    """How a look at all of them by one run ended, and the SSH server of each."""

    seen: Mapping[str, Seen | HostError]
    daemons: Mapping[str, Daemon]

    def known(self, name: str) -> str:
        return (self.daemons[name].folder / "known_hosts").read_text()


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looked]:
    """Ansible's start takes much more than what it is asked, so it is started once."""
    other, key, wrong = paramiko.ECDSAKey.generate(), *(paramiko.RSAKey.generate(2048) for _ in range(2))
    daemons: dict[str, Daemon] = {}
    made: dict[str, Any] = {}
    with ExitStack() as running:
        for name, (known, changed) in WAYS.items():
            server = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            folder = tmp_path_factory.mktemp(name)
            daemons[name] = here = Daemon(folder, key=key, port=server.getsockname()[1], door=Shell)
            threading.Thread(target=here.serve, args=(server,), daemon=True).start()
            key.write_private_key_file(str(folder / "key"))
            wrong.write_private_key_file(str(folder / "other"))
            theirs = {"own": here.own, "other": other}.get(known)
            line = f"[127.0.0.1]:{here.port} {theirs.get_name()} {theirs.get_base64()}\n" if theirs else ""
            (folder / "known_hosts").write_text(line)
            ssh = {
                "ssh_hostname": "127.0.0.1",
                "ssh_port": here.port,
                "ssh_user": "me",
                "ssh_key": "key",
                "ssh_known_hosts_file": "known_hosts",
            }
            host = Host(name=name, address="192.0.2.11", ssh={**ssh, **changed})
            made |= inventory([host], folder)["all"]["hosts"]
            made[name]["ansible_become"] = False
        hosts = AnsibleHosts(Ansible({"all": {"hosts": made}}), ROOT / PLAYBOOK)
        yield Looked(hosts.look(list(WAYS), "none"), daemons)
        for each in daemons.values():
            for transport in each.transports:
                transport.close()


def test_a_host_is_reached_by_its_key_and_looked_at_without_a_terminal(looked: Looked) -> None:
    seen = looked.seen["known"]
    assert isinstance(seen, Seen) and seen.boot
    assert Shell.terminals == 0 and looked.daemons["known"].commands


@pytest.mark.parametrize("name", ["another-strict", "another-new"])
def test_a_host_whose_key_is_another_is_not_trusted(looked: Looked, name: str) -> None:
    error = looked.seen[name]
    assert isinstance(error, HostError) and error.unreachable and "another host key than before" in str(error)
    assert looked.daemons[name].commands == []


def test_a_host_that_nobody_knows_is_trusted_only_where_that_is_said(looked: Looked) -> None:
    error = looked.seen["unknown"]
    assert isinstance(error, HostError) and "log in once with ssh and compare the fingerprint" in str(error)
    assert looked.known("unknown") == "" and looked.daemons["unknown"].commands == []
    assert isinstance(looked.seen["unknown-new"], Seen)
    assert looked.known("unknown-new") != ""


def test_a_key_that_does_not_open_is_one_line(looked: Looked) -> None:
    error = looked.seen["not-opened"]
    assert isinstance(error, HostError) and error.unreachable
    assert "Permission denied (" in str(error) and "see ssh_user and ssh_key" in str(error)
