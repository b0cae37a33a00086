"""Labels and taints of nodes that are registered already."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host, state
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.k3s import labels, paths
from homelab.model import Host
from homelab.operations.cluster import Cluster
from homelab.pyinfra_compat import conditional


@operation()
def labelled(cluster: Cluster, nodes: tuple[Host, ...]) -> Generator[StringCommand, None, None]:
    """Ensure the inventory's labels and taints on registered nodes; run on a server.

    To a plan those of a node that is still to join, or to come up for its cluster to answer, come after that.
    """
    known = cluster.nodes or {}
    wanted = [command for mine in nodes if mine.name in known for command in labels.changes(mine, known[mine.name])]
    if not wanted and not state.is_executing and any(_unknown(cluster, mine) for mine in nodes):
        conditional()
        yield StringCommand("true")
        return
    if not wanted:
        host.noop("labels and taints are as they should be")
    for command in wanted:
        yield StringCommand(f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG} {shlex.join(command)}")


def _unknown(cluster: Cluster, mine: Host) -> bool:
    """Whether a node's labels and taints may differ once it is there to be asked: a new one has none but ours."""
    step = cluster.plan.of(mine)
    if step is not None and step.joins:
        return bool(mine.labels or mine.taints)
    return mine.name not in (cluster.nodes or {})
