"""Who a host is: its keys, its addresses, its seed; and what this side keeps to recognise it."""

from __future__ import annotations

import io
import shutil
import tarfile
import uuid
from collections.abc import Iterable
from pathlib import Path

from .hosts import GATEWAY, ROOT, Host, Placed
from .system import run

SANDBOX = ROOT / ".sandbox"
MARK = "etc/homelab-sandbox"
_KEY_TYPES = ("ed25519", "ecdsa")
# sun_path holds 107 characters; %C is 40 of them and ssh adds 17 while it makes the socket.
_LONGEST_SOCKET_FOLDER = 107 - 40 - 17 - 1


def folder(host: Host) -> Path:
    return SANDBOX / "hosts" / host.name


def private_key() -> Path:
    return SANDBOX / "ssh" / "id_ed25519"


def ensure_user_key() -> None:
    """The sandbox has a key pair of its own, which opens nothing else."""
    key = private_key()
    key.parent.mkdir(parents=True, exist_ok=True)
    key.parent.chmod(0o700)
    if not key.exists():
        _generate(key, "ed25519", "homelab-sandbox")


def _generate(key: Path, kind: str, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(key)])


def renew(placed: Placed, state: Path) -> None:
    """Give a host that is about to be made a new identity, and write the seed it takes it from."""
    directory = folder(placed.host)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "mark").write_text(f"name={placed.host.name}\nid={uuid.uuid4()}\n")
    for kind in _KEY_TYPES:
        _generate(directory / f"ssh_host_{kind}_key", kind, f"root@{placed.host.name}")
    if placed.built:
        write_seed(placed, seed_path(placed.host, state))


def seed_path(host: Host, state: Path) -> Path:
    """Outside the clone, where a QEMU that is not root can reach it whatever the clone's folders allow."""
    return state / "seeds" / f"{host.name}.tar"


def mark(host: Host) -> str:
    """What the host's /etc/homelab-sandbox says; empty when it was never given an identity."""
    try:
        return (folder(host) / "mark").read_text()
    except OSError:
        return ""


def files(placed: Placed) -> dict[str, tuple[str, int, int]]:
    """Path in the host to text, mode and owner; the mark last, since it says that all of it is there."""
    host, directory = placed.host, folder(placed.host)
    interface = "eth0" if placed.provider == "lxc" else "eth1"
    interfaces = ["auto lo", "iface lo inet loopback"]
    if placed.provider != "lxc":
        interfaces += ["", "# Vagrant's own network: an address and nothing else.", "auto eth0", "iface eth0 inet dhcp"]
    interfaces += [
        "",
        f"auto {interface}",
        f"iface {interface} inet static",
        f"    address {host.address}/24",
        f"    gateway {GATEWAY}",
    ]
    result = {
        "etc/hostname": (f"{host.name}\n", 0o644, 0),
        "etc/hosts": (
            f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n\n::1 localhost ip6-localhost ip6-loopback\n",
            0o644,
            0,
        ),
        "etc/network/interfaces": ("\n".join(interfaces) + "\n", 0o644, 0),
        "etc/resolv.conf": (f"nameserver {GATEWAY}\n", 0o644, 0),
        "home/vagrant/.ssh/authorized_keys": (private_key().with_suffix(".pub").read_text(), 0o600, 1000),
    }
    if placed.provider == "lxc":
        result["etc/machine-id"] = (f"{uuid.uuid4().hex}\n", 0o444, 0)
    else:
        # Without this its name server and route would replace the sandbox network's.
        result["etc/dhcp/dhclient.conf"] = ("request subnet-mask, broadcast-address;\n", 0o644, 0)
    for kind in _KEY_TYPES:
        name = f"ssh_host_{kind}_key"
        result[f"etc/ssh/{name}"] = ((directory / name).read_text(), 0o600, 0)
        result[f"etc/ssh/{name}.pub"] = ((directory / f"{name}.pub").read_text(), 0o644, 0)
    result[MARK] = (mark(host), 0o644, 0)
    return result


def write_seed(placed: Placed, path: Path) -> None:
    """Lay the files that make a box this host into a tar archive, which the host unpacks over itself once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(0o600)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as seed:
        home = tarfile.TarInfo("home/vagrant/.ssh")
        home.type, home.mode, home.uid, home.gid = tarfile.DIRTYPE, 0o700, 1000, 1000
        seed.addfile(home)
        for name, (text, mode, owner) in files(placed).items():
            entry = tarfile.TarInfo(name)
            content = text.encode()
            entry.size, entry.mode, entry.uid, entry.gid = len(content), mode, owner, owner
            seed.addfile(entry, io.BytesIO(content))


def take_host_keys(host: Host, printed: str) -> None:
    """Keep the host keys that a machine from a public box printed over its provider's own channel."""
    directory = folder(host)
    for line in printed.splitlines():
        kind = {"ssh-ed25519": "ed25519", "ecdsa-sha2-nistp256": "ecdsa"}.get(line.split(" ")[0])
        if kind:
            (directory / f"ssh_host_{kind}_key").unlink(missing_ok=True)
            (directory / f"ssh_host_{kind}_key.pub").write_text(line + "\n")


def write_client_files(hosts: Iterable[Host]) -> None:
    """known_hosts and ssh_config for everything that logs in: pyinfra, testinfra, a person."""
    known, config = [], []
    sockets = SANDBOX / "ssh"
    for host in hosts:
        for kind in _KEY_TYPES:
            public = folder(host) / f"ssh_host_{kind}_key.pub"
            if public.exists():
                known.append(f"{host.address},{host.name} {' '.join(public.read_text().split()[:2])}\n")
        config += [
            f"Host {host.name}",
            f"    HostName {host.address}",
            "    User vagrant",
            f'    IdentityFile "{private_key()}"',
            "    IdentitiesOnly yes",
            f'    UserKnownHostsFile "{SANDBOX / "known_hosts"}"',
            "    GlobalKnownHostsFile /dev/null",
            "    StrictHostKeyChecking yes",
        ]
        if len(str(sockets)) <= _LONGEST_SOCKET_FOLDER:
            config += ["    ControlMaster auto", f'    ControlPath "{sockets}/%C"', "    ControlPersist 60"]
        config.append("")
    (SANDBOX / "known_hosts").write_text("".join(known))
    (SANDBOX / "ssh_config").write_text("\n".join(config))
