"""A node without its pods, and whether one lives: the waits of the cluster's side."""

from __future__ import annotations

from collections.abc import Collection

from homelab.counting import many
from homelab.patch import pods
from homelab.patch.cluster import Cluster
from homelab.patch.pace import Pace, Stopped, few

# A kubelet renews its lease every 10 s; one that has not done so for longer than this does not live.
_ALIVE = 30.0


def drain(cluster: Cluster, name: str, away: Collection[str], pace: Pace) -> None:
    """Have all pods leave a cordoned node that something else looks after. Raise Stopped after the deadline.

    A cluster's only node is left as it is, since its pods have nowhere to go; nodes that are `away` do not count.
    """
    others = {other: node for other, node in cluster.nodes().items() if other not in {name, *away}}
    if not others:
        pace.told(name, "not drained: there is no other node for its pods, they go down with it")
        return
    if not any(node.ready and not node.cordoned for node in others.values()):
        raise Stopped(f"not drained: no other node takes its pods; uncordon one of {', '.join(others)}")
    for pod in pods.staying(cluster.pods(), name):
        pace.told(name, f"{pod.place} belongs to nobody: it goes down and comes back with the node")
    end = pace.end
    while True:
        found = cluster.pods()
        left = pods.leaving(found, name)
        if not left:
            pace.told(name, "drained")
            return
        turn = pods.evictable(found, name, cluster.wanted())
        why = dict(turn.waiting)
        for pod in turn.now:
            if refused := cluster.evict(pod):
                why[pod] = refused
            else:
                pace.told(name, f"evicted {pod.place}")
        if pace.late(end):
            listed = [f"{pod.place}: {why.get(pod, 'it does not end')}" for pod in left]
            raise Stopped(f"not drained within {pace.limit}: {few(listed)}; mend that and run this again")
        pace.go_on()
        pace.wait(name, f"draining, {many(len(left), 'pod')} left")


def lives(cluster: Cluster, name: str, pace: Pace) -> bool:
    """Whether a node is Ready and its kubelet renews its lease now: Ready alone outlives a kubelet by 40 s."""
    first, end = cluster.renewed(name), pace.clock() + _ALIVE
    while not pace.late(end):
        node = cluster.nodes().get(name)
        if node is None or not node.ready:
            return False
        if cluster.renewed(name) != first:
            return True
        pace.pause()
    return False
