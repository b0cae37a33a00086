"""PersistentVolumeClaims and volumes: they find each other, stay together, and go when they are deleted."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.health.codes import CODES, CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Claim, StorageClass, Usage, Volume
from homelab.health.report import Finding, Ref
from homelab.health.snapshot import Snapshot

_HOSTNAME = "kubernetes.io/hostname"
# Its volumes are folders of one disk of their node.
_PROVISIONED, _LOCAL_PATH = "pv.kubernetes.io/provisioned-by", "rancher.io/local-path"


def _class(snapshot: Snapshot, claim: Claim) -> StorageClass | None:
    """The class that is to make the claim's volume; None when it does not exist, or when none is wanted."""
    classes = snapshot.storage_classes
    if claim.class_name is None:
        return next((each for each in classes if each.default), None)
    return next((each for each in classes if each.name == claim.class_name), None)


def due(snapshot: Snapshot, claim: Claim) -> bool:
    """Whether a claim that has no volume yet is still within its time; a pod that mounts it waits for the same."""
    if claim.phase != "Pending" or claim.created is None:
        return False
    made_by = _class(snapshot, claim)
    if made_by and made_by.waits and not claim.selected_node:
        return False  # it waits for the pod
    return snapshot.now - claim.created <= snapshot.thresholds.pvc_pending


def check_pending(snapshot: Snapshot) -> Iterator[Finding]:
    """Every claim gets its volume within minutes, once something is to make it.

    A class that waits for the first consumer, K3s' local-path for one, makes nothing before a pod has been given a
    node; until then the pod, if there is one, is what to look at.
    """
    for claim in snapshot.claims:
        if claim.phase != "Pending" or claim.deleting or claim.created is None or due(snapshot, claim):
            continue
        made_by = _class(snapshot, claim)
        if made_by and made_by.waits and not claim.selected_node:
            continue
        events = snapshot.events_about.get(claim.uid, ())
        if made_by is None and claim.class_name:
            why = f"there is no StorageClass {claim.class_name}"
        elif events:
            why = events[0].message
        elif made_by is None and claim.class_name is None:
            why = "it names no StorageClass and none is the default"
        elif made_by is None:
            why = "it wants no StorageClass, and no volume fits it"
        else:
            why = f"{made_by.provisioner} has not made it"
        yield finding(
            "STOR001",
            claim.ref,
            f"waits for its volume: {why}",
            since=claim.created,
            evidence={"storage_class": claim.class_name or ""},
        )


def check_go(snapshot: Snapshot) -> Iterator[Finding]:
    """Claims and volumes that were deleted are gone after a while."""
    for each in (*snapshot.claims, *snapshot.volumes):
        if each.deleting is None or snapshot.now - each.deleting <= snapshot.thresholds.terminating:
            continue
        using = snapshot.pods_using.get((each.namespace, each.name), ()) if isinstance(each, Claim) else ()
        users = [pod for pod in using if not pod.done]
        held = (
            f"used by pod {users[0].name}" if users else f"held by {', '.join(each.finalizers) or 'nothing it names'}"
        )
        yield finding(
            "STOR002",
            each.ref,
            f"was deleted and does not go: {held}",
            since=each.deleting,
            evidence={"resource": "pvc" if isinstance(each, Claim) else "pv", "finalizers": each.finalizers},
        )


def check_lost(snapshot: Snapshot) -> Iterator[Finding]:
    """No claim has lost its volume, and no volume failed while it was to be deleted or used again."""
    for claim in snapshot.claims:
        if claim.phase == "Lost" and not claim.deleting:
            said = f"has lost its volume {claim.volume or 'whose name is not told'}"
            yield finding("STOR003", claim.ref, said, evidence={"resource": "pvc"})
    for volume in snapshot.volumes:
        if volume.phase == "Failed" and not volume.deleting:
            said = f"failed: {volume.message or volume.reason or 'no reason is given'}"
            yield finding("STOR003", volume.ref, said, evidence={"resource": "pv"})
        elif volume.phase == "Released" and volume.reclaim == "Delete" and (why := _undeleted(snapshot, volume)):
            said = f"cannot be deleted after its claim was: {why}"
            yield finding("STOR003", volume.ref, said, severity=WARNING, evidence={"resource": "pv"})


def _undeleted(snapshot: Snapshot, volume: Volume) -> str:
    """Why a released volume stays; "" when nothing says that it does. Of local-path's the phase never tells."""
    for event in snapshot.events_about.get(volume.uid, ()):
        if event.reason == "VolumeFailedDelete":
            return event.message or event.reason
    if volume.places and snapshot.was_read("nodes") and not _there(snapshot) & set(volume.places):
        return f"{_where(volume)}, which it lies on, is not in the cluster"
    return ""


def _there(snapshot: Snapshot) -> set[tuple[str, str]]:
    """The labels of the nodes, by which volumes name them."""
    named = {(_HOSTNAME, node.labels.get(_HOSTNAME, node.name)) for node in snapshot.nodes}
    return named.union(*(node.labels.items() for node in snapshot.nodes))


