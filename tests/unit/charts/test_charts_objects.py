"""The objects for K3s's Helm controller, made of an inventory."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from homelab.charts import objects
from tests.charts_api import crd
from tests.unit.charts.homes import CHARTS, NTFY, READER, STORAGE, home


def wanted(tmp_path: Path, *charts, **shared) -> dict[str, objects.Wanted]:
    return {each.name: each for each in objects.releases(home(tmp_path, *charts, **shared), CHARTS)}


def test_a_chart_of_ours_is_embedded_with_its_values_typed(tmp_path: Path) -> None:
    release = wanted(tmp_path, {**NTFY, "values": {"hostname": "n.home.arpa", "storage": {"size": "2Gi"}}})["ntfy"]
    assert release.manifest["kind"] == "HelmChart"
    assert release.manifest["metadata"] == {
        "name": "ntfy",
        "namespace": "kube-system",
        "labels": {"app.kubernetes.io/managed-by": "homelab"},
        "annotations": {"homelab/environment": "sandbox"},
    }
    spec = release.manifest["spec"]
    assert set(spec) == {"chart", "chartContent", "targetNamespace", "valuesContent", "failurePolicy"}
    assert spec["failurePolicy"] == "abort", "a failed upgrade takes nothing away"
    assert (spec["chart"], spec["targetNamespace"]) == ("ntfy", "ntfy")
    assert base64.b64decode(spec["chartContent"])[:2] == b"\x1f\x8b"
    assert yaml.safe_load(spec["valuesContent"]) == {"hostname": "n.home.arpa", "storage": {"size": "2Gi"}}


def test_the_same_inventory_makes_the_same_objects(tmp_path: Path) -> None:
    one = wanted(tmp_path / "one", NTFY, STORAGE, READER)
    other = wanted(tmp_path / "other", NTFY, STORAGE, READER)
    assert [each.manifest for each in one.values()] == [each.manifest for each in other.values()]


def test_a_dependency_is_a_release_of_its_own_before_the_chart_that_needs_it(tmp_path: Path) -> None:
    overridden = {**STORAGE, "values": {**STORAGE["values"], "csi-driver-nfs": {"controller": {"replicas": 2}}}}
    found = wanted(tmp_path, overridden)
    assert list(found) == ["csi-driver-nfs", "nas-storage"]
    driver = found["csi-driver-nfs"]
    assert {key: driver.manifest["spec"][key] for key in ("chart", "version", "targetNamespace")} == {
        "chart": "csi-driver-nfs",
        "version": "4.13.4",
        "targetNamespace": "kube-system",
    }
    assert driver.manifest["spec"]["repo"].startswith("https://")
    assert driver.values == {
        "controller": {"replicas": 2, "defaultOnDeletePolicy": "retain", "enableSnapshotter": False}
    }
    assert "csi-driver-nfs" not in found["nas-storage"].values
    # By None nothing is overridden.
    nothing = wanted(tmp_path, {**STORAGE, "values": {**STORAGE["values"], "csi-driver-nfs": None}})
    assert nothing["csi-driver-nfs"].values == {
        **driver.values,
        "controller": {**driver.values["controller"], "replicas": 1},
    }


def test_a_chart_that_is_only_a_dependency_is_that_release(tmp_path: Path) -> None:
    for name, repository in (("plain", "https://charts.example.org/"), ("registry", "oci://r.example.org/charts")):
        (tmp_path / "charts" / name).mkdir(parents=True)
        pinned = {"name": "upstream", "version": "1.2.3", "repository": repository}
        chart = {"name": name, "version": "0.1.0", "dependencies": [pinned]}
        (tmp_path / "charts" / name / "Chart.yaml").write_text(yaml.safe_dump(chart))
        (tmp_path / "charts" / name / "values.yaml").write_text("upstream: {replicas: 1}\n")
    listed = {"name": "mine", "chart": "plain", "secrets": {"key": "env:KEY"}}
    known = home(tmp_path, listed, {"name": "registry", "values": {"upstream": {"replicas": 2}}})
    plain, registry = objects.releases(known, tmp_path / "charts")
    assert (plain.name, plain.chart, plain.version, plain.namespace) == ("mine", "upstream", "1.2.3", "mine")
    assert plain.manifest["spec"] == {
        "chart": "upstream",
        "repo": "https://charts.example.org",
        "version": "1.2.3",
        "targetNamespace": "mine",
        "valuesContent": '{"replicas": 1}',
        "failurePolicy": "abort",
    }
    assert list(plain.secrets) == ["key"]
    assert registry.manifest["spec"]["chart"] == "oci://r.example.org/charts/upstream"
    assert "repo" not in registry.manifest["spec"] and registry.values == {"replicas": 2}


def test_a_class_is_made_of_the_nass_share(tmp_path: Path) -> None:
    assert wanted(tmp_path, STORAGE)["nas-storage"].values == {
        "classes": {"nas": {"server": "192.0.2.31", "path": "/srv/tank/kube"}}
    }


def test_k3ss_own_chart_gets_a_config(tmp_path: Path) -> None:
    release = wanted(tmp_path, {"name": "traefik", "values": {"replicas": 2}})["traefik"]
    assert release.packaged
    assert release.manifest == {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChartConfig",
        "metadata": {
            "name": "traefik",
            "namespace": "kube-system",
            "labels": {"app.kubernetes.io/managed-by": "homelab"},
            "annotations": {"homelab/environment": "sandbox"},
        },
        "spec": {"valuesContent": '{"replicas": 2}'},
    }


def test_passwords_are_in_the_secret_alone(tmp_path: Path) -> None:
    release = wanted(tmp_path, NTFY)["ntfy"]
    made = objects.secret(release, {"users": "hunter2"})
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("ntfy-homelab", "ntfy")
    assert base64.b64decode(made["data"]["users"]) == b"hunter2"
    assert "NTFY_USERS" not in str(release.manifest) and "hunter2" not in repr(release)


def test_nothing_is_written_that_the_controller_drops_when_it_writes_the_object_back(tmp_path: Path) -> None:
    """Go leaves empty fields out, and then each run would find one missing."""
    for release in wanted(tmp_path, NTFY, {"name": "health-reader", "namespace": "kube-system"}).values():
        assert all(release.manifest["spec"].values()), release.name


def test_what_text_yaml_would_take_for_something_else_stays_text() -> None:
    values = {"tag": "1.10", "on": "yes", "octal": "0755", "count": 3, "nothing": None}
    assert yaml.safe_load(objects.content(values)) == values
    # Go's YAML takes no control characters, and no pair of surrogates for a letter beyond the first plane.
    assert objects.content({"a": "\x7f\u2028\U0001f600ü"}) == '{"a": "\\u007f\\u2028\U0001f600ü"}'


def test_what_a_cluster_can_do_without_is_left_out_where_it_is_not_known(tmp_path: Path) -> None:
    manifest = wanted(tmp_path, NTFY)["ntfy"].manifest
    fields = [each for each in manifest["spec"] if each != "failurePolicy"]
    _, older = crd("helmcharts", *fields)
    assert objects.unknown_fields(older, manifest) == ()
    assert list(objects.fitted(older, manifest)["spec"]) == fields
    _, newer = crd("helmcharts", *fields, "failurePolicy")
    assert objects.fitted(newer, manifest) == manifest
    # As that of K3s 1.21: what its API keeps, its controller drops when it writes the object back.
    without = {"spec": {"versions": [{"name": "v1"}]}}
    assert list(objects.fitted(without, manifest)["spec"]) == fields


def test_fields_that_a_clusters_definition_does_not_know_are_found() -> None:
    def definition(**spec: Any) -> dict[str, Any]:
        schema = {"properties": {"spec": spec}}
        return {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]}}

    manifest = {"apiVersion": "helm.cattle.io/v1", "spec": {"chart": "a", "valuesSecrets": []}}
    known = {"chart": {"type": "string"}}
    assert objects.unknown_fields(definition(properties=known), manifest) == ("valuesSecrets",)
    # What keeps unknown fields only stores them; the controller heeds those that it lists.
    keeps = {"x-kubernetes-preserve-unknown-fields": True}
    assert objects.unknown_fields(definition(properties=known, **keeps), manifest) == ("valuesSecrets",)
    assert objects.unknown_fields(definition(**keeps), manifest) == ()
    # As apiextensions/v1 tells one of v1beta1 without a schema.
    old = {"spec": {"preserveUnknownFields": True, "versions": [{"name": "v1"}]}}
    assert objects.unknown_fields(old, manifest) == ()
    assert objects.unknown_fields({"spec": {"versions": [{"name": "v2"}]}}, manifest) == ("chart", "valuesSecrets")
