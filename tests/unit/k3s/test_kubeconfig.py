"""Merging into somebody's kubeconfig: what is theirs stays."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from homelab.k3s import kubeconfig
from homelab.k3s.kubeconfig import KubeconfigError

# As K3s writes /etc/rancher/k3s/k3s.yaml.
FETCHED = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0EK
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
users:
- name: default
  user:
    client-certificate-data: Q0VSVAo=
    client-key-data: S0VZCg==
"""
THEIRS = """\
apiVersion: v1
kind: Config
clusters:
- name: work
  cluster: {server: "https://work.example", insecure-skip-tls-verify: true}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: "on"}
current-context: work
preferences: {colors: true}
extensions:
- {name: something, extension: {kept: yes}}
users:
- name: me
  user:
    auth-provider: {config: {expiry: 2026-11-22T10:00:00Z, pin: 0123, port: 8080, ratio: 12:30, big: 1_000}}
"""
SERVER = "https://192.168.1.11:6443"


def merged(existing: str, server: str = SERVER) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(kubeconfig.merge(existing, FETCHED, "homelab-home", server))
    return found


def test_an_empty_file_gets_the_cluster_and_points_to_it() -> None:
    made = merged("")
    assert made["current-context"] == "homelab-home"
    assert made["clusters"] == [
        {"name": "homelab-home", "cluster": {"certificate-authority-data": "Q0EK", "server": SERVER}}
    ]
    assert made["contexts"] == [
        {"name": "homelab-home", "context": {"cluster": "homelab-home", "user": "homelab-home"}}
    ]
    assert made["users"][0]["user"]["client-key-data"] == "S0VZCg=="


def test_what_is_theirs_stays_in_its_order() -> None:
    text = kubeconfig.merge(THEIRS, FETCHED, "homelab-home", SERVER)
    # BaseLoader: every scalar as it is written.
    made, before = (yaml.load(each, Loader=yaml.BaseLoader) for each in (text, THEIRS))
    for section in ("clusters", "contexts", "users"):
        assert made[section][0] == before[section][0]
        assert [each["name"] for each in made[section]][1:] == ["homelab-home"]
    assert made["current-context"] == "work"
    assert made["extensions"] == [{"name": "something", "extension": {"kept": "yes"}}]
    assert list(made)[: len(before)] == list(before)


def test_scalars_mean_to_go_what_they_meant() -> None:
    # kubectl reads YAML as JSON: a date, an octal or a base-60 number in sight is text there.
    text = kubeconfig.merge(THEIRS, FETCHED, "homelab-home", SERVER)
    kept = yaml.safe_load(text)["users"][0]["user"]["auth-provider"]["config"]
    assert kept == {
        "expiry": "2026-11-22T10:00:00Z",
        "pin": "0123",
        "port": 8080,
        "ratio": "12:30",
        "big": "1_000",
    }
    assert yaml.safe_load(text)["contexts"][0]["context"]["namespace"] == "on"
    assert yaml.safe_load(text)["clusters"][0]["cluster"]["insecure-skip-tls-verify"] is True


def test_merging_again_changes_not_one_byte() -> None:
    once = kubeconfig.merge(THEIRS, FETCHED, "homelab-home", SERVER)
    assert kubeconfig.merge(once, FETCHED, "homelab-home", SERVER) == once
    commented = "# mine\n" + once
    assert kubeconfig.merge(commented, FETCHED, "homelab-home", SERVER) == commented


def test_a_rebuilt_cluster_replaces_its_own_entry_in_place() -> None:
    existing = kubeconfig.merge("", FETCHED.replace("Q0EK", "T0xECg=="), "homelab-home", "https://192.168.1.99:6443")
    values = yaml.safe_load(existing)
    values["contexts"][0]["context"]["namespace"] = "photos"
    values["clusters"].append({"name": "work", "cluster": {"server": "https://work.example"}})
    made = merged(yaml.safe_dump(values))
    assert [each["name"] for each in made["clusters"]] == ["homelab-home", "work"]
    assert made["clusters"][0]["cluster"] == {"certificate-authority-data": "Q0EK", "server": SERVER}
    assert made["contexts"][0]["context"]["namespace"] == "photos"


def test_another_inventory_gets_a_context_of_its_own() -> None:
    home = kubeconfig.merge("", FETCHED, kubeconfig.context("home"), SERVER)
    both = yaml.safe_load(kubeconfig.merge(home, FETCHED, kubeconfig.context("sandbox"), "https://10.0.0.1:6443"))
    assert [each["name"] for each in both["contexts"]] == ["homelab-home", "homelab-sandbox"]
    assert both["current-context"] == "homelab-home"


@pytest.mark.parametrize("cluster", ['{server: "https://[bad"}', "text", "{server: 6443}", "", "[]"])
def test_an_entry_of_ours_that_is_none_is_written_anew(cluster: str) -> None:
    existing = f"clusters:\n- name: homelab-home\n  cluster: {cluster}\n"
    known = kubeconfig.server(existing, "homelab-home")
    assert known is None or kubeconfig.host_of(known) == ""
    assert merged(existing)["clusters"] == merged("")["clusters"]


@pytest.mark.parametrize("value", ["!!int x", "!!bool x", "!!timestamp x", "9" * 5000, "[" * 1000])
def test_a_value_that_is_not_what_it_claims_to_be_is_a_line(value: str) -> None:
    with pytest.raises(KubeconfigError, match="is not YAML; mend it or move it away"):
        kubeconfig.server(f"clusters: []\nextensions: {value}\n", "homelab-home")