def _where(volume: Volume) -> str:
    """The node of a volume that lies on one, or the first of some, by its name or by the label of a storage driver."""
    key, value = volume.places[0]
    return f"node {value}" if key == _HOSTNAME else f"a node of {key}={value}"


def check_kept(snapshot: Snapshot) -> Iterator[Finding]:
    """No volume is kept of a claim that is gone; its data are there until somebody removes them."""
    for volume in snapshot.volumes:
        if volume.phase == "Released" and volume.reclaim == "Retain" and not volume.deleting:
            claim = f"{volume.claim.namespace}/{volume.claim.name}" if volume.claim else "that it had"
            yield finding("STOR005", volume.ref, f"is kept, though the claim {claim} is gone")


def check_reachable(snapshot: Snapshot) -> Iterator[Finding]:
    """Every volume that lies on a node, as those of K3s' local-path do, lies on one that is there.

    A driver's volumes (TopoLVM's, OpenEBS', LINSTOR's) name their nodes by labels of its own.
    """
    there = _there(snapshot)
    for volume in snapshot.volumes:
        claim = volume.claim
        if volume.phase != "Bound" or claim is None or volume.deleting or not volume.places:
            continue
        if there & set(volume.places) or (snapshot.namespace and claim.namespace != snapshot.namespace):
            continue
        said = f"has its volume {volume.name} on {_where(volume)}, which is not in the cluster"
        yield finding("STOR006", claim, said, evidence={"node": volume.places[0][1], "volume": volume.name})


def check_room(snapshot: Snapshot) -> Iterator[Finding]:
    """No claim's volume is nearly full, in bytes or inodes.

    A volume that is a folder on its node's own disk, as those of local-path are, is as full as that and not told of
    here; of those that share one filesystem, an NFS server's or a disk that local-path has to itself, one stands for
    all, as the others' evidence. Asked of each kubelet by way of the API, which takes the right to get nodes/proxy; one
    that does not answer within seconds is left out, as are volumes that nobody may write.
    """
    limits = snapshot.thresholds
    disks = {each.node: each.size for each in snapshot.usages if each.claim is None}
    full: dict[tuple[str, ...], dict[Ref, Usage]] = {}
    for used in snapshot.usages:
        if used.claim is None or used.percent <= limits.volume_use_warning or used.size == disks.get(used.node):
            continue
        claim = snapshot.claim_named.get(used.claim[1:3])
        if (claim and claim.fixed) or (snapshot.namespace and used.claim.namespace != snapshot.namespace):
            continue
        volume = snapshot.volume_named.get(claim.volume) if claim else None
        place: tuple[str, ...] = used.claim
        if volume and (volume.server or volume.annotations.get(_PROVISIONED) == _LOCAL_PATH):
            place = (volume.server or used.node, str(used.size))
        known = full.setdefault(place, {})
        if used.claim not in known or used.percent > known[used.claim].percent:
            known[used.claim] = used
    for _, shared in sorted(full.items()):
        # Two disks of one size pass for one: what is critical must not be hidden by what is not.
        ref = min(shared, key=lambda each: (shared[each].percent <= limits.volume_use_critical, each))
        used = shared[ref]
        critical = used.percent > limits.volume_use_critical
        least = 100 - (limits.volume_use_critical if critical else limits.volume_use_warning)
        yield finding(
            "STOR008",
            ref,
            f"has less than {least} % of its {used.noun} left",
            severity=CRITICAL if critical else WARNING,
            evidence={
                "percent": round(used.percent),
                "node": used.node,
                "shared_with": tuple(f"{each.namespace}/{each.name}" for each in sorted(shared) if each != ref),
            },
        )


def check_default(snapshot: Snapshot) -> Iterator[Finding]:
    """One StorageClass is the default. That there is none is information: claims may all name theirs.

    K3s makes its local-path the default again at each start. Source: Kubernetes, "Default StorageClass": of several the
    newest counts, and before Kubernetes 1.26 a claim that names none is refused.
    """
    there = [each for each in snapshot.storage_classes if not each.deleting]
    defaults = [each for each in there if each.default]
    names = sorted(each.name for each in defaults)
    if len(names) > 1:
        said = f"is not the only default: {', '.join(names[1:])} is one too, and claims that name none may get either"
        again = any(each.provisioner == _LOCAL_PATH for each in defaults)
        yield finding("STOR004", Ref("StorageClass", "", names[0]), said, remedy=_AGAIN if again else None)
    elif there and not names:
        said = "is not the default, and neither is another: claims that name none get no volume"
        first = min(each.name for each in there)
        yield finding("STOR004", Ref("StorageClass", "", first), said, severity=INFO, remedy=_CHOOSE)


_CHOOSE = "kubectl annotate storageclass {name} storageclass.kubernetes.io/is-default-class=true --overwrite"
_AGAIN = (
    f"{CODES['STOR004'].remedy}; K3s sets it on local-path again when it starts: to keep another, add local-storage to"
    " disable on the servers and apply its manifest yourself, without that annotation"
)
