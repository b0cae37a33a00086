"""Labels and taints of nodes that are registered already."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.k3s import labels, paths
from homelab.model import Host
from homelab.operations.cluster import Cluster


@operation()
def labelled(cluster: Cluster, nodes: tuple[Host, ...]) -> Generator[StringCommand, None, None]:
    """Ensure the inventory's labels and taints on registered nodes; run on a server."""
    wanted = [
        command
        for mine in nodes
        if cluster.nodes is not None and mine.name in cluster.nodes
        for command in labels.changes(mine, cluster.nodes[mine.name])
    ]
    if not wanted:
        host.noop("labels and taints are as they should be")
    for command in wanted:
        yield StringCommand(f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG} {shlex.join(command)}")
