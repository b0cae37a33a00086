"""One cluster's entry in a kubeconfig, merged without touching the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml


class KubeconfigError(Exception):
    """The kubeconfig on the control machine cannot be merged into; one line."""


def context(environment: str) -> str:
    """The context's name, by which `homelab health` knows the inventory again."""
    return f"homelab-{environment}"


def merge(existing: str, fetched: str, name: str, server: str) -> str:
    """The existing kubeconfig with the cluster, user and context `name` added or replaced, all else as it was.

    `fetched` is K3s's own admin kubeconfig and `server` the API's address from outside. The current context stays,
    unless there was none. Raise KubeconfigError when the existing text is not a kubeconfig.
    """
    config = _read(existing) if existing.strip() else {}
    admin = _read(fetched)
    try:
        cluster = {**admin["clusters"][0]["cluster"], "server": server}
        user = admin["users"][0]["user"]
    except (KeyError, IndexError, TypeError) as error:
        raise KubeconfigError("K3s's own kubeconfig is not as expected") from error
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}, **config}
    for section, value in (
        ("clusters", {"name": name, "cluster": cluster}),
        ("users", {"name": name, "user": user}),
        ("contexts", {"name": name, "context": {"cluster": name, "user": name}}),
    ):
        entries = list(merged.get(section) or [])
        places = [index for index, entry in enumerate(entries) if entry.get("name") == name]
        if places:
            # What a person added to the context, a namespace say, is theirs.
            mine = section[:-1]
            kept: Any = entries[places[0]].get(mine, {}) if section == "contexts" else {}
            entries[places[0]] = {**entries[places[0]], mine: {**kept, **value[mine]}}
        else:
            entries.append(value)
        merged[section] = entries
    if not merged.get("current-context"):
        merged["current-context"] = name
    if merged == config:
        return existing
    return yaml.safe_dump(merged, sort_keys=False, default_flow_style=False, allow_unicode=True)


def server(existing: str, name: str) -> str | None:
    """The API address that a context's cluster has; None without such an entry."""
    for entry in (_read(existing) if existing.strip() else {}).get("clusters") or []:
        if entry.get("name") == name:
            address = (entry.get("cluster") or {}).get("server")
            return address if isinstance(address, str) else None
    return None


def host_of(address: str) -> str:
    """The host name or address in an API URL."""
    return urlsplit(address).hostname or ""


def _read(text: str) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigError("is not YAML; mend it or move it away") from error
    if not isinstance(config, dict):
        raise KubeconfigError("is not a kubeconfig; mend it or move it away")
    for section in ("clusters", "users", "contexts"):
        entries = config.get(section) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise KubeconfigError(f"has {section} that are no list of entries; mend it or move it away")
    return config
