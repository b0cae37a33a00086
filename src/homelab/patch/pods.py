"""Which pods have to leave a node, and which of them may now. Pure.

Source of what is left alone: kubectl drain --ignore-daemonsets --delete-emptydir-data. Beyond it, of a workload with
several pods none is evicted unless another one is ready, whether or not it has a disruption budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MIRROR = "kubernetes.io/config.mirror"
# What keeps a wanted number of pods; a Job's may be run anew, but nobody asks it for an answer meanwhile.
KEEPS = ("ReplicaSet", "StatefulSet", "ReplicationController")


@dataclass(frozen=True)
class Pod:
    """What a drain reads of a pod. `owner` is its controller's kind and uid, ("", "") of one that belongs to nobody."""

    namespace: str
    name: str
    uid: str
    node: str
    owner: tuple[str, str]
    ready: bool
    deleting: bool
    done: bool
    mirror: bool

    @property
    def place(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse(item: Mapping[str, Any]) -> Pod:
    """A pod from the API's JSON."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    owners = [each for each in metadata.get("ownerReferences") or () if each.get("controller")]
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName") or "",
        owner=(owners[0]["kind"], owners[0]["uid"]) if owners else ("", ""),
        ready=conditions.get("Ready") == "True",
        deleting="deletionTimestamp" in metadata,
        done=status.get("phase") in ("Succeeded", "Failed"),
        mirror=_MIRROR in (metadata.get("annotations") or {}),
    )


def leaving(pods: Iterable[Pod], node: str) -> list[Pod]:
    """The pods that a drain waits for until they are gone from a node."""
    return [
        pod
        for pod in pods
        if pod.node == node and not (pod.done or pod.mirror or pod.owner[0] in ("DaemonSet", "Node", ""))
    ]


def staying(pods: Iterable[Pod], node: str) -> list[Pod]:
    """The pods of a node that belong to nobody: evicted they would be lost, so they go down and come back with it."""
    return [pod for pod in pods if pod.node == node and not (pod.done or pod.mirror) and not pod.owner[0]]


@dataclass(frozen=True)
class Round:
    """Whom to evict now, and why each other pod that has to leave cannot yet."""

    now: tuple[Pod, ...]
    waiting: Mapping[Pod, str]


def evictable(pods: Sequence[Pod], node: str, wanted: Mapping[str, int]) -> Round:
    """The pods of a node that may be evicted at once. `wanted` is by their owner's uid how many pods that keeps.

    One a round of each workload; of one that keeps several only while another of its pods is ready.
    """
    now: list[Pod] = []
    waiting: dict[Pod, str] = {}
    for pod in leaving(pods, node):
        if pod.deleting:
            waiting[pod] = "it is still terminating"
        elif pod.owner[0] in KEEPS and wanted.get(pod.owner[1], 1) > 1:
            others = [each for each in pods if each.owner == pod.owner and each.uid != pod.uid]
            if any(each.owner == pod.owner for each in now):
                waiting[pod] = "its turn comes"
            elif pod.ready and not any(each.ready and not each.deleting for each in others):
                waiting[pod] = "none of the workload's other pods is ready, and it would be without any"
            else:
                now.append(pod)
        else:
            now.append(pod)
    return Round(tuple(now), waiting)
