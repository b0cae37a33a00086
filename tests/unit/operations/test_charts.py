"""The charts deploy against an API that keeps what is applied to it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from homelab.k3s.plan import Plan, Step
from homelab.operations import charts as operations
from homelab.operations.api import ApiError
from homelab.operations.charts import Charts, Gone
from homelab.pyinfra_compat import Refusal
from tests.charts_api import ChartsApi, crd
from tests.unit.charts.archives import upstream
from tests.unit.charts.homes import CHARTS, NTFY, READER, REPOSITORY, STORAGE, home

FIELDS = ("chart", "chartContent", "targetNamespace", "valuesContent", "repo", "version", "failurePolicy")
HELMCHARTS = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts"
CONFIGS = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmchartconfigs"
# The K3s deploy of a run that leaves the cluster as it is.
K3S: Any = SimpleNamespace(plan=Plan(), merges=False)
PODS = "/api/v1/namespaces/kube-system/pods"


@pytest.fixture
def api() -> Iterator[ChartsApi]:
    known = dict([crd("helmcharts", *FIELDS), crd("helmchartconfigs", "valuesContent")])
    with ChartsApi({**known, "/api/v1/namespaces/kube-system": {"metadata": {"name": "kube-system"}}}) as server:
        yield server


@pytest.fixture
def deploy(api: ChartsApi, tmp_path: Path, host: Any, state: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a run with these charts begins with; the API is the one of the kubeconfig."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("NTFY_USERS", "anna:$2a$10$hash:admin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "kube" / "config"
    file.parent.mkdir()
    api.kubeconfig(file, "homelab-sandbox")

    def begin(*charts: dict[str, Any], k3s_before: bool = False) -> Charts:
        known = home(tmp_path, *charts, kubeconfig=str(file))
        return operations._charts(known, known.servers[0], CHARTS, K3S if k3s_before else None)

    return begin


def run(operation: Any, *arguments: Any, **more: Any) -> int:
    """Carry an operation out; the number of its changes. It has to succeed."""
    commands = list(operation._inner(*arguments, **more))
    for command in commands:
        assert command.function(*command.args, **command.kwargs) is True
    return len(commands)


def apply(made: Charts) -> int:
    return sum(run(operations.applied, made, each) for each in made.wanted)


def test_a_release_is_applied_with_its_namespace_and_secret_and_the_second_time_nothing(
    api: ChartsApi, deploy: Any, host: Any
) -> None:
    assert apply(deploy(NTFY)) == 1
    assert api.written == ["POST v1/namespaces", "PATCH secrets/ntfy-homelab", "PATCH helmcharts/ntfy"]
    secret = api.objects["/api/v1/namespaces/ntfy/secrets/ntfy-homelab"]
    assert base64.b64decode(secret["data"]["users"]) == b"anna:$2a$10$hash:admin"
    assert api.objects[f"{HELMCHARTS}/ntfy"]["spec"]["targetNamespace"] == "ntfy"
    assert all("fieldManager=homelab" in path for method, path in api.asked if method == "PATCH")
    before = list(api.written)
    assert apply(deploy(NTFY)) == 0
    assert api.written == before
    assert host.noops[-1].startswith("ntfy is ntfy 0.1.0+")


def test_what_a_controller_writes_while_a_release_is_compared_is_no_difference(api: ChartsApi, deploy: Any) -> None:
    """K3s's controller writes the job's name just after it made the job."""
    path = f"{HELMCHARTS}/ntfy"

    def writes() -> None:
        api.objects[path] = {**api.objects[path], "status": {"jobName": f"helm-install-{len(api.asked)}"}}

    def writes_once() -> None:
        del api.precedes[path]
        writes()

    apply(deploy(NTFY))
    api.precedes[path] = writes_once
    assert apply(deploy(NTFY)) == 0
    assert path not in api.precedes
    api.precedes[path] = writes_once
    changed = {**NTFY, "values": {"hostname": "other.home.arpa"}}
    assert apply(deploy(changed)) == 1
    # One that never rests is not waited for without an end.
    api.precedes[path] = writes
    assert apply(deploy(changed)) == 1


def test_a_dry_run_tells_what_differs_and_keeps_nothing(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    before, written = dict(api.objects), list(api.written)
    changed = {**NTFY, "values": {"hostname": "other.home.arpa"}}
    made = deploy(changed)
    assert len(list(operations.applied._inner(made, made.wanted[0]))) == 1
    assert (api.objects, api.written) == (before, written)


def test_a_changed_value_a_changed_secret_and_a_hand_edit_are_each_set_right(
    api: ChartsApi, deploy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(deploy(NTFY))
    changed = {**NTFY, "values": {"hostname": "other.home.arpa"}}
    api.asked.clear()
    assert apply(deploy(changed)) == 1
    assert api.written == ["PATCH helmcharts/ntfy"]
    monkeypatch.setenv("NTFY_USERS", "ben:hash:user")
    api.asked.clear()
    assert apply(deploy(changed)) == 1
    assert api.written == ["PATCH secrets/ntfy-homelab"]
    live = api.objects[f"{HELMCHARTS}/ntfy"]
    live["spec"]["valuesContent"] = "hostname: by.hand\n"
    live["metadata"]["annotations"] = {"helmcharts.helm.cattle.io/managed-by": "helm-controller"}
    live["status"] = {"jobName": "helm-install-ntfy"}
    assert apply(deploy(changed)) == 1
    live = api.objects[f"{HELMCHARTS}/ntfy"]
    assert live["spec"]["valuesContent"] == '{"hostname": "other.home.arpa"}'
    assert live["metadata"]["annotations"] and live["status"], "what the controller writes is its own"
    assert apply(deploy(changed)) == 0


def test_a_chart_that_is_in_the_artifact_cache_is_embedded_and_no_longer_fetched(
    api: ChartsApi, deploy: Any, tmp_path: Path
) -> None:
    assert apply(deploy(STORAGE)) == 2
    kept = tmp_path / "cache" / "homelab" / "artifacts" / "charts"
    kept.mkdir(parents=True)
    held = upstream(kept, "csi-driver-nfs", "4.13.4")
    assert apply(deploy(STORAGE)) == 1
    spec = api.objects[f"{HELMCHARTS}/csi-driver-nfs"]["spec"]
    assert base64.b64decode(spec["chartContent"]) == held
    assert (spec["chart"], "repo" in spec, "version" in spec) == ("csi-driver-nfs", False, False)
    assert apply(deploy(STORAGE)) == 0
    (kept / "csi-driver-nfs-4.13.4.tgz").unlink()
    assert apply(deploy(STORAGE)) == 0, "from a machine without the archive as well"
    assert api.objects[f"{HELMCHARTS}/csi-driver-nfs"]["spec"] == spec
    upstream(kept, "csi-driver-nfs", "4.13.4", says="4.13.3")
    with pytest.raises(Refusal) as told:
        deploy(STORAGE, {**NTFY, "secrets": {"users": "env:NOBODY"}})
    wrong, missing = str(told.value.message).splitlines()
    assert wrong.endswith(
        "csi-driver-nfs-4.13.4.tgz: holds csi-driver-nfs 4.13.3, not csi-driver-nfs 4.13.4; "
        "put upstream's archive there, or delete it, then the cluster fetches it"
    )
    assert missing.startswith("charts: ntfy.secrets.users: ")


@pytest.mark.parametrize("says", ["4.13.3", None])
def test_an_archive_in_the_cluster_that_is_not_the_chart_is_not_kept(
    api: ChartsApi, deploy: Any, tmp_path: Path, says: str | None
) -> None:
    """Of another version it is that of before an upgrade."""
    apply(deploy(STORAGE))
    spec = api.objects[f"{HELMCHARTS}/csi-driver-nfs"]["spec"]
    held = upstream(tmp_path, "csi-driver-nfs", "4.13.4", says=says) if says else b"no archive"
    spec |= {"chartContent": base64.b64encode(held).decode()}
    apply(deploy(STORAGE))
    assert (spec["repo"].startswith("https://"), spec["version"]) == (True, "4.13.4")


def test_a_secret_that_is_described_no_more_is_taken_out_of_the_cluster(api: ChartsApi, deploy: Any) -> None:
    apply(deploy({**READER, "secrets": {"key": "env:NTFY_USERS"}}))
    secret = "/api/v1/namespaces/kube-system/secrets/health-reader-homelab"
    assert secret in api.objects
    assert apply(deploy(READER)) == 1
    assert secret not in api.objects
    assert apply(deploy(READER)) == 0


def test_an_older_cluster_is_asked_what_it_knows_and_not_given_more(api: ChartsApi, deploy: Any) -> None:
    api.objects |= dict([crd("helmcharts", "chart", "valuesContent", "targetNamespace")])
    with pytest.raises(Refusal) as told:
        deploy(NTFY, READER, STORAGE)
    assert str(told.value.message).splitlines() == [
        "ntfy: this K3s's HelmChart does not know chartContent; upgrade K3s",
        "health-reader: this K3s's HelmChart does not know chartContent; upgrade K3s",
        "csi-driver-nfs: this K3s's HelmChart does not know repo, version; upgrade K3s",
        "nas-storage: this K3s's HelmChart does not know chartContent; upgrade K3s",
    ]
    assert api.written == []


def test_what_is_missing_or_somebody_elses_is_told_at_once_and_nothing_is_touched(
    api: ChartsApi, deploy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NTFY_USERS")
    api.objects[f"{HELMCHARTS}/health-reader"] = {"metadata": {"name": "health-reader"}, "spec": {"chart": "x"}}
    with pytest.raises(Refusal) as told:
        deploy(NTFY, READER)
    assert str(told.value.message).splitlines() == [
        "charts: ntfy.secrets.users: env:NTFY_USERS: the variable is not set; export NTFY_USERS",
        "health-reader: HelmChart kube-system/health-reader is there and not this toolkit's; "
        "delete it, or give the release another name",
    ]
    assert api.written == []


def test_what_overrules_a_release_is_refused(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    api.objects[f"{CONFIGS}/ntfy"] = {"metadata": {"name": "ntfy"}, "spec": {"valuesContent": "replicas: 2\n"}}
    with pytest.raises(Refusal) as told:
        deploy(NTFY, READER)
    assert str(told.value.message) == (
        "ntfy: HelmChartConfig kube-system/ntfy is there and overrules the inventory; "
        "write its values into the inventory, and delete it"
    )


def test_a_release_neither_moves_nor_becomes_another_charts(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    with pytest.raises(Refusal) as told:
        deploy({"name": "ntfy", "chart": "health-reader", "namespace": "elsewhere"})
    remedy = "take it out of the list, deploy, put it back and deploy again"
    assert str(told.value.message).splitlines() == [
        f"ntfy: is in namespace ntfy, and a release cannot become one in namespace elsewhere; {remedy}",
        f"ntfy: is of chart ntfy, and a release cannot become one of chart health-reader; {remedy}",
    ]


def test_an_older_cluster_is_not_given_what_it_can_do_without(api: ChartsApi, deploy: Any) -> None:
    api.objects |= dict([crd("helmcharts", *FIELDS[:-1])])
    assert apply(deploy(NTFY)) == 1
    assert "failurePolicy" not in api.objects[f"{HELMCHARTS}/ntfy"]["spec"]
    assert apply(deploy(NTFY)) == 0
    api.objects |= dict([crd("helmcharts", *FIELDS)])
    assert apply(deploy(NTFY)) == 1
    assert api.objects[f"{HELMCHARTS}/ntfy"]["spec"]["failurePolicy"] == "abort"


def test_a_release_that_helm_installed_for_somebody_else_is_not_taken_over(api: ChartsApi, deploy: Any) -> None:
    made = deploy(NTFY, READER)
    api.release("ntfy", "ntfy", "2.0.0")
    api.release("health-reader", "elsewhere", "2.0.0")
    for refused in (lambda: deploy(NTFY, READER), lambda: apply(made)):
        with pytest.raises(Refusal) as told:
            refused()
        assert str(told.value.message) == (
            "ntfy: a Helm release of that name is in ntfy and not this toolkit's; "
            "helm uninstall it, or give the release another name"
        )
    assert api.written == []


def test_what_was_taken_away_by_hand_after_helms_job_is_installed_again(
    api: ChartsApi, deploy: Any, state: Any
) -> None:
    apply(deploy(READER))
    made = deploy(READER)
    (release,) = made.wanted
    path = "/apis/batch/v1/namespaces/kube-system/jobs/helm-install-health-reader"
    job = {"metadata": {"name": "helm-install-health-reader"}, "status": {}}
    api.objects[path] = job
    assert apply(made) == 0, "the job is at it"
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    api.asked.clear()
    state.is_executing = False
    assert len(list(operations.applied._inner(made, release))) == 1
    assert api.written == []
    state.is_executing = True
    assert apply(made) == 1
    assert api.written == ["DELETE jobs/helm-install-health-reader"]
    api.objects[path] = job
    api.release("health-reader", "kube-system", release.version, values=release.values)
    assert apply(made) == 0


def test_a_namespace_that_was_deleted_is_made_again_with_what_was_in_it(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    path = "/apis/batch/v1/namespaces/kube-system/jobs/helm-install-ntfy"
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    api.objects = {at: each for at, each in api.objects.items() if not at.startswith("/api/v1/namespaces/ntfy")}
    api.objects[path] = {"metadata": {"name": "helm-install-ntfy"}, "status": done}
    api.asked.clear()
    assert apply(deploy(NTFY)) == 1
    assert api.written == ["POST v1/namespaces", "PATCH secrets/ntfy-homelab", "DELETE jobs/helm-install-ntfy"]


def test_a_cluster_without_the_controller_is_told(api: ChartsApi, deploy: Any) -> None:
    api.objects = {path: each for path, each in api.objects.items() if "customresourcedefinitions" not in path}
    with pytest.raises(Refusal, match="this cluster has no HelmChart; take disable-helm-controller out"):
        deploy(READER)


def test_an_api_that_does_not_answer_is_one_line(api: ChartsApi, deploy: Any, tmp_path: Path) -> None:
    api.refused[crd("helmcharts")[0]] = 503
    with pytest.raises(Refusal, match=r"the cluster's API does not answer from here: .*refused; see homelab health"):
        deploy(READER)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: "{broken", "is not YAML"),
        (lambda text: text.replace("server: http", "certificate-authority: /nowhere\n    server: https"), "nowhere"),
        (lambda text: text.replace("http://", "https://"), "does not answer from here"),
    ],
)
def test_a_kubeconfig_that_leads_nowhere_is_one_line(deploy: Any, tmp_path: Path, change: Any, says: str) -> None:
    file = tmp_path / "kube" / "config"
    file.write_text(change(file.read_text()))
    with pytest.raises(Refusal, match=says) as told:
        deploy(READER)
    assert len(str(told.value.message).splitlines()) == 1


def test_an_entry_that_leads_nowhere_does_not_keep_a_run_from_k3s_which_writes_it_anew(
    deploy: Any, tmp_path: Path
) -> None:
    file = tmp_path / "kube" / "config"
    text = file.read_text()
    file.write_text(text.replace("server: http", "certificate-authority: /nowhere\n    server: https"))
    made = deploy(READER, k3s_before=True)
    assert (made.asked, made.gone) == (False, ())
    with pytest.raises(Refusal, match="/nowhere"):
        run(operations.applied, made, made.wanted[0])
    file.write_text(text)  # as K3s's deploy does
    assert run(operations.applied, made, made.wanted[0]) == 1


def test_a_kubeconfig_that_cannot_be_read_is_told_as_what_it_is(deploy: Any, tmp_path: Path) -> None:
    file = tmp_path / "kube" / "config"
    file.write_bytes(b"\xff\xfe")
    for before in (True, False):
        with pytest.raises(Refusal) as told:
            deploy(READER, k3s_before=before)
        assert told.value.message == f"{file}: is not UTF-8 text; mend it or move it away"


def test_an_answer_that_is_no_object_is_one_line(api: ChartsApi, deploy: Any) -> None:
    api.logs["/log"] = "<html>"
    with pytest.raises(ApiError, match="something else than an object"):
        deploy(READER).api().get("/log")


def test_a_cluster_that_is_down_is_not_kept_down_by_its_charts(
    api: ChartsApi, deploy: Any, state: Any, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.refused[crd("helmcharts")[0]] = 503
    made = deploy(READER, k3s_before=True)
    assert (made.asked, made.gone) == (False, ())
    state.is_executing = False
    assert len(list(operations.applied._inner(made, made.wanted[0]))) == 1
    assert "_if" in host.current_op_global_arguments, "only once K3s has made it answer"
    api.refused.clear()
    state.is_executing = True
    assert run(operations.applied, made, made.wanted[0]) == 1


@pytest.mark.parametrize(("steps", "merges"), [(False, False), (True, False), (False, True)])
def test_a_plan_does_not_know_of_charts_where_nothing_that_it_would_change_makes_the_api_answer(
    steps: bool, merges: bool, api: ChartsApi, deploy: Any, state: Any, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(operations, "unknown", told.append)
    monkeypatch.setattr(operations, "is_dry", lambda: True)
    api.refused[crd("helmcharts")[0]] = 503
    made = deploy(READER, k3s_before=True)
    turns = (Step("restart", made.first),) if steps else ()
    made.k3s = SimpleNamespace(plan=Plan(servers=turns), merges=merges)
    state.is_executing = False
    for operation in (operations.applied, operations.handed_out):
        host.current_op_global_arguments.clear()
        assert len(list(operation._inner(made, made.wanted[0]))) == 1
        assert "_if" in host.current_op_global_arguments
    assert {line.partition(": ")[0] for line in told} == (
        set() if steps or merges else {"the cluster's API does not answer from here"}
    )


def test_before_there_is_a_cluster_everything_comes_after_k3s(
    deploy: Any, tmp_path: Path, state: Any, host: Any
) -> None:
    (tmp_path / "kube" / "config").unlink()
    made = deploy(NTFY, READER, k3s_before=True)
    state.is_executing = False
    for operation, wanted in [(operations.applied, made.wanted), (operations.handed_out, made.readers)]:
        host.current_op_global_arguments.clear()
        assert {len(list(operation._inner(made, each))) for each in wanted} == {1}
        assert "_if" in host.current_op_global_arguments
    state.is_executing = True
    with pytest.raises(Refusal, match=r"has no context homelab-sandbox; run deploys/k3s\.py first"):
        list(operations.applied._inner(made, made.wanted[0]))


def test_without_a_cluster_neither_a_run_nor_a_plan_of_the_charts_alone_begins(deploy: Any, tmp_path: Path) -> None:
    (tmp_path / "kube" / "config").unlink()
    with pytest.raises(Refusal, match=r"has no context homelab-sandbox; run deploys/k3s\.py first"):
        deploy(NTFY, READER)


def test_a_refused_object_is_a_line_without_the_secret(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = deploy(NTFY)
    api.refused["/api/v1/namespaces/ntfy/secrets/ntfy-homelab"] = 403
    (command,) = operations.applied._inner(made, made.wanted[0])
    assert command.function(*command.args) is False
    assert ": ntfy: PATCH /api/v1/namespaces/ntfy/secrets/ntfy-homelab" in caplog.text
    assert "secrets/ntfy-homelab is refused" in caplog.text and "anna" not in caplog.text


# Waiting
#


def deployment(generation: int = 1, ready: int = 1) -> dict[str, Any]:
    status = {"observedGeneration": generation, "updatedReplicas": 1, "readyReplicas": ready}
    return {"metadata": {"name": "ntfy", "generation": 1}, "spec": {"replicas": 1}, "status": status}


MANIFEST = yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ntfy"}})
BROKEN = "kind: [\n"
WORKLOAD = "/apis/apps/v1/namespaces/ntfy/deployments/ntfy"


def test_a_release_is_up_when_helm_says_so_and_its_pods_are_ready(api: ChartsApi, deploy: Any) -> None:
    made = deploy(NTFY)
    (release,) = made.wanted
    reached = made.api()
    assert operations.lack(reached, release) == "Helm has not installed it"
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=MANIFEST)
    assert operations.lack(reached, release) == "deployment ntfy/ntfy: is not there"
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=BROKEN)
    assert operations.lack(reached, release).startswith("the manifest that Helm keeps of it is not YAML")
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=MANIFEST)
    api.objects[WORKLOAD] = deployment(ready=0)
    assert operations.lack(reached, release) == "deployment ntfy/ntfy: 0 of 1 pods are ready"
    api.objects[WORKLOAD] = deployment()
    assert operations.lack(reached, release) == ""
    assert run(operations.up, made, deadline=0) == 0


def job_pod(release: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": f"helm-install-{release}-x", "labels": {"job-name": f"helm-install-{release}"}}} | {
        "status": status
    }


def test_what_does_not_come_up_is_told_with_the_jobs_last_words_and_the_cause(api: ChartsApi, deploy: Any) -> None:
    made = deploy(NTFY, READER)
    held = {"waiting": {"reason": "ErrImagePull", "message": "no route"}}
    statuses = [{"image": "rancher/klipper-helm:v0.6.1", "state": held}]
    api.objects[f"{PODS}/helm-install-ntfy-x"] = job_pod("ntfy", containerStatuses=statuses)
    api.objects[f"{PODS}/helm-install-health-reader-x"] = job_pod("health-reader")
    log = "+ helm install\nError: INSTALLATION FAILED: cannot re-use a name that is still in use\n"
    api.logs[f"{PODS}/helm-install-health-reader-x/log"] = log
    with pytest.raises(Refusal) as told:
        run(operations.up, made, deadline=0)
    assert str(told.value.message).splitlines() == [
        "ntfy: Helm has not installed it; its job waits, ErrImagePull rancher/klipper-helm:v0.6.1: no route",
        "ntfy: that means: the image of K3s's Helm job cannot be had; an airgapped site needs it among image_archives",
        "health-reader: Helm has not installed it",
        "health-reader: its job's log ends: Error: INSTALLATION FAILED: cannot re-use a name that is still in use",
        "health-reader: that means: an older release of that name is left over; uninstall it, or give this one another "
        "name",
    ]


def test_of_a_workload_that_is_not_up_its_pods_tell_why_and_not_helms_job(api: ChartsApi, deploy: Any) -> None:
    made = deploy(NTFY)
    (release,) = made.wanted
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=MANIFEST)
    api.objects[WORKLOAD] = deployment(ready=0)
    api.objects[f"{PODS}/helm-install-ntfy-x"] = job_pod("ntfy")
    api.logs[f"{PODS}/helm-install-ntfy-x/log"] = "Upgrading ntfy\n"
    labels = {"app.kubernetes.io/instance": "ntfy"}
    held = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "ntfy-homelab" not found'}}
    pod = {"metadata": {"name": "ntfy-x", "labels": labels}, "status": {"containerStatuses": [{"state": held}]}}
    api.objects["/api/v1/namespaces/ntfy/pods/ntfy-x"] = pod
    with pytest.raises(Refusal) as told:
        run(operations.up, made, deadline=0)
    assert str(told.value.message).splitlines() == [
        "ntfy: deployment ntfy/ntfy: 0 of 1 pods are ready; "
        'CreateContainerConfigError: secret "ntfy-homelab" not found',
        "ntfy: that means: a Secret that the chart refers to is missing; see secrets",
    ]


# Uninstalling
#


def test_what_is_no_longer_listed_is_uninstalled_and_what_holds_data_stays(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY, READER))
    claim = {"metadata": {"name": "ntfy", "annotations": {"meta.helm.sh/release-name": "ntfy"}}}
    api.objects["/api/v1/namespaces/ntfy/persistentvolumeclaims/ntfy"] = claim
    labelled = {"metadata": {"name": "data-ntfy-0", "labels": {"app.kubernetes.io/instance": "ntfy"}}}
    api.objects["/api/v1/namespaces/ntfy/persistentvolumeclaims/data-ntfy-0"] = labelled
    api.objects["/api/v1/namespaces/ntfy/persistentvolumeclaims/else"] = {"metadata": {"name": "else"}}
    others = {"meta.helm.sh/release-name": "ntfy", "meta.helm.sh/release-namespace": "other"}
    api.objects["/api/v1/namespaces/ntfy/persistentvolumeclaims/theirs"] = {
        "metadata": {"name": "theirs", "annotations": others}
    }
    api.objects[f"{HELMCHARTS}/foreign"] = {"metadata": {"name": "foreign"}, "spec": {"chart": "x"}}
    made = deploy(READER)
    assert made.gone == (Gone("ntfy", "ntfy", "ntfy"),)
    api.asked.clear()
    assert run(operations.uninstalled, made, made.gone[0]) == 1
    assert api.written == ["DELETE helmcharts/ntfy", "DELETE secrets/ntfy-homelab"]
    assert operations.stays(made.api(), made.gone[0]) == [
        "PersistentVolumeClaim ntfy/ntfy",
        "PersistentVolumeClaim ntfy/data-ntfy-0",
        "namespace ntfy",
    ]
    assert {f"{HELMCHARTS}/foreign", f"{HELMCHARTS}/health-reader"} <= set(api.objects)
    assert deploy(READER).gone == ()


MARK = "homelab/environment"
SECRET_OF_NTFY = "/api/v1/namespaces/ntfy/secrets/ntfy-homelab"


def test_what_another_inventory_lists_is_left_to_it_without_a_word(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY, {"name": "traefik", "values": {"replicas": 2}}))
    for path in (f"{HELMCHARTS}/ntfy", f"{CONFIGS}/traefik", SECRET_OF_NTFY):
        api.objects[path]["metadata"]["annotations"][MARK] = "home"
    assert deploy(READER).gone == ()
    del api.objects[f"{HELMCHARTS}/ntfy"]
    assert deploy(READER).gone == ()
    assert "ntfy" not in caplog.text and "traefik" not in caplog.text


def test_what_another_inventory_has_claimed_since_the_plan_is_not_uninstalled(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    made = deploy()
    api.asked.clear()
    api.objects[f"{HELMCHARTS}/ntfy"]["metadata"]["annotations"][MARK] = "home"
    (command,) = operations.uninstalled._inner(made, made.gone[0])
    assert command.function(*command.args) is False
    assert "ntfy: is of the inventory home by now, and stays; deploy again" in caplog.text
    assert api.written == []


def test_what_another_inventory_lists_is_not_taken_from_it(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    made = deploy(NTFY)
    api.objects[f"{HELMCHARTS}/ntfy"]["metadata"]["annotations"][MARK] = "home"
    for refused in (lambda: deploy(NTFY), lambda: apply(made)):
        with pytest.raises(Refusal) as told:
            refused()
        assert str(told.value.message) == (
            "ntfy: HelmChart kube-system/ntfy is of the inventory home; leave it out here, or, "
            "if this one is to have it: "
            "kubectl -n kube-system annotate --overwrite helmchart ntfy homelab/environment=sandbox"
        )
    api.objects[f"{HELMCHARTS}/ntfy"]["metadata"]["annotations"][MARK] = "sandbox"
    assert apply(deploy(NTFY)) == 0


def test_what_does_not_tell_whose_it_is_becomes_that_of_the_inventory_that_lists_it(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As an earlier version made it."""
    marked = (f"{HELMCHARTS}/ntfy", SECRET_OF_NTFY, f"{CONFIGS}/traefik")
    traefik = {"name": "traefik", "values": {"replicas": 2}}
    apply(deploy(NTFY, traefik))
    for path in marked:
        del api.objects[path]["metadata"]["annotations"]
    assert deploy(READER).gone == ()
    claim = (
        "if this one did: kubectl -n kube-system annotate --overwrite {} homelab/environment=sandbox, and deploy again"
    )
    assert [record.getMessage().strip() for record in caplog.records] == [
        f"{name}: is not listed and does not tell which inventory did, so it stays; {claim.format(what)}"
        for name, what in (("ntfy", "helmchart ntfy"), ("traefik", "helmchartconfig traefik"))
    ]
    assert apply(deploy(NTFY, traefik)) == 2
    assert {api.objects[path]["metadata"]["annotations"][MARK] for path in marked} == {"sandbox"}
    assert apply(deploy(NTFY, traefik)) == 0


