"""The whole inventory as one frozen shape."""

from homelab.model.base import Base
from homelab.model.cluster import Cluster
from homelab.model.host import Host
from homelab.model.strict import Strict


class Home(Strict):
    """Everything the inventory says, hosts in its order. ``environment`` is the file's stem: home, sandbox."""

    environment: str
    hosts: tuple[Host, ...]
    cluster: Cluster | None = None
    base: Base = Base()

    @property
    def servers(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.role == "server")

    @property
    def agents(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.role == "agent")

    @property
    def nas(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.nas)

    def followers(self, nas: Host) -> tuple[Host, ...]:
        """The hosts that go down with a NAS's UPS, before it; none where it has no UPS."""
        ups = nas.storage.ups if nas.storage else None
        if ups is None:
            return ()
        others = (host for host in self.hosts if host is not nas and not (host.storage and host.storage.ups))
        return tuple(host for host in others if (host.role if ups.nodes is None else host.name in ups.nodes))

    def followed(self, host: Host) -> Host | None:
        """The NAS whose UPS a host goes down with, None where there is none."""
        return next((nas for nas in self.nas if host in self.followers(nas)), None)

    def host(self, name: str) -> Host:
        """The host of that name, the toolkit's or pyinfra's. Raise KeyError when there is none."""
        for host in self.hosts:
            if name in (host.name, host.inventory_name):
                return host
        raise KeyError(name)
