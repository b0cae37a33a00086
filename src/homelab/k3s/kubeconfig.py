"""One cluster's entry in a kubeconfig, merged without touching the others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from homelab.yaml_compat import UNREADABLE


class _Loader(yaml.SafeLoader):
    """YAML as JSON knows it: what only YAML 1.1 takes for a date, `on` or an octal number stays the text it is."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ("~", "n", "")),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)\.[0-9]+", "-0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


class KubeconfigError(Exception):
    """The kubeconfig on the control machine cannot be merged into; one line."""


def context(environment: str) -> str:
    """The context's name, by which `homelab health` knows the inventory again."""
    return f"homelab-{environment}"


def text(file: Path) -> str:
    """What a kubeconfig says, "" while it is not there. Raise KubeconfigError when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise KubeconfigError(f"cannot be read ({error.strerror or error}); mend it or move it away") from error
    except UnicodeDecodeError as error:
        raise KubeconfigError("is not UTF-8 text; mend it or move it away") from error


def merge(existing: str, fetched: str, name: str, server: str) -> str:
    """The existing kubeconfig with the cluster, user and context `name` added or replaced, all else as it was.

    `fetched` is K3s's own admin kubeconfig and `server` the API's address from outside. The current context stays,
    unless there was none. Raise KubeconfigError when the existing text is not a kubeconfig.
    """
    config = _read(existing) if existing.strip() else {}
    try:
        admin = _read(fetched)
        cluster = {**admin["clusters"][0]["cluster"], "server": server}
        user = admin["users"][0]["user"]
    except (KubeconfigError, KeyError, IndexError, TypeError) as error:
        raise KubeconfigError("stays as it is: K3s's own kubeconfig cannot be read; deploy again") from error
    head = {"apiVersion": "v1", "kind": "Config"}
    merged: dict[str, Any] = {key: value for key, value in head.items() if key not in config} | dict(config)
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
            kept: Any = entries[places[0]].get(mine) if section == "contexts" else None
            ours: Any = value[mine]
            entries[places[0]] = {**entries[places[0]], mine: {**(kept if isinstance(kept, dict) else {}), **ours}}
        else:
            entries.append(value)
        merged[section] = entries
    if not merged.get("current-context"):
        merged["current-context"] = name
    if merged == config:
        return existing
    return yaml.safe_dump(merged, sort_keys=False, default_flow_style=False, allow_unicode=True)


def cluster(existing: str, name: str) -> Mapping[str, Any] | None:
    """A context's cluster, its server and authority; None without such an entry. Raise KubeconfigError as `merge`."""
    for entry in (_read(existing) if existing.strip() else {}).get("clusters") or []:
        if entry.get("name") == name:
            found = entry.get("cluster")
            return found if isinstance(found, dict) else {}
    return None


def server(existing: str, name: str) -> str | None:
    """The API address that a context's cluster has; None without one. Raise KubeconfigError as `merge`."""
    address = (cluster(existing, name) or {}).get("server")
    return address if isinstance(address, str) else None


def host_of(address: str) -> str:
    """The host name or address in an API URL; "" where it is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _read(text: str) -> Mapping[str, Any]:
    try:
        # _Loader is a SafeLoader.
        config = yaml.load(text, Loader=_Loader)
    except UNREADABLE as error:
        raise KubeconfigError("is not YAML; mend it or move it away") from error
    if not isinstance(config, dict):
        raise KubeconfigError("is not a kubeconfig; mend it or move it away")
    for section in ("clusters", "users", "contexts"):
        entries = config.get(section) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise KubeconfigError(f"has {section} that are no list of entries; mend it or move it away")
    return config
