"""The network of the hosts that run from our own boxes: a bridge, a way out, names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .hosts import BRIDGE, GATEWAY, NETWORK, Host
from .system import end, remember, remembered, run

# K3s' own networks, 10.42.0.0/16 of pods and 10.43.0.0/16 of Services.
_CLUSTER = "10.42.0.0/15"
# The comment is how a rule is known as ours.
_TAG = ("-m", "comment", "--comment", "homelab-sandbox")
# Each is put before the ones above it.
_RULES = (
    ("nat", "POSTROUTING", ("-s", NETWORK, "!", "-d", NETWORK, "-j", "MASQUERADE")),
    ("filter", "FORWARD", ("-i", BRIDGE, "-j", "ACCEPT")),
    ("filter", "FORWARD", ("-o", BRIDGE, "-j", "ACCEPT")),
    # Pods and Services are nowhere outside. A server asks for one before kube-proxy knows it, and where a proxy on this
    # machine's way out answers in its place, that connection is kept and the API behind it stays unavailable for ever.
    ("filter", "FORWARD", ("-i", BRIDGE, "-d", _CLUSTER, "-j", "REJECT")),
    # The way out may carry smaller packets than the bridge, and not everybody out there hears that they are too big.
    ("mangle", "FORWARD", ("-s", NETWORK, "-p", "tcp", "--syn", "-j", "TCPMSS", "--clamp-mss-to-pmtu")),
)
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def up(hosts: Iterable[Host], state: Path) -> None:
    """Bridge, forwarding and name service are there; what is there already stays."""
    for module in ("overlay", "br_netfilter", "nf_conntrack"):
        # A kernel may have them built in, and then need not know modprobe.
        run(["modprobe", module], check=False)
    if run(["ip", "link", "show", BRIDGE], check=False).returncode != 0:
        # A bridge without an address of its own takes its lowest port's, so it would change as hosts come and go.
        run(["ip", "link", "add", BRIDGE, "address", "52:54:00:17:77:01", "type", "bridge"])
    if GATEWAY not in run(["ip", "-4", "address", "show", BRIDGE]).stdout:
        run(["ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])

    before = _FORWARDING.read_text().strip()
    if before != "1":
        (state / "ip_forward").write_text(before)
        _FORWARDING.write_text("1")
    for table, chain, rule in _RULES:
        if run(["iptables", "-w", "-t", table, "-C", chain, *_TAG, *rule], check=False).returncode != 0:
            run(["iptables", "-w", "-t", table, "-I", chain, *_TAG, *rule])
    _serve_names(hosts, state)


def down(state: Path) -> None:
    """All of that is gone again, and forwarding as it was."""
    end(state / "dnsmasq")
    for table, chain, rule in _RULES:
        run(["iptables", "-w", "-t", table, "-D", chain, *_TAG, *rule], check=False)
    run(["ip", "link", "delete", BRIDGE], check=False)
    before = state / "ip_forward"
    if before.exists():
        _FORWARDING.write_text(before.read_text())
        before.unlink()


def _serve_names(hosts: Iterable[Host], state: Path) -> None:
    record = state / "dnsmasq"
    if remembered(record) is not None:
        return
    pid_file = state / "dnsmasq.pid"
    # Forwards to this machine's own resolver, wherever that is; a stub on loopback would be out of the hosts' reach.
    run(
        [
            "dnsmasq",
            f"--conf-file={os.devnull}",
            f"--listen-address={GATEWAY}",
            "--bind-interfaces",
            "--except-interface=lo",
            "--no-hosts",
            f"--pid-file={pid_file}",
            *(f"--host-record={host.name},{host.address}" for host in hosts),
        ]
    )
    remember(record, int(pid_file.read_text()))