def test_a_secret_that_is_left_and_does_not_tell_whose_it_is_stays(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    del api.objects[f"{HELMCHARTS}/ntfy"]
    del api.objects[SECRET_OF_NTFY]["metadata"]["annotations"]
    assert deploy(READER).gone == ()
    assert caplog.records[-1].getMessage().strip() == (
        "ntfy: is gone, and its Secret does not tell which inventory listed it, so that stays; "
        "if none is about to: kubectl -n ntfy delete secret ntfy-homelab"
    )


def test_an_uninstall_that_does_not_end_is_told_and_fails(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    api.finalized.add(f"{HELMCHARTS}/ntfy")
    made = deploy()
    (command,) = operations.uninstalled._inner(made, made.gone[0], deadline=0)
    assert command.function(*command.args) is False
    assert "ntfy: Helm has not uninstalled it" in caplog.text
    assert "/api/v1/namespaces/ntfy/secrets/ntfy-homelab" in api.objects, "its pods may still need it"
    with pytest.raises(Refusal, match="ntfy: is still being uninstalled by the job helm-delete-ntfy; see its pod"):
        deploy(NTFY)


def test_an_uninstall_that_helm_gave_up_is_told_though_k3s_takes_it_for_done(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its job goes on over a failed `helm uninstall`, and the HelmChart is gone with the job's end."""
    apply(deploy(NTFY))
    api.release("ntfy", "ntfy", "0.1.0", status="uninstalling")
    api.uninstalls = False
    for _ in range(2):  # told until somebody has seen to it
        made = deploy()
        (command,) = operations.uninstalled._inner(made, made.gone[0])
        caplog.clear()
        assert command.function(*command.args) is False
        assert (
            "ntfy: K3s has let go of it, and Helm has not uninstalled it whole; "
            "run helm -n ntfy uninstall ntfy, and deploy again"
        ) in caplog.text
        assert f"{HELMCHARTS}/ntfy" not in api.objects
        assert "/api/v1/namespaces/ntfy/secrets/ntfy-homelab" in api.objects, "what is left may still need it"
    del api.objects["/api/v1/namespaces/ntfy/secrets/sh.helm.release.v1.ntfy.v1"]
    made = deploy()
    run(operations.uninstalled, made, made.gone[0])
    assert deploy().gone == ()


def test_what_may_hold_data_and_would_go_too_is_not_taken_away(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY, READER))
    claim: dict[str, Any] = {"kind": "PersistentVolumeClaim", "metadata": {"name": "ntfy"}}
    api.release("ntfy", "ntfy", "0.1.0", manifest=yaml.safe_dump(claim))
    api.release("health-reader", "kube-system", "0.1.0", manifest=BROKEN)
    api.asked.clear()
    with pytest.raises(Refusal) as told:
        deploy()
    lines = str(told.value.message).splitlines()
    assert lines[1] == (
        "ntfy: PersistentVolumeClaim ntfy/ntfy would be deleted with it; put it back in the list, give that the "
        "annotation helm.sh/resource-policy: keep in its chart or by its values, deploy, and then take it out; or, "
        "if that may go, kubectl -n kube-system delete helmchart ntfy"
    )
    assert lines[0].startswith("health-reader: the manifest that Helm keeps of it is not YAML (")
    assert lines[0].endswith("; if that may go, kubectl -n kube-system delete helmchart health-reader")
    assert len(lines) == 2 and api.written == []
    # One that is on its way out already is waited for.
    for name in ("ntfy", "health-reader"):
        api.objects[f"{HELMCHARTS}/{name}"]["metadata"]["deletionTimestamp"] = "2026-11-29T12:00:00Z"
    assert {each.name for each in deploy().gone} == {"ntfy", "health-reader"}
    del api.objects[f"{HELMCHARTS}/health-reader"]
    api.objects[f"{HELMCHARTS}/ntfy"]["metadata"].pop("deletionTimestamp")
    claim["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}
    api.release("ntfy", "ntfy", "0.1.0", manifest=yaml.safe_dump(claim))
    assert [each.name for each in deploy().gone] == ["ntfy"]


DATABASE = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "db"}}


def owned(api: ChartsApi) -> None:
    """A claim of a database that an operator has made of what the release's chart says."""
    api.objects["/apis/postgresql.cnpg.io/v1"] = {
        "resources": [
            {"name": "clusters/status", "kind": "Cluster"},
            {"name": "clusters", "kind": "Cluster"},
        ]
    }
    api.objects["/apis/postgresql.cnpg.io/v1/namespaces/ntfy/clusters/db"] = {"metadata": {"name": "db"}}
    owner = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "name": "db"}
    others = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}
    for name, reference in (("db-1", owner), ("else", others), ("free", None)):
        api.objects[f"/api/v1/namespaces/ntfy/persistentvolumeclaims/{name}"] = {
            "metadata": {"name": name, "namespace": "ntfy", "ownerReferences": [reference] if reference else None}
        }


