"""What a run relies on of pyinfra's own connections, tried on a real SSH server of paramiko's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from pyinfra.api.config import Config
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.connectors.ssh import SSHConnector

from homelab.pyinfra_compat import NewConnection, Refusal, _connect_all, logged_in_by_key, reconnect
from tests.bench.counted import count

PASSWORD = "right"
MSG_CHANNEL_SUCCESS = 99  # RFC 4254, 9


class Answering(paramiko.Transport):
    """Counts the requests it has granted: a command's end must not overtake the news that it was accepted."""

    def __init__(self, connection: socket.socket) -> None:
        self.granted = threading.Semaphore(0)
        super().__init__(connection)

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        if data.asbytes()[0] == MSG_CHANNEL_SUCCESS:
            self.granted.release()


@dataclass
class Door(paramiko.ServerInterface):
    """Lets in who knows the key or the password, and answers every command with exit 0, or 1 when it says `false`."""

    key: paramiko.PKey
    commands: list[str] = field(default_factory=list)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL if key == self.key else AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        return AUTH_SUCCESSFUL if password == PASSWORD else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())

        def answer() -> None:
            assert channel.transport.granted.acquire(timeout=60)  # type: ignore[attr-defined]
            bad = "false" in command.decode()
            if bad:
                channel.sendall_stderr(b"it is false\n")
            channel.send_exit_status(int(bad))
            channel.close()

        threading.Thread(target=answer).start()
        return True


@dataclass
class Daemon:
    """An SSH server on this machine: a door and a transport for each who came in."""

    folder: Path
    key: paramiko.RSAKey = field(default_factory=lambda: paramiko.RSAKey.generate(2048))
    own: paramiko.PKey = field(default_factory=paramiko.ECDSAKey.generate)
    doors: list[Door] = field(default_factory=list)
    transports: list[paramiko.Transport] = field(default_factory=list)
    port: int = 0
    door: type[Door] = Door

    def serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            door, transport = self.door(self.key), Answering(connection)
            transport.add_server_key(self.own)
            self.doors.append(door)
            self.transports.append(transport)
            transport.start_server(server=door, event=threading.Event())

    @property
    def commands(self) -> list[str]:
        return [command for door in self.doors for command in door.commands]

    def host(self, **data: object) -> Host:
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.own.get_name()} {self.own.get_base64()}\n", encoding="utf-8")
        place = {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": self.port,
            "ssh_user": "me",
            "ssh_known_hosts_file": str(known),
            "ssh_strict_host_key_checking": "yes",
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
        }
        inventory = Inventory(([("s1", {**place, **data})], {}))
        State(inventory, Config())
        host = inventory.get_host("s1")
        assert host is not None
        return host


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = Daemon(tmp_path, port=server.getsockname()[1])
        known.key.write_private_key_file(str(tmp_path / "key"))
        threading.Thread(target=known.serve, args=(server,), daemon=True).start()
        yield known
        for transport in known.transports:
            transport.close()
        server.shutdown(socket.SHUT_RDWR)


def test_a_login_by_key_is_told_from_one_by_password(daemon: Daemon) -> None:
    by_key = daemon.host(ssh_key=str(daemon.folder / "key"))
    by_password = daemon.host(ssh_password=PASSWORD)
    assert not logged_in_by_key(by_key), "not connected yet"
    for host in (by_key, by_password):
        host.connect(raise_exceptions=True)
    assert (logged_in_by_key(by_key), logged_in_by_key(by_password)) == (True, False)


def test_a_new_connection_is_a_login_of_its_own_and_runs_as_root(daemon: Daemon) -> None:
    host = daemon.host(ssh_key=str(daemon.folder / "key"))
    host.connect(raise_exceptions=True)
    connection = NewConnection(host)
    assert len(daemon.doors) == 2
    assert connection.run("echo new") == (True, "")
    assert connection.run("false") == (False, "it is false")
    connection.close()
    assert daemon.doors[0].commands == []
    assert "sudo" in daemon.commands[-1]


def test_a_new_connection_that_is_not_let_in_says_so(daemon: Daemon) -> None:
    host = daemon.host(ssh_password=PASSWORD)
    host.connect(raise_exceptions=True)
    host.data.ssh_password = "wrong"
    with pytest.raises(ConnectError):
        NewConnection(host)


def test_after_a_reboot_the_host_is_connected_to_anew(daemon: Daemon) -> None:
    host = daemon.host(ssh_key=str(daemon.folder / "key"))
    host.connect(raise_exceptions=True)
    daemon.transports[0].close()
    reconnect(host)
    assert len(daemon.doors) == 2
    ok, _ = host.run_shell_command("true")
    assert ok
    assert len(daemon.doors[1].commands) >= 1


def test_the_bench_counts_every_command_as_the_server_saw_it(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    patched = ((SSHConnector, "connect"), (paramiko.SSHClient, "exec_command"), (paramiko.SSHClient, "open_sftp"))
    for owner, name in patched:
        # To be put back afterwards.
        monkeypatch.setattr(owner, name, getattr(owner, name))
    counted: dict[str, list[str]] = {}
    count(counted)
    host = daemon.host(ssh_key=str(daemon.folder / "key"))
    host.connect(raise_exceptions=True)
    host.run_shell_command("true")
    connection = NewConnection(host)
    connection.run("echo new")
    # As the toolkit's lock is taken, past pyinfra's own way.
    host.connector.client.exec_command("echo lock")  # type: ignore[attr-defined]
    connection.close()
    assert list(counted) == ["s1"]
    assert sorted(counted["s1"]) == sorted(daemon.commands)
    assert len(counted["s1"]) >= 3


def test_a_key_that_is_not_there_is_one_line(daemon: Daemon, tmp_path: Path) -> None:
    host = daemon.host(ssh_key=str(tmp_path / "id_ed25519"))
    with pytest.raises(Refusal) as refused:
        _connect_all(host.state)
    said = str(refused.value)
    assert f"s1: ssh_key: No such private key file: {tmp_path / 'id_ed25519'}; correct it" in said
    assert daemon.doors == []
