"""A share of a pool that a test made, and who uses it: a real mount by NFS, and smbclient."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homelab.model.strict import Strict
from homelab.settings import resolve_secret
from tests.faults.conftest import pools, storage
from tests.hosts import inventory
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import Lab

OWNER = "anna"


def words(described: Mapping[str, Strict]) -> dict[str, dict[str, Any]]:
    """Parts of the sandbox's NAS in the words of its inventory."""
    return {name: each.model_dump(exclude_unset=True) for name, each in described.items()}


def shared(pool: str, written: dict[str, Any], volume: str, **more: object) -> dict[str, dict[str, Any]]:
    """The sandbox's NAS with one more pool, and on that a volume, which is shared under its own name."""
    nas, smb = storage(), {"users": [OWNER], "purpose": "multiprotocol"}
    return {
        "pools": pools() | {pool: written},
        "volumes": words(nas.volumes) | {volume: {"pool": pool, "owner": OWNER, **more}},
        "shares": words(nas.shares) | {volume: {"volume": volume, "nfs": {"clients": ["sandbox"]}, "smb": smb}},
    }


def let_go(pool: str, volume: str) -> str:
    """Shell that takes the share and the volume off the NAS; what serves the others is stopped, until a deploy."""
    return (
        "exportfs -u -a; systemctl stop smbd nfs-server 2>/dev/null;"
        f" rm -f /etc/exports.d/homelab-{volume}.exports;"
        f" [ ! -e /var/lib/homelab/volumes ] || sed -i '/ {pool}\\//d' /var/lib/homelab/volumes"
    )


@dataclass(frozen=True)
class Clients:
    """Who uses the shares of the sandbox's NAS; what they fetch is put into `folder`."""

    lab: Lab
    address: str
    login: Path
    folder: Path

    def smb(self, share: str, command: str) -> str:
        """What smbclient of this machine says on a share, as its user."""
        done = subprocess.run(
            ["smbclient", "-A", str(self.login), f"//{self.address}/{share}", "-c", command],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def nfs(self, path: str, command: str) -> str:
        """What a command of the user prints in a share that the NAS, as a client, has mounted from itself."""
        at = "/run/homelab-test"
        # Root of a client is nobody here, and does not even get into it.
        return self.lab.ssh(
            "nas",
            f"mkdir -p {at}; mount -t nfs4 -o vers=4.2,soft,timeo=600 {self.address}:{path} {at} || exit;"
            f" setpriv --reuid={OWNER} --regid={OWNER} --init-groups sh -c {shlex.quote(f'cd {at} && {command}')};"
            f" code=$?; umount {at} && rmdir {at}; exit $code",
            timeout=600,
        )

    def served(self, path: str, sums: str = "sums") -> None:
        """See that the share of a volume gives the files in its folder `kept`, f1 among them, and takes others.

        `sums` has their hashes; the share has the name of the volume's folder.
        """
        wrote = self.nfs(
            path, f"(cd kept && sha256sum -c --quiet {sums}) && date +%N >by-nfs && sync by-nfs && cat by-nfs"
        )
        assert self.lab.ssh("nas", f"cat {path}/by-nfs; rm {path}/by-nfs") == wrote != ""
        got = self.folder / "got"
        self.smb(path.rpartition("/")[2], f"get kept\\\\f1 {got}; put {got} by-smb")
        self.lab.ssh("nas", f"cmp {path}/kept/f1 {path}/by-smb && rm {path}/by-smb")
        hashed = self.lab.ssh("nas", f"cd {path}/kept && grep ' f1$' {sums}").split()[0]
        with got.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == hashed


@pytest.fixture
def clients(lab: Lab, tmp_path: Path) -> Clients:
    """Who uses the shares, as a user of the sandbox's whose password is in a file of its own."""
    if not shutil.which("smbclient"):
        pytest.skip("no smbclient on this machine")
    reference = storage().users[OWNER].password
    assert reference is not None
    login = tmp_path / "login"
    login.touch(0o600)
    login.write_text(f"username = {OWNER}\npassword = {resolve_secret(reference, base=ROOT).get_secret_value()}\n")
    return Clients(lab, str(inventory.home().host("nas").address), login, tmp_path)
