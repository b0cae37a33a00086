"""The SSH daemon: one drop-in that can only take rights away, and is on trial until a new connection confirms it."""

from __future__ import annotations

import re

from homelab.files import ManagedFile
from homelab.host.guard import Trial
from homelab.model import Home
from homelab.probe import HostProbe

CONFIG = "/etc/ssh/sshd_config"
# sshd takes the first value it reads, and cloud images bring a 50-cloud-init.conf.
DROPIN = "/etc/ssh/sshd_config.d/00-homelab.conf"
UNITS = ("ssh.service", "ssh.socket")

_ALWAYS = """\
# homelab: reverted by itself unless a new connection works with it
PermitRootLogin prohibit-password
PermitEmptyPasswords no
X11Forwarding no
"""
_KEYS_ONLY = """\
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
# sshd -t wants its folder, which a daemon started on demand by ssh.socket has not made yet.
_RELOAD = """\
mkdir -p -m 0755 /run/sshd; sshd -t
if systemctl -q is-active ssh.service; then systemctl reload ssh.service; fi
"""


def is_there(probe: HostProbe) -> bool:
    """Whether OpenSSH serves this host."""
    return any(probe.unit(unit).load == "loaded" for unit in UNITS)


def reads_dropins(probe: HostProbe) -> bool:
    """Whether sshd_config includes the folder of drop-ins, as the supported systems' own does at its top."""
    return bool(re.search(r"(?mi)^\s*Include\s+/etc/ssh/sshd_config\.d/\*\.conf", probe.text.get(CONFIG, "")))


def wanted(home: Home, probe: HostProbe, *, by_key: bool) -> ManagedFile | None:
    """The drop-in; passwords are turned off only when this very run came in by key. None when there is none to have."""
    if not home.base.ssh_hardening or not is_there(probe) or not reads_dropins(probe):
        return None
    content = _ALWAYS + _KEYS_ONLY if by_key else _ALWAYS.replace("PermitRootLogin prohibit-password\n", "")
    return ManagedFile(DROPIN, content, check='mkdir -p -m 0755 /run/sshd; sshd -t -f "$new"')


def trial(file: ManagedFile) -> Trial:
    return Trial("sshd", file, save=":", apply=_RELOAD, restore=_RELOAD)


REMOVE = f"rm -f {DROPIN}\n{_RELOAD}"
