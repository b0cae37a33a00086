"""The same state as a deploy's, as tasks of ansible-playbook: what a host has of it, asked of the host itself.

Only modules of ansible-core, so mounts, exports and pools are not among them: the peer has less to do than the toolkit.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from typing import Any

from homelab import host as host_room
from homelab import nas as nas_room
from homelab.model import Home, Host
from homelab.probe import Questions

# Kind, mode, owner, group, path; and of a file its content.
_LOOK = r"""
for p in %s; do
  [ -L "$p" ] && continue
  [ -d "$p" ] && echo "dir $(stat -c '%%a %%U %%G' "$p") $p -"
  # A secret stays where it is.
  [ -f "$p" ] && [ $((0$(stat -c %%a "$p") & 004)) -ne 0 ] && [ "$(stat -c %%s "$p")" -lt 65536 ] &&
    echo "file $(stat -c '%%a %%U %%G' "$p") $p $(base64 -w0 <"$p")"
done
for u in %s; do echo "unit $u $(systemctl is-enabled "$u" 2>/dev/null) $(systemctl is-active "$u" 2>/dev/null)"; done
dpkg-query -W -f 'package ${Package} ${db:Status-Status}\n' %s 2>/dev/null
:
"""


def look(home: Home, host: Host) -> str:
    """The read-only script that tells what of the deploy's state a host has."""
    asked = _asked(home, host)
    words = [" ".join(map(shlex.quote, each)) or "''" for each in (asked.paths, asked.units, asked.packages)]
    return _LOOK % tuple(words)


def tasks(host: Host, seen: str) -> list[dict[str, Any]]:
    """A task for each thing that `look` printed: packages in one, then directories, files, units, users, volumes."""
    found: list[dict[str, Any]] = []
    packages: list[str] = []
    for line in seen.splitlines():
        match line.split(" "):
            case ["package", name, "installed"]:
                packages.append(name)
            case ["dir", mode, owner, group, path, _]:
                found.append({"file": {"path": path, "state": "directory", **_rights(mode, owner, group)}})
            case ["file", mode, owner, group, path, content]:
                text = base64.b64decode(content).decode()
                found.append({"copy": {"dest": path, "content": text, **_rights(mode, owner, group)}})
            case ["unit", name, "enabled", "active"]:
                found.append({"systemd": {"name": name, "enabled": True, "state": "started"}})
            case ["unit", name, "masked", _]:
                found.append({"systemd": {"name": name, "masked": True}})
    nas = host.storage
    if nas is not None:
        found += [
            {"user": {"name": name, "uid": user.uid, "shell": "/usr/sbin/nologin", "create_home": False}}
            for name, user in nas.users.items()
        ]
        found += [
            {"file": {"path": nas.path(name), "state": "directory", "owner": volume.owner, "mode": volume.mode}}
            for name, volume in nas.volumes.items()
        ]
    first: list[dict[str, Any]] = [{"hostname": {"name": host.name}}]
    first += [{"apt": {"name": packages, "state": "present"}}] if packages else []
    return [{"name": _told(each), **_full(each)} for each in (*first, *found)]


def play(hosts: Mapping[str, list[dict[str, Any]]]) -> str:
    """A playbook with a play for each host, none of which gathers facts; JSON is YAML."""
    # What stands in files may look like a template.
    plays = [
        {
            "hosts": name,
            "become": True,
            "gather_facts": False,
            "tasks": [{key: _raw(value) for key, value in task.items()} for task in tasks],
        }
        for name, tasks in hosts.items()
    ]
    return json.dumps(plays, indent=1)


def _asked(home: Home, host: Host) -> Questions:
    return host_room.questions(home, host) | nas_room.questions(home, host)


def _rights(mode: str, owner: str, group: str) -> dict[str, str]:
    return {"mode": mode.zfill(4), "owner": owner, "group": group}


def _told(task: dict[str, Any]) -> str:
    ((module, arguments),) = task.items()
    return f"{module} {arguments.get('dest') or arguments.get('path') or arguments.get('name')}"[:80]


def _full(task: dict[str, Any]) -> dict[str, Any]:
    return {f"ansible.builtin.{module}": arguments for module, arguments in task.items()}


def _raw(value: Any) -> Any:
    if isinstance(value, dict) and "content" in value:
        return {**value, "content": "{% raw %}" + value["content"] + "{% endraw %}"}
    return value
