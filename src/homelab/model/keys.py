"""The inventory's keys: what each means and where it is written. inventory/README.md shows this table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from homelab.model import native, ssh
from homelab.model.problems import Problem, did_you_mean
from homelab.model.raw import Given, RawHost

Where = Literal["host", "shared", "both"]


@dataclass(frozen=True)
class Key:
    """A key of the inventory. ``field`` is the model's name for it; ``model`` which part of the model."""

    name: str
    where: Where
    model: Literal["Host", "Cluster", "Base", "Nas"]
    meaning: str
    field: str = ""

    @property
    def fills(self) -> str:
        return self.field or self.name


KEYS = (
    Key("address", "host", "Host", "IP address in the LAN, the node's own; default: `ssh_hostname` if it is one"),
    Key("interface", "host", "Host", "interface that carries the pods' traffic, `eth0`; default: the default route's"),
    Key("away", "host", "Host", "`True`: listed and counted for quorum, but not contacted"),
    Key("labels", "both", "Host", 'node labels, `{"disk": "ssd"}`; a host\'s are merged over the shared ones'),
    Key("taints", "both", "Host", 'node taints, `["gpu=yes:NoSchedule"]`; added to the shared ones'),
    Key(
        "server_config",
        "both",
        "Cluster",
        'native K3s keys of servers, `{"disable": ["traefik"]}`; a host\'s are merged over the shared ones',
    ),
    Key("agent_config", "both", "Cluster", "native K3s keys of agents, likewise"),
    Key("k3s_version", "shared", "Cluster", 'K3s release, its whole tag: `"v1.35.6+k3s1"`', "version"),
    Key("k3s_token", "shared", "Cluster", "reference to the servers' token; without it the deploy makes one", "token"),
    Key("k3s_agent_token", "shared", "Cluster", "reference to the agents' token, another one", "agent_token"),
    Key("cluster_cidr", "shared", "Cluster", "the pods' network; default `10.42.0.0/16`"),
    Key("service_cidr", "shared", "Cluster", "the services' network; default `10.43.0.0/16`"),
    Key("tls_san", "shared", "Cluster", "further names and addresses the API answers to"),
    Key("registries", "shared", "Cluster", "K3s's registries.yaml, passwords as references"),
    Key("image_archives", "shared", "Cluster", "image archives in the artifact cache to push, `{arch}` replaced"),
    Key("kubeconfig", "shared", "Cluster", "where the kubeconfig is merged; default `~/.kube/config`"),
    Key("charts", "shared", "Cluster", "what runs on the cluster, a list of releases of charts"),
    Key("timezone", "shared", "Base", '`"Europe/Berlin"`; default: as the host has it'),
    Key("ntp_servers", "shared", "Base", "time servers; default: the distribution's"),
    Key("packages", "shared", "Base", "further packages for every host"),
    Key("unattended_upgrades", "shared", "Base", "security updates by themselves, never a reboot; default `True`"),
    Key("ssh_hardening", "shared", "Base", "no passwords and no root over SSH; default `True`"),
    Key("firewall", "shared", "Base", "an nftables table that lets in the home and `networks`; default `True`"),
    Key("networks", "shared", "Base", 'named networks that may reach the hosts, `{"lan": "192.168.1.0/24"}`'),
    Key("disks", "both", "Nas", "disks by what is printed on them, never as `sda`: another could be `sda` tomorrow"),
    Key("pools", "both", "Nas", "disks that keep one filesystem, so that some may die, mounted at `/srv/<pool>`"),
    Key("volumes", "both", "Nas", "folders of a pool, `/srv/<pool>/<volume>`: what is shared, limited and backed up"),
    Key("users", "both", "Nas", "people with files on the NAS; their passwords as references"),
    Key("shares", "both", "Nas", "volumes as others see them: over NFS (Linux), SMB (Windows, macOS, phones) or both"),
    Key("snapshots", "both", "Nas", "how many earlier states of a volume stay at hand; not of mdraid or snapraid"),
    Key("backups", "both", "Nas", "restic repositories on other disks, better in another house, and what goes there"),
    Key("alerts", "both", "Nas", "who hears of a dying disk or a failed backup: mail, ntfy, a webhook"),
    Key("ups", "both", "Nas", "the UPS at the NAS; with a low battery the nodes go down, then the NAS"),
)
NAMES = tuple(key.name for key in KEYS)
CLUSTER = {key.name: key.fills for key in KEYS if key.model == "Cluster" and key.where == "shared"}
BASE = tuple(key.name for key in KEYS if key.model == "Base")
NAS = tuple(key.name for key in KEYS if key.model == "Nas")
OF_HOST = frozenset(key.name for key in KEYS if key.where != "shared")
OF_ALL = frozenset(key.name for key in KEYS if key.where != "host")

