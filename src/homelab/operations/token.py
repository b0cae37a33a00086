"""A node's token files: full form for everyone who joins, so that no other machine can pass for the cluster."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import state
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.k3s import paths
from homelab.k3s.plan import Step
from homelab.operations import files
from homelab.operations.cluster import Cluster, read_token
from homelab.pyinfra_compat import Refusal


@operation()
def tokens(cluster: Cluster, step: Step) -> Generator[StringCommand, None, None]:
    """Ensure the token files (0600) of a node that is about to initialise, or to join through a server."""
    assert cluster.server_token is not None and cluster.agent_token is not None
    authority = None
    if step.via is not None and state.is_executing:
        authority = read_token(step.via, paths.SERVER_TOKEN).ca
        if authority is None:
            raise Refusal([f"{step.via.name}: {paths.SERVER_TOKEN} is not in the full form; is K3s running there?"])

    server, agent = cluster.server_token, cluster.agent_token
    if step.host.role == "server":
        joined = server.full("server", authority) if authority else server.password
        yield files.write(ManagedFile(paths.TOKEN, f"{joined}\n", mode="0600"))
        yield files.write(ManagedFile(paths.AGENT_TOKEN, f"{agent.password}\n", mode="0600"))
    else:
        joined = agent.full("node", authority) if authority else agent.password
        yield files.write(ManagedFile(paths.TOKEN, f"{joined}\n", mode="0600"))