def test_claims_that_go_with_their_owner_keep_it_from_being_taken_away(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    owned(api)
    api.release("ntfy", "ntfy", "0.1.0", manifest=yaml.safe_dump(DATABASE))
    api.asked.clear()
    with pytest.raises(Refusal) as told:
        deploy()
    assert str(told.value.message) == (
        "ntfy: PersistentVolumeClaim ntfy/db-1, which Cluster ntfy/db owns, would be deleted with it; put it back in "
        "the list, give the owner the annotation helm.sh/resource-policy: keep in its chart or by its values, deploy, "
        "and then take it out; or, if that may go, kubectl -n kube-system delete helmchart ntfy"
    )
    assert api.written == []
    kept = {**DATABASE, "metadata": {"name": "db", "annotations": {"helm.sh/resource-policy": "keep"}}}
    api.release("ntfy", "ntfy", "0.1.0", manifest=yaml.safe_dump(kept))
    assert [each.name for each in deploy().gone] == ["ntfy"]


def test_what_claims_go_with_outlives_an_upgrade_that_has_it_no_more(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    owned(api)
    api.release("ntfy", "ntfy", "0.1.0", manifest=yaml.safe_dump(DATABASE))
    api.asked.clear()
    caplog.set_level("INFO")
    assert apply(deploy({**NTFY, "values": {"hostname": "other.home.arpa"}})) == 1
    assert api.written == ["PATCH clusters/db", "PATCH helmcharts/ntfy"]
    assert "ntfy: Cluster ntfy/db is annotated to stay, helm.sh/resource-policy: keep" in caplog.text
    # Without its kind there is nothing of it left.
    del api.objects["/apis/postgresql.cnpg.io/v1"]
    api.asked.clear()
    assert apply(deploy({**NTFY, "values": {"hostname": "third.home.arpa"}})) == 1
    assert api.written == ["PATCH helmcharts/ntfy"]


def test_of_a_release_whose_records_cannot_be_read_nothing_is_guessed(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    api.release("ntfy", "ntfy", "0.1.0")
    (at,) = (path for path in api.objects if "sh.helm.release" in path)
    api.objects[at]["data"]["release"] = "bm90IG9uZQ=="
    api.asked.clear()
    with pytest.raises(Refusal) as told:
        deploy()
    assert str(told.value.message) == (
        "ntfy: what Helm keeps of it cannot be read, so what would go with it cannot be told; "
        "if that may go, kubectl -n kube-system delete helmchart ntfy"
    )
    made = deploy({**NTFY, "values": {"hostname": "other.home.arpa"}})
    (command,) = operations.applied._inner(made, made.wanted[0])
    assert command.function(*command.args) is False
    assert "what Helm keeps of it cannot be read, so what an upgrade would delete cannot be told" in caplog.text
    assert api.written == []
    del api.objects[f"{HELMCHARTS}/ntfy"]
    with pytest.raises(Refusal, match="a Helm release of that name is in ntfy and not this toolkit's"):
        deploy(NTFY)


def test_what_may_hold_data_since_the_plan_was_made_is_not_taken_away(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    made = deploy()
    api.release("ntfy", "ntfy", "0.1.0", manifest=HOLDING)
    api.asked.clear()
    (command,) = operations.uninstalled._inner(made, made.gone[0])
    assert command.function(*command.args) is False
    assert "ntfy: PersistentVolumeClaim ntfy/data would be deleted with it" in caplog.text
    assert api.written == []


CLAIM = "/api/v1/namespaces/ntfy/persistentvolumeclaims/data"
HOLDING = yaml.safe_dump({"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}})
ITS = {"meta.helm.sh/release-name": "ntfy"}


def test_what_may_hold_data_outlives_an_upgrade_that_has_it_no_more(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Helm asks the live object, so that is annotated before it is handed anything new."""
    apply(deploy(NTFY))
    (release,) = deploy(NTFY).wanted
    gone = yaml.safe_dump({"kind": "Namespace", "metadata": {"name": "gone"}}, explicit_start=True)
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=HOLDING + gone)
    api.objects[CLAIM] = {"metadata": {"name": "data", "annotations": dict(ITS)}}
    api.asked.clear()
    assert apply(deploy(NTFY)) == 0 and api.written == []
    changed = {**NTFY, "values": {"hostname": "other.home.arpa"}}
    caplog.set_level("INFO")
    assert apply(deploy(changed)) == 1
    assert api.written == ["PATCH persistentvolumeclaims/data", "PATCH helmcharts/ntfy"]
    assert api.objects[CLAIM]["metadata"]["annotations"] == {**ITS, "helm.sh/resource-policy": "keep"}
    assert "/api/v1/namespaces/gone" not in api.objects
    assert "ntfy: PersistentVolumeClaim ntfy/data is annotated to stay, helm.sh/resource-policy: keep" in caplog.text
    api.asked.clear()
    assert apply(deploy({**NTFY, "values": {"hostname": "third.home.arpa"}})) == 1
    assert api.written == ["PATCH helmcharts/ntfy"]


def test_what_helm_would_keep_at_an_uninstall_alone_is_annotated_for_an_upgrade(api: ChartsApi, deploy: Any) -> None:
    """An uninstall takes ` Keep` for keep, an upgrade deletes what is so annotated."""
    apply(deploy(NTFY))
    api.release("ntfy", "ntfy", "0.1.0", manifest=HOLDING)
    api.objects[CLAIM] = {"metadata": {"name": "data", "annotations": {"helm.sh/resource-policy": " Keep"}}}
    assert apply(deploy({**NTFY, "values": {"hostname": "other.home.arpa"}})) == 1
    assert api.objects[CLAIM]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_what_only_the_revision_before_a_failed_one_has_outlives_the_next_upgrade(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY))
    api.release("ntfy", "ntfy", "0.1.0", manifest=HOLDING)
    api.release("ntfy", "ntfy", "0.1.0", revision=2, status="failed")
    api.objects[CLAIM] = {"metadata": {"name": "data", "annotations": dict(ITS)}}
    assert apply(deploy({**NTFY, "values": {"hostname": "other.home.arpa"}})) == 1
    assert api.objects[CLAIM]["metadata"]["annotations"] == {**ITS, "helm.sh/resource-policy": "keep"}


def test_what_cannot_be_made_to_stay_is_not_put_at_risk(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apply(deploy(NTFY))
    api.release("ntfy", "ntfy", "0.1.0", manifest=HOLDING)
    api.objects[CLAIM] = {"metadata": {"name": "data"}}
    for trouble, says in (
        ({CLAIM: 403}, f"{CLAIM} is refused"),
        ({}, "so what an upgrade would delete cannot be told"),
    ):
        api.refused = trouble
        if not trouble:
            api.release("ntfy", "ntfy", "0.1.0", manifest=BROKEN)
        made = deploy({**NTFY, "values": {"hostname": "other.home.arpa"}})
        api.asked.clear()
        (command,) = operations.applied._inner(made, made.wanted[0])
        assert command.function(*command.args) is False
        assert says in caplog.text and not [each for each in api.written if "helmcharts" in each]
        api.refused = {}
        api.release("ntfy", "ntfy", "0.1.0", manifest=BROKEN)


def test_what_values_of_k3ss_own_chart_had_made_stays_when_they_are_taken_back(api: ChartsApi, deploy: Any) -> None:
    apply(deploy({"name": "traefik", "values": {"persistence": {"enabled": True}}}))
    api.release("traefik", "kube-system", "1", manifest=HOLDING)
    at = "/api/v1/namespaces/kube-system/persistentvolumeclaims/data"
    api.objects[at] = {"metadata": {"name": "data"}}
    made = deploy()
    api.asked.clear()
    run(operations.uninstalled, made, made.gone[0])
    assert api.written == ["PATCH persistentvolumeclaims/data", "DELETE helmchartconfigs/traefik"]


def test_claims_that_a_release_no_longer_has_are_told(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = deploy(NTFY)
    (release,) = made.wanted
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=HOLDING)
    caplog.set_level("INFO")
    for name, notes in (("data", ITS), ("old", ITS), ("else", {})):
        api.objects[f"/api/v1/namespaces/ntfy/persistentvolumeclaims/{name}"] = {
            "metadata": {"name": name, "annotations": notes}
        }
    api.asked.clear()
    assert run(operations.up, made, deadline=0) == 0
    assert len([path for _, path in api.asked if "/secrets?" in path]) == 1, "Helm's records are read once"
    told = [record.getMessage() for record in caplog.records if "no longer" in record.getMessage()]
    assert len(told) == 1 and told[0].endswith(
        "ntfy: has PersistentVolumeClaim old no longer, which stays; if it may go: kubectl -n ntfy delete pvc old"
    )


def test_claims_that_a_pod_mounts_or_that_are_another_namespaces_are_not_told(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever follows the line deletes them: a claim may have become the release's by `existingClaim`."""
    made = deploy(NTFY)
    (release,) = made.wanted
    # At rest it has no pod.
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "rests"}}
    rests = {"kind": "CronJob", "metadata": {"name": "backup"}, "spec": {"volumes": [volume]}}
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest=yaml.safe_dump(rests))
    caplog.set_level("INFO")
    for name, namespace in (("mounted", "ntfy"), ("rests", "ntfy"), ("theirs", "other"), ("old", "ntfy")):
        api.objects[f"/api/v1/namespaces/ntfy/persistentvolumeclaims/{name}"] = {
            "metadata": {"name": name, "annotations": {**ITS, "meta.helm.sh/release-namespace": namespace}}
        }
    volumes = [{"name": "cache", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "mounted"}}]
    api.objects["/api/v1/namespaces/ntfy/pods/one"] = {"metadata": {"name": "one"}, "spec": {"volumes": volumes}}
    assert run(operations.up, made, deadline=0) == 0
    told = [record.getMessage() for record in caplog.records if "no longer" in record.getMessage()]
    assert [line.rpartition(" ")[2] for line in told] == ["old"]


@pytest.mark.parametrize("path", ["persistentvolumeclaims", "pods"])
def test_claims_that_cannot_be_read_do_not_fail_what_is_up(
    api: ChartsApi, deploy: Any, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    made = deploy(NTFY)
    (release,) = made.wanted
    api.release("ntfy", "ntfy", release.version, values=release.values, manifest="")
    api.objects["/api/v1/namespaces/ntfy/persistentvolumeclaims/old"] = {
        "metadata": {"name": "old", "annotations": dict(ITS)}
    }
    api.refused[f"/api/v1/namespaces/ntfy/{path}"] = 503
    caplog.set_level("INFO")
    assert run(operations.up, made, deadline=0) == 0
    assert "1 releases up" in caplog.text and "no longer" not in caplog.text


def definitions(api: ChartsApi) -> list[str]:
    """The definitions that were read, in their order."""
    return [at.rpartition("/")[2].partition(".")[0] for _, at in api.asked if "customresourcedefinitions/" in at]


def test_of_the_definitions_only_those_that_are_needed_are_read_and_only_once(
    api: ChartsApi, deploy: Any, state: Any
) -> None:
    state.is_executing = False
    made = deploy(NTFY, READER)
    for release in made.wanted:
        assert len(list(operations.applied._inner(made, release))) == 1
    state.is_executing = True
    apply(made)
    assert definitions(api) == ["helmcharts"]
    assert made.api() is made.api()


def test_where_k3s_may_have_been_upgraded_since_the_plan_the_definitions_are_read_again(
    api: ChartsApi, deploy: Any, state: Any
) -> None:
    known = deploy(NTFY, READER).home
    api.objects |= dict([crd("helmcharts", *FIELDS[:-1])])
    api.asked.clear()
    state.is_executing = False
    made = operations._charts(known, known.servers[0], CHARTS, K3S)
    for release in made.wanted:
        assert len(list(operations.applied._inner(made, release))) == 1
    state.is_executing = True
    api.objects |= dict([crd("helmcharts", *FIELDS)])
    apply(made)
    assert definitions(api) == ["helmcharts", "helmcharts"]
    assert api.objects[f"{HELMCHARTS}/ntfy"]["spec"]["failurePolicy"] == "abort"


def test_a_plan_looks_once_at_what_is_there(api: ChartsApi, deploy: Any, state: Any) -> None:
    apply(deploy(NTFY))
    state.is_executing = False
    made = deploy(NTFY)
    api.asked.clear()
    assert not list(operations.applied._inner(made, made.wanted[0]))
    assert api.asked.count(("GET", f"{HELMCHARTS}/ntfy")) == 1, "what differs"


def test_a_definition_that_is_gone_since_the_list_was_read_is_told(
    api: ChartsApi, deploy: Any, state: Any, tmp_path: Path
) -> None:
    state.is_executing = False
    made = deploy(READER)
    del api.objects[crd("helmcharts")[0]]
    file = tmp_path / "kube" / "config"
    file.write_text(file.read_text().replace("admin", "other"))
    with pytest.raises(Refusal, match="this cluster has no HelmChart; take disable-helm-controller out"):
        list(operations.applied._inner(made, made.wanted[0]))


def test_a_kubeconfig_that_is_written_anew_is_connected_to_anew(api: ChartsApi, deploy: Any, tmp_path: Path) -> None:
    made = deploy(READER)
    before = made.api()
    file = tmp_path / "kube" / "config"
    file.write_text(file.read_text().replace("admin", "other"))
    assert made.api() is not before
    apply(made)
    assert definitions(api) == ["helmcharts", "helmcharts"]


def test_the_secret_of_an_uninstall_that_outlasted_its_run_is_swept_up(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(NTFY, {**READER, "secrets": {"key": "env:NTFY_USERS"}}))
    del api.objects[f"{HELMCHARTS}/ntfy"]
    foreign = {"metadata": {"name": "x-homelab", "namespace": "x", "labels": {"homelab/release": "x"}}}
    api.objects["/api/v1/namespaces/x/secrets/x-homelab"] = foreign
    made = deploy({**READER, "secrets": {"key": "env:NTFY_USERS"}})
    assert made.gone == (Gone("ntfy", "ntfy", left=True),)
    api.asked.clear()
    assert run(operations.uninstalled, made, made.gone[0]) == 1
    assert api.written == ["DELETE secrets/ntfy-homelab"]
    assert deploy({**READER, "secrets": {"key": "env:NTFY_USERS"}}).gone == ()


def test_a_driver_whose_volumes_are_in_use_is_not_taken_away(api: ChartsApi, deploy: Any) -> None:
    apply(deploy(STORAGE))
    claim = {"namespace": "media", "name": "films"}
    spec = {"csi": {"driver": "nfs.csi.k8s.io"}, "claimRef": claim}
    api.objects["/api/v1/persistentvolumes/pvc-1"] = {"metadata": {"name": "pvc-1"}, "spec": spec}
    api.objects["/api/v1/persistentvolumes/pvc-2"] = {"metadata": {"name": "pvc-2"}, "spec": {"local": {}}}
    with pytest.raises(Refusal) as told:
        deploy()
    assert str(told.value.message).splitlines() == [
        "csi-driver-nfs: claims still have volumes of it (media/films); delete those first, the folders stay"
    ]
    del api.objects["/api/v1/persistentvolumes/pvc-1"]
    assert [each.name for each in deploy().gone] == ["csi-driver-nfs", "nas-storage"]


def test_a_cluster_that_was_made_in_this_run_is_asked_before_anything_is_applied(
    api: ChartsApi, deploy: Any, tmp_path: Path
) -> None:
    file = tmp_path / "kube" / "config"
    text = file.read_text()
    file.unlink()
    made = deploy(READER, k3s_before=True)
    file.write_text(text)
    api.objects |= dict([crd("helmcharts", "chart")])
    with pytest.raises(Refusal, match="this K3s's HelmChart does not know chartContent, targetNamespace, values"):
        list(operations.applied._inner(made, made.wanted[0]))
    assert api.written == []


def test_values_of_k3ss_own_chart_are_taken_back_without_a_job(api: ChartsApi, deploy: Any) -> None:
    apply(deploy({"name": "traefik", "values": {"replicas": 2}}))
    made = deploy()
    assert made.gone == (Gone("traefik", "kube-system", packaged=True),)
    api.asked.clear()
    run(operations.uninstalled, made, made.gone[0])
    assert api.written == ["DELETE helmchartconfigs/traefik"]


# The reader's kubeconfig
#


def account(token: bytes) -> dict[str, dict[str, Any]]:
    """The Secret with a reader's token, as the API has it."""
    held = {"token": base64.b64encode(token).decode()}
    path = "/api/v1/namespaces/kube-system/secrets/health-reader-token"
    return {path: {"metadata": {"name": "health-reader-token"}, "data": held}}


def test_a_plan_names_the_readers_kubeconfig_where_a_run_would_write_it(
    api: ChartsApi, deploy: Any, state: Any, host: Any
) -> None:
    def planned() -> int:
        state.is_executing = False
        commands = list(operations.handed_out._inner(made, release))
        state.is_executing = True
        return len(commands)

    made = deploy(READER)
    (release,) = made.readers
    assert planned() == 1, "its account is about to be made"
    api.objects |= account(b"the.token")
    assert planned() == 1
    run(operations.handed_out, made, release)
    assert planned() == 0
    made.reader_file(release.name).chmod(0o644)
    assert planned() == 1
    run(operations.handed_out, made, release)
    api.objects |= account(b"another.token")
    assert planned() == 1
    assert host.current_op_global_arguments == {}, "it is known"


def test_the_readers_kubeconfig_is_for_its_owner_alone(api: ChartsApi, deploy: Any) -> None:
    made = deploy(READER)
    (release,) = made.readers
    with pytest.raises(Refusal, match="has no token yet; deploy again; the release itself is up"):
        run(operations.handed_out, made, release)
    api.objects |= account(b"the.token")
    assert run(operations.handed_out, made, release) == 1
    file = made.reader_file(release.name)
    assert file == made.kubeconfig.with_name("config.health-reader")
    assert file.stat().st_mode & 0o777 == 0o600
    held = yaml.safe_load(file.read_text())
    assert held["users"] == [{"name": "health-reader", "user": {"token": "the.token"}}]
    assert held["clusters"] == [{"name": "homelab-sandbox", "cluster": {"server": api.url}}]
    assert held["current-context"] == "homelab-sandbox"
    assert run(operations.handed_out, made, release) == 0
    os.chmod(file, 0o644)  # noqa: PTH101
    assert run(operations.handed_out, made, release) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.glob("*backup*")) == []
