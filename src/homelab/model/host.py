"""A machine, and what it is to the home."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from homelab.model.labels import LabelKey, LabelValue, TaintText
from homelab.model.names import Tuple
from homelab.model.nas import Nas
from homelab.model.native import Role
from homelab.model.networks import Address
from homelab.model.strict import Strict, refuse, shown

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Ansible's groups of every host, of which pyinfra has the first too, and what each machine calls itself.
_TAKEN = {
    "all": "it means every host",
    "ungrouped": "it means every host to Ansible",
    "localhost": "each machine is called so by itself",
}
# Linux: IFNAMSIZ 16 with the final NUL, no slash and no blank.
_INTERFACE = re.compile(r"[^\s/:]{1,15}")


def host_name(value: object) -> str:
    """A DNS label (RFC 1123), lower case as Kubernetes wants its node names."""
    found = f"{shown(value)} is not a host name"
    if isinstance(value, str) and value in _TAKEN:
        raise refuse(f"{found}: {_TAKEN[value]}", 'write another, "s1"')
    if isinstance(value, str) and _DNS_LABEL.fullmatch(value):
        return value
    if isinstance(value, str) and _DNS_LABEL.fullmatch(value.lower()):
        raise refuse(f"{found}: it has capitals", f'write "{value.lower()}"')
    if isinstance(value, str) and "." in value:
        raise refuse(
            f"{found}: it has dots",
            f'write a short name and the address, ("s1", {{"ssh_hostname": "{value}"}})',
        )
    raise refuse(found, "write at most 63 lower-case letters, digits and inner hyphens")


def interface_name(value: object) -> str | None:
    """A network interface's name."""
    if value is None or (isinstance(value, str) and _INTERFACE.fullmatch(value)):
        return value
    raise refuse(f"{shown(value)} is not an interface's name", 'write one as `ip link` shows it, "eth0"')


class Host(Strict):
    """One machine of the home. Its name is its hostname and its K3s node's name.

    ``inventory_name`` is pyinfra's name for it, ``@fake/s1`` for a rehearsed s1.
    ``storage`` is what a NAS keeps, None on a host that is none.
    ``server_config`` and ``agent_config`` are this host's alone, to be merged over the cluster's.
    """

    name: Annotated[str, BeforeValidator(host_name)]
    inventory_name: str = Field(default_factory=lambda data: data.get("name", ""))
    role: Role | None = None
    nas: bool = False
    storage: Nas | None = None
    address: Address
    interface: Annotated[str | None, BeforeValidator(interface_name)] = None
    away: bool = False
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    taints: Annotated[tuple[TaintText, ...], Tuple] = ()
    server_config: dict[str, object] = Field(default_factory=dict)
    agent_config: dict[str, object] = Field(default_factory=dict)
    ssh: Mapping[str, object] = Field(default_factory=dict)
