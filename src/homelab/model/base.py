"""What every machine of the home has, whatever it is for."""

from pydantic import Field

from homelab.model.cluster import Names
from homelab.model.networks import Network
from homelab.model.strict import Strict


class Base(Strict):
    """Settings of the operating system. ``networks`` are the named networks that may reach the hosts."""

    timezone: str | None = None
    ntp_servers: Names = ()
    packages: Names = ()
    unattended_upgrades: bool = True
    ssh_hardening: bool = True
    firewall: bool = True
    networks: dict[str, Network] = Field(default_factory=dict)
