"""Ansible's way to hosts over real SSH, with what the inventory says: key, port, strictness, and no terminal."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
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


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        running = Daemon(tmp_path, port=server.getsockname()[1], door=Shell)
        threading.Thread(target=running.serve, args=(server,), daemon=True).start()
        running.key.write_private_key_file(str(tmp_path / "key"))
        known = f"[127.0.0.1]:{running.port} {running.own.get_name()} {running.own.get_base64()}\n"
        (tmp_path / "known_hosts").write_text(known)
        yield running
        for transport in running.transports:
            transport.close()


def hosts(daemon: Daemon, **changed: object) -> AnsibleHosts:
    ssh = {
        "ssh_hostname": "127.0.0.1",
        "ssh_port": daemon.port,
        "ssh_user": "me",
        "ssh_key": "key",
        "ssh_known_hosts_file": "known_hosts",
    }
    host = Host(name="s1", address="192.0.2.11", ssh={**ssh, **changed})
    made = inventory([host], daemon.folder)
    made["all"]["hosts"]["s1"]["ansible_become"] = False
    return AnsibleHosts(Ansible(made), ROOT / PLAYBOOK)


def look(daemon: Daemon, **changed: object) -> Seen | HostError:
    return hosts(daemon, **changed).look(["s1"], "none")["s1"]


def test_a_host_is_reached_by_its_key_and_looked_at_without_a_terminal(daemon: Daemon) -> None:
    Shell.terminals = 0
    seen = look(daemon)
    assert isinstance(seen, Seen) and seen.boot
    assert Shell.terminals == 0 and daemon.commands


def test_a_host_whose_key_is_another_is_not_trusted(daemon: Daemon) -> None:
    other = paramiko.ECDSAKey.generate()
    line = f"[127.0.0.1]:{daemon.port} {other.get_name()} {other.get_base64()}\n"
    (daemon.folder / "known_hosts").write_text(line)
    for strict in ("yes", "accept-new"):
        error = look(daemon, ssh_strict_host_key_checking=strict)
        assert isinstance(error, HostError) and error.unreachable and "another host key than before" in str(error)
    assert daemon.commands == []


def test_a_host_that_nobody_knows_is_trusted_only_where_that_is_said(daemon: Daemon) -> None:
    (daemon.folder / "known_hosts").write_text("")
    error = look(daemon)
    assert isinstance(error, HostError) and "log in once with ssh and compare the fingerprint" in str(error)
    assert isinstance(look(daemon, ssh_strict_host_key_checking="accept-new"), Seen)
    assert (daemon.folder / "known_hosts").read_text() != ""


def test_a_key_that_does_not_open_is_one_line(daemon: Daemon) -> None:
    paramiko.RSAKey.generate(2048).write_private_key_file(str(daemon.folder / "other"))
    error = look(daemon, ssh_key="other")
    assert isinstance(error, HostError) and error.unreachable
    assert "Permission denied (" in str(error) and "see ssh_user and ssh_key" in str(error)
