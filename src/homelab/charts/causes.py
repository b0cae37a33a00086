"""What Helm's job and its pods say when a release does not come up, and what that means."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Pattern, cause and remedy; the first that matches the newest lines is told.
KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"(ErrImagePull|ImagePullBackOff|ErrImageNeverPull).*klipper-helm",
        "the image of K3s's Helm job cannot be had; an airgapped site needs it among image_archives",
    ),
    (r"ErrImagePull|ImagePullBackOff|ErrImageNeverPull", "that image cannot be had; see its name, tag and registry"),
    (
        r"updates to parameters are forbidden",
        "a StorageClass cannot be changed; write a new class, and take the old one out when no claim names it",
    ),
    (
        r"invalid ownership metadata|cannot be imported into the current release",
        "something of that name is there already and not Helm's; delete it, or give the release another name",
    ),
    (
        r"cannot re-use a name that is still in use",
        "an older release of that name is left over; uninstall it, or give this one another name",
    ),
    (
        r"failure policy is 'abort'",
        "its last installation or upgrade failed or was cut off, and nothing is taken away for that; helm rollback it, "
        "or take it out of the list, deploy, put it back and deploy again",
    ),
    (
        r"spec is immutable after creation|forbidden: only dynamically provisioned",
        "a claim can only be grown, and only where its class allows that; write its size and class as before",
    ),
    (r"spec\.selector.*field is immutable", "a selector cannot be changed; take the release out, deploy, put it back"),
    (
        # Helm 4, in K3s's releases since the summer of 2026 (k3s-io/helm-controller#343).
        r"Apply failed with \d+ conflict",
        "somebody has changed that field in the cluster, and Helm does not write over it; give it the chart's value",
    ),
    (r"no matches for kind", "this cluster does not serve a kind that the chart writes; see the chart's kubeVersion"),
    (r"incompatible with Kubernetes", "the chart wants a newer Kubernetes; see its kubeVersion"),
    (
        r"values don't meet the specifications of the schema",
        "the chart refuses a value; see its values.schema.json, and values",
    ),
    (
        r"(failed to fetch|looks like .* is not a valid chart repository|no such host|i/o timeout|connection refused)",
        "the chart's repository cannot be reached from the cluster; see DNS, the way out and the address",
    ),
    (
        r"chart .* version .* not found|no chart version found",
        "the repository has no such version; see the chart's pin",
    ),
    (r"exceeded quota|forbidden: maximum", "a quota of the namespace leaves no room"),
    (r"namespaces? .* not found", "the namespace is gone; deploy again"),
    (r"secret .* not found|couldn't find key", "a Secret that the chart refers to is missing; see secrets"),
    (
        r"Insufficient (cpu|memory)|Unschedulable|nodes are available",
        "no node has room or fits; see requests and taints",
    ),
)


def cause(lines: Iterable[str]) -> str:
    """The known cause behind these lines, the newest last; "" when it is not known."""
    for line in reversed(list(lines)):
        for pattern, meaning in KNOWN:
            if re.search(pattern, line, re.IGNORECASE):
                return meaning
    return ""
