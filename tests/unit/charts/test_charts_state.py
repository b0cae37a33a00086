"""Helm's record of a release, and why one did not come up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from homelab.charts import causes, objects, state
from tests.charts_api import ChartsApi
from tests.unit.charts.homes import CHARTS, NTFY, home

MANIFEST = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ntfy}
---
apiVersion: v1
kind: Service
metadata: {name: ntfy}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node, namespace: kube-system}
"""


@pytest.fixture
def wanted(tmp_path: Path) -> objects.Wanted:
    (release,) = objects.releases(home(tmp_path, NTFY), CHARTS)
    return release


def records(*releases: dict[str, Any]) -> state.Recorded | None:
    api = ChartsApi()
    for each in releases:
        api.release("ntfy", "ntfy", **each)
    return state.recorded(api.objects.values())


def test_what_helm_has_is_the_newest_revision(wanted: objects.Wanted) -> None:
    old = {"version": "0.0.9", "revision": 9, "status": "superseded"}
    found = records({"version": wanted.version, "revision": 10, "values": wanted.values}, old)
    assert found is not None and (found.revision, found.version) == (10, wanted.version)
    assert state.installed(wanted, found) == ""


def history(*statuses: str) -> list[dict[str, Any]]:
    """Helm's Secrets of a release, the oldest first."""
    api = ChartsApi()
    for revision, status in enumerate(statuses, 1):
        api.release("ntfy", "ntfy", "1", revision=revision, status=status)
    return list(api.objects.values())


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The revisions that were unpacked, in their order."""
    revisions: list[int] = []
    loads = json.loads

    def told(text: bytes) -> Any:
        held = loads(text)
        revisions.append(held["version"])
        return held

    monkeypatch.setattr(json, "loads", told)
    return revisions


@pytest.mark.parametrize(
    ("statuses", "newest", "compared"),
    [
        (["superseded"] * 9 + ["deployed"], [10], [10]),
        (["superseded"] * 7 + ["deployed", "failed", "failed"], [10], [10, 8]),
        (["failed"], [1], [1]),
    ],
)
def test_only_what_may_matter_is_unpacked(
    unpacked: list[int], statuses: list[str], newest: list[int], compared: list[int]
) -> None:
    secrets = history(*statuses)
    found = state.recorded(secrets)
    assert found is not None and [found.revision] == unpacked == newest
    unpacked.clear()
    assert [each.revision for each in state.compared(secrets)] == unpacked == compared


@pytest.mark.parametrize("labels", [None, {}, {"version": "new", "owner": "helm"}])
def test_without_helms_labels_the_records_themselves_are_asked(labels: dict[str, str] | None) -> None:
    secrets = history("superseded", "deployed", "superseded", "failed", "failed")
    for secret in secrets[1:4]:
        secret["metadata"]["labels"] = labels
    assert [each.revision for each in state.compared(secrets)] == [5, 2]
    found = state.recorded(secrets[:4])
    assert found is not None and found.revision == 4


def test_a_record_that_does_not_unpack_is_passed_over_for_the_next() -> None:
    secrets = history("deployed", "deployed", "superseded", "failed")
    for secret in (secrets[1], secrets[3]):
        secret["data"]["release"] = "bm90IG9uZQ=="
    assert [each.revision for each in state.compared(secrets)] == [3, 1]


def test_a_record_that_is_none_is_passed_over() -> None:
    assert state.recorded([{"data": {"release": "bm90IG9uZQ=="}}, {"metadata": {}}, {"data": {}}]) is None


@pytest.mark.parametrize(
    ("record", "lacks"),
    [
        (None, "Helm has not installed it"),
        ({"status": "pending-install"}, "Helm has it as pending-install"),
        (
            {"status": "failed", "description": 'Upgrade "ntfy" failed:\nApply failed with 1 conflict'},
            'Helm has it as failed: Upgrade "ntfy" failed: Apply failed with 1 conflict',
        ),
        ({"version": "0.0.1+abc"}, "Helm still has 0.0.1+abc deployed"),
        ({"values": {"hostname": "other"}}, "Helm still has other values deployed"),
    ],
)
def test_what_a_release_lacks(wanted: objects.Wanted, record: dict[str, Any] | None, lacks: str) -> None:
    found = None if record is None else records({"version": wanted.version, "values": wanted.values, **record})
    assert state.installed(wanted, found) == lacks


def test_of_k3ss_own_release_only_our_values_count(tmp_path: Path) -> None:
    (traefik,) = objects.releases(home(tmp_path, {"name": "traefik", "values": {"a": {"b": 1}}}), CHARTS)
    assert state.installed(traefik, records({"version": "99", "values": {"a": {"b": 1, "c": 2}, "d": 3}})) == ""
    told = state.installed(traefik, records({"version": "99", "values": {"a": {"c": 2}}}))
    assert told == "Helm still has other values deployed"


def test_a_null_counts_for_nothing(tmp_path: Path) -> None:
    (ntfy,) = objects.releases(home(tmp_path, {**NTFY, "values": {"resources": {"limits": {"memory": None}}}}), CHARTS)
    assert state.installed(ntfy, records({"version": ntfy.version, "values": {"resources": {"limits": {}}}})) == ""


def test_the_workloads_of_a_manifest() -> None:
    found = records({"version": "1", "manifest": MANIFEST})
    assert found is not None
    assert state.workloads(found, "media") == (("deployments", "media", "ntfy"), ("daemonsets", "kube-system", "node"))
    assert found.documents is found.documents, "parsed once"


def test_a_manifest_is_read_whatever_its_values_are_to_python() -> None:
    text = MANIFEST + "---\nkind: CustomResourceDefinition\nmetadata: {name: a}\nspec: {enum: [=, <<, 2024-99-99]}\n"
    found = records({"version": "1", "manifest": text})
    assert found is not None and len(state.workloads(found, "media")) == 2
    broken = records({"version": "1", "manifest": "a: [\n"})
    assert broken is not None
    for read in (state.workloads, state.holding):
        with pytest.raises(state.UnreadableError, match="the manifest that Helm keeps of it is not YAML"):
            read(broken, "media")


def test_what_would_go_with_a_release_and_may_hold_data() -> None:
    def made(kind: str, name: str, **metadata: Any) -> str:
        return yaml.safe_dump({"kind": kind, "metadata": {"name": name, **metadata}}, explicit_start=True)

    keep = {"annotations": {"helm.sh/resource-policy": " Keep"}}
    holding = ("PersistentVolumeClaim", "CustomResourceDefinition", "Namespace")
    text = "".join(made(kind, "gone") + made(kind, "kept", **keep) for kind in (*holding, "ConfigMap"))
    text += made("PersistentVolumeClaim", "other", namespace="films", annotations={"helm.sh/resource-policy": "no"})
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "listed", **keep}}
    for metadata in ({}, keep):
        listed = {"kind": "List", "metadata": metadata, "items": [claim, None, {"kind": "Namespace"}]}
        text += yaml.safe_dump(listed, explicit_start=True)
    text += "--- just text\n"
    found = records({"version": "1", "manifest": text})
    assert found is not None
    held = state.holding(found, "media")
    assert tuple(each.said for each in held if not each.kept) == (
        "PersistentVolumeClaim media/gone",
        "CustomResourceDefinition gone",
        "Namespace gone",
        "PersistentVolumeClaim films/other",
        "PersistentVolumeClaim media/listed",
    )


def test_claims_go_with_the_object_of_a_release_that_owns_them() -> None:
    manifest = yaml.safe_dump_all(
        [
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}},
            {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "other"}},
            {"apiVersion": "example.org/v1", "kind": "StatefulSet", "metadata": {"name": "db"}},
            {
                "apiVersion": "v1",
                "kind": "List",
                "metadata": {"annotations": {"helm.sh/resource-policy": "Keep "}},
                "items": [{"apiVersion": "example.org/v1beta1", "kind": "Cluster", "metadata": {"name": "db"}}],
            },
        ]
    )
    record = records({"version": "1", "manifest": manifest})
    assert record is not None
    assert state.namespaces(record, "ntfy") == {"ntfy", "other"}

    def claim(name: str, version: str, kind: str) -> dict[str, Any]:
        owner = {"apiVersion": version, "kind": kind, "name": "db"}
        return {"metadata": {"name": name, "namespace": "ntfy", "ownerReferences": [owner]}}

    claims = [
        claim("data-db-0", "apps/v1", "StatefulSet"),
        claim("data-db-1", "apps/v1", "StatefulSet"),
        claim("db-1", "example.org/v1", "Cluster"),
        claim("else", "example.org/v1", "Backup"),
        {"metadata": {"name": "free", "namespace": "ntfy"}},
    ]
    assert state.owners(record, "ntfy", claims) == (
        state.Owner("apps/v1", "StatefulSet", "ntfy", "db", False, ("data-db-0", "data-db-1")),
        state.Owner("example.org/v1beta1", "Cluster", "ntfy", "db", True, ("db-1",)),
    )


@pytest.mark.parametrize(("pinned", "installed"), [("v1.2.3", "1.2.3"), ("1.2.3", "v1.2.3"), ("v1.2.3", "v1.2.3")])
def test_a_version_is_the_same_with_and_without_its_v(wanted: objects.Wanted, pinned: str, installed: str) -> None:
    release = replace(wanted, version=pinned)
    assert state.installed(release, records({"version": installed, "values": wanted.values})) == ""


@pytest.mark.parametrize(
    ("workload", "lacks"),
    [
        (None, "is not there"),
        ({"status": {"observedGeneration": 1}}, "was not looked at yet"),
        ({"status": {"observedGeneration": 2}}, "0 of 2 pods are of this version"),
        ({"status": {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 1}}, "1 of 2 pods are ready"),
        ({"status": {"observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2}}, ""),
        (
            {"status": {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3}},
            "0 of 3 pods are ready",
        ),
        ({"status": {"observedGeneration": 2, "desiredNumberScheduled": 0}}, ""),
    ],
)
def test_what_a_workload_lacks(workload: dict[str, Any] | None, lacks: str) -> None:
    made = workload and {"metadata": {"generation": 2}, "spec": {"replicas": 2}, **workload}
    assert state.unready(made) == lacks


def pod(reason: str, message: str, image: str = "rancher/klipper-helm:v0.9") -> dict[str, Any]:
    held = {"waiting": {"reason": reason, "message": message}}
    return {"status": {"containerStatuses": [{"image": image, "state": held}]}}


def test_why_it_did_not_come_up_is_told_with_the_known_cause() -> None:
    assert state.why("Helm has not installed it", [pod("ImagePullBackOff", "Back-off\npulling")], []) == (
        "Helm has not installed it; its job waits, ImagePullBackOff rancher/klipper-helm:v0.9: Back-off pulling",
        "that means: the image of K3s's Helm job cannot be had; an airgapped site needs it among image_archives",
    )
    log = ["Upgrading ntfy", "+ helm upgrade", "", "Error: UPGRADE FAILED: updates to parameters are forbidden."]
    told = state.why("Helm has it as failed", [], log)
    assert told[1:3] == (
        "its job's log ends: Upgrading ntfy",
        "its job's log ends: Error: UPGRADE FAILED: updates to parameters are forbidden.",
    )
    assert told[3].startswith("that means: a StorageClass cannot be changed")


def test_a_field_that_somebody_has_changed_is_told_where_helm_does_not_write_over_it() -> None:
    said = (
        'Helm has it as failed: Upgrade "traefik" failed: conflict occurred while applying object kube-system/traefik '
    )
    said += (
        'apps/v1, Kind=Deployment: Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    )
    assert state.why(said, [], [])[-1].startswith("that means: somebody has changed that field")


def test_a_pod_that_only_starts_waits_for_nothing() -> None:
    assert state.waiting([pod("ContainerCreating", "")]) == ""


def test_a_pod_that_fits_nowhere_says_so() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit"}
    assert state.waiting([{"status": {"conditions": [condition]}}]) == "Unschedulable: 0/1 nodes fit"


@pytest.mark.parametrize(
    "line",
    [
        "Error: INSTALLATION FAILED: rendered manifests contain a resource that already exists. Unable to continue "
        'with install: Service "x" exists and cannot be imported into the current release: invalid ownership metadata',
        'Error: looks like "https://x" is not a valid chart repository or cannot be reached',
        "Error: INSTALLATION FAILED: cannot re-use a name that is still in use",
        'Error: unable to build kubernetes objects: no matches for kind "HTTPRoute" in version "x/v1"',
        "Error: values don't meet the specifications of the schema(s) in the following chart(s): ntfy",
        "0/3 nodes are available: 3 Insufficient memory.",
        'Error: UPGRADE FAILED: PersistentVolumeClaim "ntfy" is invalid: spec: Forbidden: spec is immutable after '
        "creation except resources.requests and volumeAttributesClassName for bound claims",
        'Error: UPGRADE FAILED: persistentvolumeclaims "ntfy" is forbidden: only dynamically provisioned pvc can be '
        "resized and the storageclass that provisions the pvc must support resize",
        "Release status is 'failed' and failure policy is 'abort'; waiting for operator intervention",
    ],
)
def test_causes_that_are_known(line: str) -> None:
    assert causes.cause(["earlier", line]) != ""


def test_a_cause_that_is_not_known_is_not_guessed() -> None:
    assert causes.cause(["all is well", ""]) == ""
