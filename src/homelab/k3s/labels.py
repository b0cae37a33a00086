"""A Node's labels and taints against the inventory's: K3s sets them at registration only, so later changes go here.

What the toolkit set is remembered in annotations; labels and taints that others set are left alone.
"""

from __future__ import annotations

from homelab.k3s.node import Node
from homelab.model import Host

LABELS = "homelab/labels"
TAINTS = "homelab/taints"


def changes(host: Host, node: Node) -> list[list[str]]:
    """kubectl's arguments that bring a Node in line; empty when it is."""
    labels = {key: str(value) for key, value in host.labels.items()}
    taints = {_identity(text): text for text in map(str, host.taints)}
    labelled = _remembered(node, LABELS)
    tainted = _remembered(node, TAINTS)
    label_arguments = [f"{key}={value}" for key, value in labels.items() if node.labels.get(key) != value]
    label_arguments += [f"{key}-" for key in labelled if key not in labels and key in node.labels]
    taint_arguments = [text for text in taints.values() if _normal(text) not in node.taints]
    present = {_identity(text) for text in node.taints}
    taint_arguments += [f"{each}-" for each in tainted if each not in taints and each in present]
    notes = []
    for annotation, now, before in ((LABELS, sorted(labels), labelled), (TAINTS, sorted(taints), tainted)):
        if now != before:
            notes.append(f"{annotation}={','.join(now)}" if now else f"{annotation}-")
    commands = []
    if label_arguments:
        commands.append(["label", "node", host.name, "--overwrite", *label_arguments])
    if taint_arguments:
        commands.append(["taint", "node", host.name, "--overwrite", *taint_arguments])
    if notes:
        commands.append(["annotate", "node", host.name, "--overwrite", *notes])
    return commands


def _remembered(node: Node, annotation: str) -> list[str]:
    return [each for each in node.annotations.get(annotation, "").split(",") if each]


def _identity(taint: str) -> str:
    """A taint without its value, `key:Effect`: what kubectl removes it by."""
    left, _, effect = taint.rpartition(":")
    return f"{left.partition('=')[0]}:{effect}"


def _normal(taint: str) -> str:
    left, _, effect = taint.rpartition(":")
    key, _, value = left.partition("=")
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
