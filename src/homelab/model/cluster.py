"""What all K3s nodes of the home have in common."""

from typing import Annotated

from pydantic import Field

from homelab.model.charts import Release
from homelab.model.names import ArchiveFile, FilePath, Reachable, Tuple
from homelab.model.networks import Cidrs, cidrs
from homelab.model.secret import Secret
from homelab.model.strict import Strict
from homelab.model.version import K3sVersion


class Cluster(Strict):
    """The K3s cluster: one version, one token, one pair of networks.

    ``server_config`` and ``agent_config`` hold native K3s keys. ``registries`` is K3s's registries.yaml,
    its passwords as SecretRef. ``image_archives`` are file names in the artifact cache, ``{arch}`` replaced.
    ``charts`` are the releases that run on it; None where the inventory does not say what does.
    """

    version: K3sVersion
    token: Secret | None = None
    agent_token: Secret | None = None
    cluster_cidr: Cidrs = cidrs("10.42.0.0/16")
    service_cidr: Cidrs = cidrs("10.43.0.0/16")
    tls_san: Annotated[tuple[Reachable, ...], Tuple] = ()
    server_config: dict[str, object] = Field(default_factory=dict)
    agent_config: dict[str, object] = Field(default_factory=dict)
    registries: dict[str, object] = Field(default_factory=dict)
    image_archives: Annotated[tuple[ArchiveFile, ...], Tuple] = ()
    kubeconfig: FilePath = "~/.kube/config"
    charts: Annotated[tuple[Release, ...] | None, Tuple] = None
