"""K3s's configuration files: valid, stable, and without a secret in them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from homelab.files import ManagedFile
from homelab.k3s import config, paths
from homelab.model import Home
from tests.builders import home, host

FULL = home(
    [
        host(
            "s1", interface="eth1", labels={"disk": "ssd", "on": "1"}, taints=("gpu=yes:NoSchedule", "slow:NoExecute")
        ),
        host("s2", server_config={"kubelet-arg": ["max-pods=50"], "node-external-ip": "203.0.113.2"}),
        "s3",
    ],
    ["a1", host("a2", "agent", agent_config={"kubelet-arg": ["max-pods=10"]})],
    tls_san=("k3s.home.arpa", "192.168.1.10"),
    server_config={"disable": ["traefik", "servicelb"], "kubelet-arg": ["max-pods=110"], "etcd-expose-metrics": True},
    agent_config={"kubelet-arg": ["max-pods=20"], "snapshotter": "native"},
)


def read(file: ManagedFile) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.content)
    return found


def test_a_server_gets_what_the_toolkit_owns_and_the_native_keys() -> None:
    assert read(config.config(FULL, FULL.host("s1"))) == {
        "node-name": "s1",
        "node-ip": "192.168.1.11",
        "token-file": paths.TOKEN,
        "flannel-iface": "eth1",
        "agent-token-file": paths.AGENT_TOKEN,
        "cluster-cidr": "10.42.0.0/16",
        "service-cidr": "10.43.0.0/16",
        "write-kubeconfig-mode": "0600",
        "tls-san": ["k3s.home.arpa", "192.168.1.10"],
        "disable": ["traefik", "servicelb"],
        "kubelet-arg": ["max-pods=110"],
        "etcd-expose-metrics": True,
    }


def test_an_agent_gets_no_servers_key() -> None:
    assert read(config.config(FULL, FULL.host("a1"))) == {
        "node-name": "a1",
        "node-ip": "192.168.1.21",
        "token-file": paths.TOKEN,
        "kubelet-arg": ["max-pods=20"],
        "snapshotter": "native",
    }


@pytest.mark.parametrize(("name", "pods"), [("s1", 110), ("s2", 50), ("a1", 20), ("a2", 10)])
def test_a_hosts_own_keys_come_before_the_clusters(name: str, pods: int) -> None:
    assert read(config.config(FULL, FULL.host(name)))["kubelet-arg"] == [f"max-pods={pods}"]


def test_the_mode_stays_text_that_yaml_does_not_take_for_a_number() -> None:
    assert "write-kubeconfig-mode: '0600'" in config.config(FULL, FULL.host("s1")).content


def test_the_same_inventory_gives_the_same_bytes() -> None:
    for each in FULL.servers + FULL.agents:
        assert config.config(FULL, each) == config.config(FULL.model_copy(deep=True), each)


def test_the_settings_are_what_the_file_says() -> None:
    given = home(["s1"], server_config={"disable": ("traefik",), "etcd-snapshot-retention": 5})
    assert read(config.config(given, given.host("s1"))) == config.settings(given, given.host("s1"))


def test_two_network_families_are_one_value() -> None:
    both = home(["s1"], cluster_cidr="10.42.0.0/16,fd42::/56", service_cidr="10.43.0.0/16,fd43::/112")
    made = read(config.config(both, both.host("s1")))
    assert (made["cluster-cidr"], made["service-cidr"]) == ("10.42.0.0/16,fd42::/56", "10.43.0.0/16,fd43::/112")


@pytest.mark.parametrize(
    ("address", "url"),
    [("192.168.1.11", "https://192.168.1.11:6443"), ("fd00::11", "https://[fd00::11]:6443")],
)
def test_a_join_names_the_server_also_by_ipv6(address: str, url: str) -> None:
    server = host("s1", address=address)
    assert config.url(server) == url
    assert read(config.join(server)) == {"server": url}
    assert config.joined_through(config.join(server).content) == url


def test_the_first_server_begins_the_cluster() -> None:
    assert read(config.join(None)) == {"cluster-init": True}
    assert config.joined_through(config.join(None).content) is None


@pytest.mark.parametrize(
    "text", ["", "- a", "server: [1]", "server: {broken", "server: 5", "null", "server: 2026-13-01"]
)
def test_an_unreadable_join_file_names_nobody(text: str) -> None:
    assert config.joined_through(text) is None


def test_labels_and_taints_are_registered_as_text() -> None:
    assert read(config.registration(FULL.host("s1"))) == {
        "node-label": ["disk=ssd", "on=1"],
        "node-taint": ["gpu=yes:NoSchedule", "slow=:NoExecute"],
    }


def test_nothing_to_register_is_a_file_that_k3s_can_read() -> None:
    assert read(config.registration(FULL.host("s3"))) == {}


def every_file(known: Home) -> list[ManagedFile]:
    files = [config.registries({"configs": {"r.home.arpa": {"auth": {"password": "s3cret"}}}})]
    for each in known.servers + known.agents:
        files += [config.config(known, each), config.registration(each), config.join(each), config.join(None)]
    return files


def test_every_file_is_for_root_alone_and_its_content_shows_nowhere() -> None:
    for file in every_file(FULL):
        assert (file.mode, file.owner) == ("0600", "root:root")
        assert isinstance(read(file), dict)
        assert "s3cret" not in repr(file)


def test_no_secret_is_in_a_nodes_configuration() -> None:
    secret = home(["s1"], ["a1"], token="env:K3S_TOKEN", agent_token="file:/root/agent-token")
    for each in secret.servers + secret.agents:
        made = read(config.config(secret, each))
        assert not {"token", "agent-token"} & made.keys()
        assert "K3S_TOKEN" not in config.config(secret, each).content


@pytest.mark.parametrize("value", ["yes", "0123", "a: b", "# no", "{}", "'", '"', "ünïcode", "x" * 300, "1e3", "null"])
def test_awkward_values_come_back_as_they_were(value: str) -> None:
    known = home(["s1"], server_config={"service-node-port-range": value, "kubelet-arg": [f"a={value}", value]})
    made = read(config.config(known, known.host("s1")))
    assert (made["service-node-port-range"], made["kubelet-arg"]) == (value, [f"a={value}", value])
