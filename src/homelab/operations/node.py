"""Starting a K3s node and waiting, with a deadline, until it counts as up."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from datetime import datetime
from typing import Any

from pyinfra import host, inventory, logger, state
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation

from homelab.k3s import causes, node, paths
from homelab.k3s.node import Node, Sight
from homelab.model import Host
from homelab.probe import UnitState, unit_time
from homelab.pyinfra_compat import Refusal

# Certificates on an SD card and etcd's promotion of a learner take minutes, not seconds (facts/k3s.md 2.6, 4).
DEADLINE = 600
_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@operation()
def started(role: str, current: UnitState, restart: bool) -> Generator[StringCommand, None, None]:
    """Ensure that a node's unit is enabled and started; `restart` when what it was started with has changed.

    It returns at once: a start without quorum would block for ever, so the gate does the waiting.
    """
    name = paths.unit(role)
    if current.running and current.enabled == "enabled" and not restart:
        host.noop(f"{name} runs")
        return
    verb = "restart" if restart or current.active == "failed" else "start"
    yield StringCommand(
        f"systemctl daemon-reload && systemctl enable --quiet {name} && systemctl reset-failed {name} && "
        f"systemctl {verb} --no-block {name}"
    )


@operation()
def up(mine: Host, via: PyinfraHost, version: str, deadline: float = DEADLINE) -> Generator[StringCommand, None, None]:
    """Wait until this node counts as up, and end the run with its own last words if it does not within the deadline.

    `via` is the host whose API is asked: the node itself for a server, a server for an agent. It changes nothing.
    """
    if state.is_executing:
        wait(mine, host, via, version, deadline)
    yield from ()


def wait(mine: Host, theirs: PyinfraHost, via: PyinfraHost, version: str, deadline: float) -> None:
    """Poll until the node is up; raise Refusal with the reason and the known cause at the deadline."""
    server = mine.role == "server"
    end = time.monotonic() + deadline
    said = ""
    while True:
        sight = look(mine, theirs, via)
        missing = node.unmet(sight, version=version, server=server)
        if not missing:
            return
        if sight.dead:
            raise Refusal([f"{mine.name}: K3s did not start{_journal(mine, theirs)}"])
        if missing[0] != said:
            said = missing[0]
            logger.info(f"{theirs.print_prefix}waiting: {said}")
        if time.monotonic() > end:
            raise Refusal(
                [f"{mine.name}: is not up after {deadline:.0f} s: {'; '.join(missing)}{_journal(mine, theirs)}"]
            )
        time.sleep(2)


def look(mine: Host, theirs: PyinfraHost, via: PyinfraHost) -> Sight:
    """One look at a node: its unit on the host, its Node and lease at an API."""
    unit = f"TZ=UTC systemctl show {paths.unit(mine.role or '')} -p ActiveState,ExecMainStartTimestamp,Job"
    api = _asks(mine.name, server=mine.role == "server")
    if theirs.name == via.name:  # the current host is a proxy, never the same object
        _, output = theirs.run_shell_command(StringCommand(f"{unit}; {api}"), _sudo=True, _timeout=60)
        lines = output.stdout_lines
    else:
        _, output = theirs.run_shell_command(StringCommand(unit), _sudo=True, _timeout=60)
        lines = output.stdout_lines
        _, output = via.run_shell_command(StringCommand(api), _sudo=True, _timeout=60)
        lines = [*lines, *output.stdout_lines]
    values = dict(line.partition("=")[::2] for line in lines if "=" in line)
    lease = _json(values.get("lease", ""))
    renewed = ((lease or {}).get("spec") or {}).get("renewTime")
    found = _json(values.get("node", ""))
    return Sight(
        unit=values.get("ActiveState", "unknown"),
        queued=values.get("Job", "0") not in ("", "0"),
        started=unit_time(values.get("ExecMainStartTimestamp", "")),
        serving=values.get("readyz") == "ok",
        node=node.parse(found) if found else None,
        renewed=datetime.fromisoformat(renewed) if renewed else None,
    )


def _asks(name: str, server: bool) -> str:
    kubectl = f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG} --request-timeout=10s get --raw"
    ready = f'echo "readyz=$({kubectl} /readyz 2>/dev/null)"; ' if server else ""
    # Nothing else is asked of a server whose API is not up: each question to it costs its time-out.
    return (
        f'{ready}echo "node=$({kubectl} /api/v1/nodes/{name} 2>/dev/null)"; '
        f'echo "lease=$({kubectl} {_LEASE}/{name} 2>/dev/null)"'
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _journal(mine: Host, theirs: PyinfraHost) -> str:
    command = StringCommand(f"journalctl -u {paths.unit(mine.role or '')} -n 400 -o cat --no-pager")
    _, output = theirs.run_shell_command(command, _sudo=True, _timeout=60)
    words, why = causes.last_words(output.stdout_lines), causes.cause(output.stdout_lines)
    return (f"; its last words: {words}" if words else "") + (f"; that is: {why}" if why else "")


def nodes(via: PyinfraHost) -> dict[str, Node] | None:
    """The cluster's nodes as a server tells them; None when its API does not answer."""
    command = StringCommand(
        f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG} --request-timeout=10s get --raw /api/v1/nodes"
    )
    ok, output = via.run_shell_command(command, _sudo=True, _timeout=60)
    listed = _json("".join(output.stdout_lines)) if ok else None
    return {each.name: each for each in map(node.parse, listed["items"])} if listed else None


_NAMES_ONLY = "wrangler.cattle.io/node"


@operation()
def forgotten(mine: Host, needed: bool) -> Generator[StringCommand, None, None]:
    """Ensure that the cluster has no Node, etcd member and password of a machine that was wiped and now joins anew.

    Run it on a server. K3s removes member and password when the Node goes: its handlers hold the Node until then. One
    of them only keeps the names for DNS, and was seen (K3s 1.21) not to run in the server that took the lead from the
    one that was wiped: where it alone holds the Node, the others are done, and the Node is let go.
    """
    if not needed:
        host.noop(f"the cluster has nothing old of {mine.name}")
        return
    kubectl = f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG}"
    held = f"{kubectl} get node {mine.name} -o jsonpath='{{.metadata.finalizers}}'"
    free = f"""{kubectl} patch node {mine.name} --type=merge -p '{{"metadata":{{"finalizers":null}}}}'"""
    yield StringCommand(
        f"{kubectl} delete node {mine.name} --ignore-not-found --wait --timeout=120s || "
        f"""{{ [ "$({held})" = '["{_NAMES_ONLY}"]' ] && {free}; }}"""
    )


def pyinfra_host(mine: Host) -> PyinfraHost:
    """pyinfra's object for a host of the inventory."""
    return inventory.get_host(mine.inventory_name)
