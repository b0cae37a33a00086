"""Every kind that health may read: where the API serves it, and how it is slimmed.

A check names the kinds that it needs in the table of codes, and only what some check needs is read. A new kind is one
row here and, if `Thing` does not do, a record in `objects.py` and a function in `slim.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from homelab.health import slim
from homelab.health.objects import Object
from homelab.health.shape import Json

Slim = Callable[[Json], Object]


@dataclass(frozen=True)
class Kind:
    """A kind by its plural name.

    `served` are the API versions to try, in order: "v1" is the core group, "v1/endpoints" another resource of it that
    tells the same. `namespaced` ones are read of one namespace only when the user named one, except those that tell of
    the cluster as a whole, `everywhere`. `query` goes with each request. An `aggregated` API is another server's: when
    that one does not answer, the kind counts as not served. `wanted` is what `slim` looks at, for `pages.parse`.
    """

    name: str
    slim: Slim
    served: tuple[str, ...]
    namespaced: bool = True
    everywhere: bool = False
    query: str = ""
    aggregated: bool = False
    wanted: Any = Json

    def paths(self, namespace: str, groups: frozenset[str] | None) -> list[str]:
        """The paths to list it at, best first. `groups` are the API versions that the cluster says it serves."""
        scope = f"namespaces/{namespace}/" if namespace and self.namespaced and not self.everywhere else ""
        found = []
        for each in self.served:
            version, _, resource = each.partition("/") if each.startswith("v1") else (each, "", "")
            if version == "v1":
                found.append(f"/api/v1/{scope}{resource or self.name}")
            elif groups is None or version in groups:
                found.append(f"/apis/{version}/{scope}{self.name.partition('.')[0]}")
        return found


def _thing(kind: str) -> Slim:
    return partial(slim.thing, kind)


_NETWORKING = ("networking.k8s.io/v1", "networking.k8s.io/v1beta1")
_GATEWAY = ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1")
_ADMISSION = ("admissionregistration.k8s.io/v1",)
_STORAGE = ("storage.k8s.io/v1",)
_METRICS = ("metrics.k8s.io/v1beta1",)

# The largest come first, as they are begun first.
KINDS: tuple[Kind, ...] = (
    Kind("pods", slim.pod, ("v1",), wanted=slim.PodJson),
    Kind("events", slim.event, ("v1",), query="fieldSelector=type%3DWarning"),
    Kind("replicasets", slim.replicaset, ("apps/v1",)),
    Kind(
        "endpointslices",
        slim.endpoint_slice,
        ("discovery.k8s.io/v1", "discovery.k8s.io/v1beta1", "v1/endpoints"),
    ),
    Kind("services", slim.service, ("v1",)),
    Kind("deployments", slim.deployment, ("apps/v1",)),
    Kind("statefulsets", slim.statefulset, ("apps/v1",)),
    Kind("daemonsets", slim.daemonset, ("apps/v1",)),
    Kind("jobs", slim.job, ("batch/v1",)),
    Kind("cronjobs", slim.cronjob, ("batch/v1", "batch/v1beta1")),
    Kind("nodes", slim.node, ("v1",), namespaced=False),
    Kind("leases", slim.lease, ("coordination.k8s.io/v1",), everywhere=True),
    Kind("persistentvolumeclaims", slim.claim, ("v1",)),
    Kind("persistentvolumes", slim.volume, ("v1",), namespaced=False),
    Kind("namespaces", slim.namespace, ("v1",), namespaced=False),
    Kind("resourcequotas", _thing("ResourceQuota"), ("v1",)),
    Kind("ingresses", slim.ingress, _NETWORKING),
    Kind("ingressclasses", _thing("IngressClass"), _NETWORKING, namespaced=False),
    Kind("networkpolicies", _thing("NetworkPolicy"), _NETWORKING[:1]),
    Kind("storageclasses", slim.storage_class, _STORAGE, namespaced=False),
    Kind("poddisruptionbudgets", _thing("PodDisruptionBudget"), ("policy/v1", "policy/v1beta1")),
    Kind(
        "horizontalpodautoscalers",
        _thing("HorizontalPodAutoscaler"),
        ("autoscaling/v2", "autoscaling/v2beta2"),
    ),
    Kind("apiservices", slim.api_service, ("apiregistration.k8s.io/v1",), namespaced=False),
    Kind("validatingwebhookconfigurations", _thing("ValidatingWebhookConfiguration"), _ADMISSION, namespaced=False),
    Kind("mutatingwebhookconfigurations", _thing("MutatingWebhookConfiguration"), _ADMISSION, namespaced=False),
    Kind("etcdsnapshotfiles", _thing("ETCDSnapshotFile"), ("k3s.cattle.io/v1",), namespaced=False),
    Kind("addons", _thing("Addon"), ("k3s.cattle.io/v1",), everywhere=True),
    Kind("helmcharts", slim.helm_chart, ("helm.cattle.io/v1",), everywhere=True),
    Kind("ingressroutes", slim.ingress_route, ("traefik.io/v1alpha1", "traefik.containo.us/v1alpha1")),
    Kind("certificates", _thing("Certificate"), ("cert-manager.io/v1",)),
    Kind("gateways", _thing("Gateway"), _GATEWAY),
    Kind("httproutes", _thing("HTTPRoute"), _GATEWAY),
    Kind("nodes.metrics.k8s.io", _thing("NodeMetrics"), _METRICS, namespaced=False, aggregated=True),
)

BY_NAME = {kind.name: kind for kind in KINDS}
