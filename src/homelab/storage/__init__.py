"""Disks, and the pools and volumes on them, pure: what is asked, what was seen, and what is to be done about it."""

from __future__ import annotations

from homelab.model import Home, Host
from homelab.probe import Questions
from homelab.storage import asking
from homelab.storage.asking import packages
from homelab.storage.plan import plan
from homelab.storage.probe import Unclear, parse
from homelab.storage.seen import Seen
from homelab.storage.steps import Plan, Step
from homelab.storage.zfs import to_build

__all__ = ["Plan", "Seen", "Step", "Unclear", "packages", "parse", "plan", "questions", "to_build"]


def questions(home: Home, host: Host) -> Questions:
    """What a host is asked about its storage; nothing of one that is no NAS, or has no pools."""
    if host.storage is None or not host.storage.pools:
        return Questions()
    return asking.questions(host.storage)
