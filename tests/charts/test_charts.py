"""Every chart through Helm's own engine: linted, rendered, and compared with what a person has read.

Run with CHARTS_GOLDEN=write to write the golden files anew, and read their diff.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from homelab.charts import archive, state
from homelab.charts.objects import content
from homelab.health import role
from homelab.model import chart_folder, load, values_schema
from tests.charts_engine import CHARTS, RELEASES, helm, lint, packed, rendered

GOLDEN = Path(__file__).parent / "golden"
NAMES = chart_folder.names(CHARTS)
# The oldest that the package has schemas of, and the inventory's own.
OLDEST = "1.25"


def objects(name: str) -> list[dict[str, Any]]:
    namespace, values = RELEASES[name]
    return rendered(name, values, namespace=namespace)


def inventorys_version() -> str:
    cluster = load(CHARTS.parent / "inventory" / "rehearsal.py", CHARTS.parent).cluster
    assert cluster is not None
    return cluster.version.partition("+")[0].lstrip("v")


def test_every_chart_is_tried() -> None:
    assert set(NAMES) == set(RELEASES) == {path.stem for path in GOLDEN.glob("*.yaml")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kubernetes", ["v1.21.0", "v1.35.0"])
def test_helms_strict_lint_has_nothing_to_say(name: str, kubernetes: str) -> None:
    assert lint(name, RELEASES[name][1], kubernetes) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_renders_to_what_was_read(name: str) -> None:
    made = yaml.safe_dump_all(objects(name), sort_keys=False, explicit_start=True)
    # The version tells the contents, so each change of a file would be one of every label too.
    made = re.sub(r"(\d+\.\d+\.\d+)_[0-9a-f]{12}", r"\1_CONTENTS", made)
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("CHARTS_GOLDEN") == "write":
        golden.write_text(made, encoding="utf-8")
    assert made == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kubernetes", [OLDEST, inventorys_version()])
def test_kubernetes_takes_it(name: str, kubernetes: str) -> None:
    for each in objects(name):
        kubernetes_validate.validate(each, kubernetes, strict=True)


def test_a_wrong_manifest_would_be_found() -> None:
    wrong = objects("ntfy")[0] | {"specs": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_value_is_refused_by_helm_and_by_us_before(name: str) -> None:
    values = {**RELEASES[name][1], "unknwon": 1}
    schema = json.loads((CHARTS / name / "values.schema.json").read_text(encoding="utf-8"))
    assert [place for place, _, _ in values_schema.wrong(values, schema)] == [".unknwon"]
    with packed(name) as chart, pytest.raises(helm.HelmError, match="unknwon"):
        chart.validate_schema(values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ntfy", {"hostname": "No Host"}),
        ("ntfy", {"storage": {"size": "1 GB"}}),
        ("ntfy", {"storage": {"size": 1}}),
        ("ntfy", {"image": {"tag": 1.1}}),
        ("ntfy", {"resources": {"requests": {"cpu": 1}}}),
        ("ntfy", {"access": ["phone:alerts"]}),
        ("ntfy", {"access": ["*:alerts:read-write"]}),
        ("nas-storage", {"classes": {"nas": {"server": "x"}}}),
        ("nas-storage", {"classes": {"nas": {"server": "x", "path": "srv"}}}),
        ("nas-storage", {"classes": {"nas": {"server": "x", "path": "/srv", "default": "yes"}}}),
        ("nas-storage", {"classes": {}, "csi-driver-nfs": {"controller": {"replicas": 0}}}),
        ("nas-storage", {"classes": {}, "csi-driver-nfs": {"controller": {"defaultOnDeletePolicy": "delete"}}}),
    ],
)
def test_what_helm_refuses_is_refused_before_the_cluster_is_touched(name: str, values: dict[str, Any]) -> None:
    schema = json.loads((CHARTS / name / "values.schema.json").read_text(encoding="utf-8"))
    assert list(values_schema.wrong(values, schema))
    with packed(name) as chart, pytest.raises(helm.HelmError):
        chart.validate_schema(values)


@pytest.mark.parametrize("name", NAMES)
def test_its_readme_fits_on_a_screen(name: str) -> None:
    lines = (CHARTS / name / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# {name}" and 6 <= len(lines) <= 16


# Images and files of databases, SQLite's among them.
_DATABASES = re.compile(r"postgres|mysql|mariadb|mongo|redis|valkey|influxdb|sqlite|\.(db|sqlite3?)\b", re.IGNORECASE)


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_with_a_database_says_so_and_is_kept_off_the_nas(name: str) -> None:
    has = _DATABASES.search(yaml.safe_dump_all(objects(name))) is not None
    assert bool(chart_folder.read(CHARTS / name).database) is has


@pytest.mark.parametrize("name", NAMES)
def test_what_may_hold_data_outlives_the_release(name: str) -> None:
    """Else the deploy would refuse to uninstall it."""
    record = state.Recorded(1, "deployed", "", {}, yaml.safe_dump_all(objects(name)))
    assert [each.said for each in state.holding(record, "default") if not each.kept] == []


# Numbers, booleans and dates to one YAML or another.
@pytest.mark.parametrize(
    "text",
    ["1234e56", "08", "y", "0o17", "0x_1", "1_000", "=", "~", "2024-01-02", "1:30", ".inf", "\x85\u2028ü\U0001f600"],
)
def test_text_is_still_text_when_it_has_come_to_helm(tmp_path: Path, text: str) -> None:
    """In values, where Go reads them, and in Chart.yaml."""
    chart = tmp_path / "typed"
    (chart / "templates").mkdir(parents=True)
    told = {"apiVersion": "v2", "name": "typed", "version": "0.1.0", "appVersion": text}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    body = "{{ list (kindOf .Values.text) .Values.text .Chart.AppVersion | toJson }}"
    (chart / "templates" / "x.yaml").write_text(body, encoding="utf-8")
    # As a file, which the chart's own values are to Helm: what the job hands over is one too.
    (chart / "values.yaml").write_text(content({"text": text, "long": ["x" * 2000]}), encoding="utf-8")
    with helm.Chart.load_archive(archive.archive("typed", archive.files(chart_folder.read(chart)))) as loaded:
        (made,) = loaded.render({}, name="typed", namespace="default").values()
    # In Chart.yaml, Helm makes every space the same one.
    assert json.loads(made) == ["string", text, re.sub(r"\s", " ", text)]


# What each chart promises
#


def test_the_readers_role_is_that_of_homelab_health_role() -> None:
    made = {each["kind"]: each for each in objects("health-reader")}
    assert made["ClusterRole"]["rules"] == role.rules()
    account = made["ServiceAccount"]["metadata"]
    assert made["ClusterRoleBinding"]["subjects"] == [{"kind": "ServiceAccount", **account}]
    assert made["ClusterRoleBinding"]["roleRef"]["name"] == made["ClusterRole"]["metadata"]["name"]


def test_a_class_mounts_hard_and_keeps_what_is_deleted() -> None:
    first, second = objects("nas-storage")
    assert first["mountOptions"][:2] == ["nfsvers=4.2", "hard"]
    assert first["parameters"] == {
        "server": "192.168.1.31",
        "share": "/srv/tank/kube",
        "subDir": "${pvc.metadata.namespace}_${pvc.metadata.name}",
        "onDelete": "retain",
        "mountPermissions": "0",
    }
    assert "/" not in first["parameters"]["subDir"]
    assert "annotations" not in first["metadata"]
    assert second["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_ntfy_has_no_rights_no_root_and_writes_only_where_it_may() -> None:
    (deployment,) = [each for each in objects("ntfy") if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/var/lib/ntfy", "/tmp"]
    (users,) = [each for each in container["env"] if each["name"] == "NTFY_AUTH_USERS"]
    assert users["valueFrom"] == {"secretKeyRef": {"name": "ntfy-homelab", "key": "users"}}


def test_ntfys_messages_outlive_the_release() -> None:
    (claim,) = [each for each in objects("ntfy") if each["kind"] == "PersistentVolumeClaim"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["storageClassName"] == "local-path"


def test_defaults_leave_the_classes_to_the_cluster() -> None:
    made = {each["kind"]: each for each in rendered("ntfy", {}, namespace="ntfy")}
    assert "storageClassName" not in made["PersistentVolumeClaim"]["spec"]
    assert "ingressClassName" not in made["Ingress"]["spec"]
    assert made["Ingress"]["spec"]["tls"] == [{"hosts": ["ntfy.home.arpa"]}]


def test_two_releases_of_a_chart_keep_apart() -> None:
    one, other = (rendered("ntfy", {}, namespace="ntfy", release=name) for name in ("ntfy", "alerts"))
    assert {each["metadata"]["name"] for each in one}.isdisjoint({each["metadata"]["name"] for each in other})
