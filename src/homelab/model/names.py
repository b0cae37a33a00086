"""Names that reach a shell, a config file or a certificate: only what they can be is let through."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator

from homelab.model.problems import did_you_mean
from homelab.model.strict import refuse, shown

_DOMAIN = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
# Debian policy 5.6.1, and "=version" as apt takes it.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+{}-]*")
_NETWORK = re.compile(r"[a-z][a-z0-9_-]{0,30}")


def matching(pattern: re.Pattern[str], what: str, example: str) -> BeforeValidator:
    """Takes what matches as a whole; else says what it is not, and an example."""

    def check(value: object) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise refuse(f"{shown(value)} is not {what}", f'write one, "{example}"')

    return BeforeValidator(check)


def _reachable(value: object) -> str:
    """A domain name or an IP address, as a time server or a certificate has it."""
    if isinstance(value, str):
        try:
            return str(ip_address(value))
        except ValueError:
            # "192.168.1.256" would pass for a domain.
            if _DOMAIN.fullmatch(value) and not value.rpartition(".")[2].isdigit():
                return value
    raise refuse(f"{shown(value)} is not a domain name or an IP address", 'write one, "k3s.home.arpa"')


def _timezone(value: object) -> str:
    """A time zone that this machine knows; where it knows none at all, the host has the last word."""
    example = 'write one, "Europe/Berlin"'
    if not isinstance(value, str) or not _TIMEZONE.fullmatch(value):
        raise refuse(f"{shown(value)} is not a time zone", example)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        if known := available_timezones():
            raise refuse(f"{shown(value)} is not a time zone", did_you_mean(value, known, example)) from None
    return value


def _file(value: object) -> str:
    if isinstance(value, str) and _FILE.fullmatch(value) and set("{}").isdisjoint(value.replace("{arch}", "")):
        return value
    raise refuse(f"{shown(value)} is not a file's name", 'write upstream\'s, "k3s-airgap-images-{arch}.tar.zst"')


def no_path(value: str) -> str:
    """Why a text is not the path of a file of this machine's; "" when it can be one."""
    if not value.strip() or "\n" in value or "\0" in value:
        return f"{shown(value)} is not a path"
    try:
        Path(value).expanduser()
    except RuntimeError:
        return f"{shown(value)} is in a home folder that this machine does not know"
    return ""


def _path(value: object) -> str:
    wrong = no_path(value) if isinstance(value, str) else f"{shown(value)} is not a path"
    if wrong:
        raise refuse(wrong, 'write one, "~/.kube/config"')
    return str(value)


def as_tuple(value: object) -> object:
    """Lists and tuples both, as pyinfra data has either."""
    return tuple(value) if isinstance(value, list) else value


Reachable = Annotated[str, BeforeValidator(_reachable)]
Package = Annotated[str, matching(_PACKAGE, "a package's name", "vim")]
Timezone = Annotated[str, BeforeValidator(_timezone)]
ArchiveFile = Annotated[str, BeforeValidator(_file)]
FilePath = Annotated[str, BeforeValidator(_path)]
NetworkName = Annotated[str, matching(_NETWORK, "a network's name", "lan")]
Tuple = BeforeValidator(as_tuple)