CONFIGS: tuple[tuple[str, native.Role], ...] = (("server_config", "server"), ("agent_config", "agent"))


_WRITTEN = {"host": "a host's tuple", "shared": "group_data", "both": "either"}


def table() -> str:
    """The keys as Markdown, for inventory/README.md."""
    rows = ["| key | written in | meaning |", "|---|---|---|"]
    rows += [f"| `{key.name}` | {_WRITTEN[key.where]} | {key.meaning} |" for key in KEYS]
    return "\n".join(rows) + "\n"


def check(host: RawHost, role: native.Role | None) -> Iterator[Problem]:
    """Keys that nobody reads, keys written in the wrong place, and what is wrong in native and SSH ones."""
    for key, given in host.shared.items():
        if key in NAMES and key not in OF_ALL:
            yield Problem(given.place, "is one host's own", "write it in that host's tuple")
        else:
            yield from _check_name(key, given, host)
    for key, given in host.own.items():
        if key in NAMES and key not in OF_HOST:
            yield Problem(given.place, "is the same for all hosts", f"write {key} in group_data")
        else:
            yield from _check_name(key, given, host)
    connection = {key: given for key, given in {**host.shared, **host.own}.items() if key in ssh.SSH_KEYS}
    for key, found, remedy in ssh.check({key: given.value for key, given in connection.items()}):
        name, dot, rest = key.partition(".")
        yield Problem(f"{connection[name].place}{dot}{rest}", found, remedy)
    yield from _check_own_config(host, role)
    for key in NAS:
        if key in host.own and "nas" not in host.groups:
            yield Problem(host.own[key].place, "this host is no NAS", "write it in nas, or leave this out")


def _check_name(key: str, given: Given, host: RawHost) -> Iterator[Problem]:
    if key in ssh.FAKE_KEYS:
        if not host.name.startswith("@fake"):
            yield Problem(given.place, "is for pyinfra's @fake hosts", "leave it out")
    elif key.startswith("_"):
        if key not in ssh.ARGUMENTS:
            return
        if key.endswith("_password"):
            yield Problem(given.place, "a secret in clear", "run pyinfra from a terminal, where it asks for it")
        else:
            yield Problem(given.place, "would change every operation", "leave it out: the deploys choose how to run")
    elif key not in NAMES and key not in ssh.SSH_KEYS:
        known = (*NAMES, *ssh.SSH_KEYS)
        remedy = did_you_mean(key, known, "see inventory/README.md for the keys; start a helper's name with _")
        yield Problem(given.place, "unknown key", remedy)


def _check_own_config(host: RawHost, role: native.Role | None) -> Iterator[Problem]:
    """What a host says of K3s for itself alone."""
    for key in ("labels", "taints"):
        if key in host.own and role is None:
            yield Problem(host.own[key].place, "this host is no K3s node", "leave it out")
    for key, meant in CONFIGS:
        given = host.own.get(key)
        if given is None:
            continue
        if role is None:
            yield Problem(given.place, "this host is no K3s node", "leave it out")
        elif role != meant:
            yield Problem(given.place, f"this host is a K3s {role}", f"write {role}_config")
        elif isinstance(given.value, dict):
            for name, found, remedy in native.check(given.value, meant, of_one_host=True):
                yield Problem(f"{given.place}.{name}", found, remedy)
