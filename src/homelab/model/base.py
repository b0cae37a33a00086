"""What every machine of the home has, whatever it is for."""

from typing import Annotated

from pydantic import Field

from homelab.model.names import NetworkName, Package, Reachable, Timezone, Tuple
from homelab.model.networks import Network
from homelab.model.strict import Strict


class Base(Strict):
    """Settings of the operating system. ``networks`` are the named networks that may reach the hosts."""

    timezone: Timezone | None = None
    ntp_servers: Annotated[tuple[Reachable, ...], Tuple] = ()
    packages: Annotated[tuple[Package, ...], Tuple] = ()
    unattended_upgrades: bool = True
    ssh_hardening: bool = True
    firewall: bool = True
    networks: dict[NetworkName, Network] = Field(default_factory=dict)
