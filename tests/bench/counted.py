"""pyinfra as a user runs it, and every command that it gives to a host over SSH, counted where the channel is opened.

`python -m tests.bench.counted FILE ARGUMENTS...` runs `pyinfra ARGUMENTS...` and leaves {host: [command, ...]} in FILE.
"""

from __future__ import annotations

import atexit
import json
import sys
from pathlib import Path
from typing import Any

# Which imports gevent's patches, so it comes before what they patch.
from pyinfra_cli.main import main  # isort: skip
from paramiko import SSHClient
from pyinfra.connectors.ssh import SSHConnector

_UPLOAD = "sftp"


def count(commands: dict[str, list[str]]) -> None:
    """Note every command from now on, by its host.

    Paramiko's client and not pyinfra's connector, past which the toolkit's own lock goes.
    """
    names: dict[int, str] = {}
    clients = []
    connect, execute, upload = SSHConnector.connect, SSHClient.exec_command, SSHClient.open_sftp

    def connecting(self: SSHConnector, *arguments: Any, **named: Any) -> Any:
        done = connect(self, *arguments, **named)
        if self.client is not None:
            # Kept, so that no later client takes over its number.
            clients.append(self.client)
            names[id(self.client)] = self.host.name
        return done

    def executing(self: SSHClient, command: str, *arguments: Any, **named: Any) -> Any:
        commands.setdefault(names.get(id(self), "?"), []).append(command)
        return execute(self, command, *arguments, **named)

    def uploading(self: SSHClient) -> Any:
        commands.setdefault(names.get(id(self), "?"), []).append(_UPLOAD)
        return upload(self)

    for owner, name, value in (
        (SSHConnector, "connect", connecting),
        (SSHClient, "exec_command", executing),
        (SSHClient, "open_sftp", uploading),
    ):
        setattr(owner, name, value)


if __name__ == "__main__":
    found: dict[str, list[str]] = {}
    count(found)
    atexit.register(lambda file: file.write_text(json.dumps(found), encoding="utf-8"), Path(sys.argv[1]))
    sys.argv = ["pyinfra", *sys.argv[2:]]
    main()
