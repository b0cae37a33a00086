"""K3s, pure: what should be on a node, in which order nodes start, and when one counts as up."""

from __future__ import annotations

from homelab.k3s import paths, unit
from homelab.model import Home, Host
from homelab.probe import Questions


def questions(home: Home, host: Host) -> Questions:
    """What the K3s deploy asks of a host; nothing of one that is no node."""
    if host.role is None or home.cluster is None:
        return Questions()
    return Questions(
        paths=(
            *unit.started_with(host.role),
            paths.PRESTART,
            paths.KILLALL,
            paths.uninstall(host.role),
            paths.JOIN,
            paths.REGISTRATION,
            paths.TOKEN,
            paths.AGENT_TOKEN,
            paths.ESTABLISHED,
            paths.KUBECONFIG,
            paths.SERVER_TOKEN,
            *(f"/usr/local/bin/{name}" for name in paths.LINKS),
            *image_paths(home, "amd64"),
            *image_paths(home, "arm64"),
        ),
        units=(paths.SERVER_UNIT, paths.AGENT_UNIT),
        text=(paths.CONFIG, paths.JOIN, paths.unit_file(host.role), paths.SERVER_CA),
    )


def image_assets(home: Home, arch: str) -> tuple[str, ...]:
    """The image archives of the inventory, as assets for an architecture."""
    archives = home.cluster.image_archives if home.cluster else ()
    return tuple(dict.fromkeys(name.replace("{arch}", arch) for name in archives))


def image_paths(home: Home, arch: str) -> tuple[str, ...]:
    """Where a node keeps those archives; K3s loads what lies there when it starts."""
    return tuple(f"{paths.IMAGES}/{asset}" for asset in image_assets(home, arch))
