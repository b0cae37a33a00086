"""A healthy cluster yields nothing, one fault yields one root finding, and no input is too odd."""

from __future__ import annotations

import importlib
import json
import pkgutil
import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Expected, Severity, Snapshot, checks, run_checks
from homelab.health.as_json import as_json
from homelab.health.checks import ALL_CHECKS, CHECKS, DEEP_CHECKS
from homelab.health.codes import CODES, DEEP_CODES, TABLE, as_markdown
from homelab.health.kinds import BY_NAME, KINDS
from homelab.health.report import Report, Status
from homelab.health.snapshot import DEEP, DERIVED, INVENTORY, PROBES, Api
from homelab.health.text import lines
from tests.sweeps import examples, sweep
from tests.unit.health.cluster import NOW, VERSION, K3s, condition
from tests.unit.health.faults import (
    FAULTS,
    QUIET,
    Fault,
    autoscaler,
    balanced_and_scaled_to_nothing,
    certificate_of_a_listener_not_issued,
    claim_does_not_go,
    class_of_no_balancer,
    disk_full,
    gateway_of_nginx_with_no_valid_listener,
    gateway_that_nobody_sets_up,
    gateway_whose_proxy_crashes,
    http_route,
    listeners_in_conflict,
    memory_pressure,
    metrics_scaled_to_nothing,
    no_balancer,
    out_of_memory_once,
    provisioner_deleted,
    route,
    route_of_a_gateway_that_is_gone,
    route_taken_in_part,
    route_to_nowhere,
    route_with_a_parent_that_is_not_there,
    services_of_kube_prometheus_stack,
    set_condition,
    traefik_deleted,
    traefik_listener_without_its_certificate,
    two_defaults,
    waiting,
)

API = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())


def look(cluster: K3s, **api: Any) -> Report:
    asked = replace(API, **api)
    return run_checks(Snapshot.from_lists(cluster.lists, now=cluster.now, api=asked, summaries=cluster.summaries))


def name(value: Callable[..., Any]) -> str:
    return value.__name__


def test_a_healthy_cluster_yields_nothing() -> None:
    report = look(K3s())
    assert [each for each in report.findings if each.code != "CTRL005"] == []
    assert (report.exit_code, report.coverage) == (0, f"{len(CHECKS)} checks: {len(CHECKS) - 2} run, 2 skipped")


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_fault_yields_one_root_finding_that_names_the_culprit(fault: Fault) -> None:
    cluster = K3s()
    code, culprit, severity = fault(cluster)
    report = look(cluster)
    assert [(each.code, each.severity) for each in report.roots] == [(code, severity)], list(lines(report))
    root = report.roots[0]
    assert root.object.name.startswith(culprit)
    assert root.summary and root.remedy and "{" not in root.remedy.replace("{.status.conditions}", "")
    assert report.exit_code == (2 if severity is Severity.CRITICAL else 1)


def test_what_drags_along_its_own_object_alone_says_nothing_of_that() -> None:
    cluster = K3s()
    memory_pressure(cluster)
    report = look(cluster)
    assert [each.object for each in report.consequences(report.roots[0])] == [report.roots[0].object]
    assert not any("drags along" in line for _, line in lines(report))
    assert any("drags along Node s3: " in line for _, line in lines(report, verbose=True))


@pytest.mark.parametrize("calm", QUIET, ids=name)
def test_what_is_no_fault_is_not_told(calm: Callable[[K3s], None]) -> None:
    cluster = K3s()
    calm(cluster)
    report = look(cluster)
    assert report.roots == (), list(lines(report))
    assert report.exit_code == 0


@pytest.mark.parametrize("fault", sweep(FAULTS), ids=name)
def test_the_order_in_which_objects_come_means_nothing(fault: Fault) -> None:
    cluster = K3s()
    fault(cluster)
    before = look(cluster)
    shuffled = random.Random(4711)
    for items in cluster.lists.values():
        shuffled.shuffle(items)
        for item in items:
            shuffled.shuffle(item.get("status", {}).get("conditions", []))
    assert look(cluster) == before


@pytest.mark.parametrize(
    ("api", "code", "severity"),
    [
        ({"ready": False, "unready": ("etcd failed: reason withheld",)}, "CTRL001", Severity.CRITICAL),
        ({"latency": timedelta(seconds=0.7)}, "CTRL002", Severity.WARNING),
        ({"latency": timedelta(seconds=3)}, "CTRL002", Severity.CRITICAL),
        ({"skew": timedelta(seconds=-5)}, "CTRL006", Severity.WARNING),
        ({"skew": timedelta(seconds=300)}, "CTRL006", Severity.CRITICAL),
    ],
)
def test_the_api_itself(api: dict[str, Any], code: str, severity: Severity) -> None:
    report = look(K3s(), **api)
    assert [(each.code, each.severity) for each in report.roots] == [(code, severity)]


def test_a_server_whose_clock_is_off_makes_all_other_clocks_look_wrong() -> None:
    """Seen from it, every node is of the future: it is the one to mend."""
    cluster = K3s()
    report = run_checks(
        Snapshot.from_lists(cluster.lists, now=NOW - timedelta(minutes=5), api=replace(API, skew=-timedelta(minutes=5)))
    )
    assert [each.code for each in report.roots] == ["CTRL006"]
    assert {each.code for each in report.consequences(report.roots[0])} == {"NODE007"}


def test_information_is_no_finding_and_changes_no_exit() -> None:
    cluster = K3s()
    QUIET[0](cluster)
    report = look(cluster, version="v1.30.1+k3s1")
    assert {each.code for each in report.information} >= {"CTRL005", "NODE006"}
    assert (report.roots, report.exit_code) == ((), 0)


def test_warnings_that_come_again_and_again_are_information() -> None:
    cluster = K3s()
    library = cluster.pods("library")[0]["metadata"]["name"]
    often = [("Pod", "media", library), ("Pod", "media", library), ("Ingress", "default", "web"), ("Node", "", "a1")]
    for number, (kind, namespace, start) in enumerate(often):
        found = cluster.event(kind, namespace, start, f"Reason{number}", f"message {number}", minutes=number)
        found["count"] = (6, 7, 5, 4)[number]
    cluster.event("Pod", "media", "database-0", "Old", "of before", minutes=40)["count"] = 50
    cluster.event("Pod", "media", "gone", "BackOff", "of a pod that is no more", minutes=1)["count"] = 60
    report = look(cluster)
    told = [(each.object.name, each.owner and each.owner.name, each.evidence) for each in report.information]
    assert told[:2] == [
        ("web", None, {"times": 5, "reason": "Reason2"}),
        (library, "library", {"times": 7, "reason": "Reason1"}),
    ]
    assert (report.roots, report.exit_code) == ((), 0)
    assert [each.code for each in report.information] == ["CTRL012", "CTRL012"]


def test_the_warnings_of_a_node_are_looked_for_in_every_namespace() -> None:
    """They are in `default`, whatever the namespace of the context is."""
    cluster = K3s()
    cluster.event("Node", "", "s1", "Slow", "a disk", minutes=2)["count"] = 6
    (slow,) = look(cluster).information
    assert slow.remedy == "kubectl get events -A --field-selector type=Warning,involvedObject.name=s1"


def test_why_k3s_has_no_pods_of_what_is_in_its_own_process_is_information() -> None:
    cluster = K3s()
    services_of_kube_prometheus_stack(cluster)
    told = {each.object.name: each.summary for each in look(cluster).information}
    assert "K3s runs it in its own process" in told["kube-prometheus-stack-kube-proxy"]
    route(cluster, "etcd", {"name": "kube-prometheus-stack-etcd", "namespace": "kube-system", "port": 10259})
    (led,) = look(cluster).roots
    assert (led.code, led.object.name, led.severity) == ("NET002", "kube-prometheus-stack-etcd", Severity.CRITICAL)
    for node in cluster.lists["nodes"]:
        node["status"]["nodeInfo"]["kubeletVersion"] = "v1.35.6"
    assert [each.code for each in look(cluster).roots] == ["NET002"] * 4


@pytest.mark.parametrize(("minutes", "told"), [(4, []), (20, ["WORK011"])])
def test_an_autoscaler_is_at_its_most_since_it_scaled_last(minutes: float, told: list[str]) -> None:
    """Before, it was at its least, of which the same condition told (kubernetes/kubernetes#100420, as its commenters
    show it)."""
    cluster = K3s()
    since, why = cluster.ago(days=9), "the desired replica count is more than the maximum replica count"
    made = autoscaler(cluster, "ScalingLimited", "True", "TooManyReplicas", why, since)
    made["status"] |= {"desiredReplicas": 4, "lastScaleTime": cluster.ago(minutes=minutes)}
    made["status"]["conditions"] += [
        condition("AbleToScale", "True", "ReadyForNewScale", since, "recommended size matches current size"),
        condition("ScalingActive", "True", "ValidMetricFound", since, "the HPA was able to calculate a replica count"),
    ]
    report = look(cluster)
    assert [each.code for each in report.information] == told
    assert report.roots == ()


def test_what_takes_a_route_is_called_by_its_kind() -> None:
    """The parent of a mesh's is a Service (Gateway API, GAMMA)."""
    cluster = K3s()
    route = http_route(cluster, "Accepted", "True", cluster.ago(hours=1))
    route["spec"]["parentRefs"] = [{"group": "", "kind": "Service", "name": "web", "port": 80}]
    assert [each.summary for each in look(cluster).roots] == ["no controller has looked at it for its Service web"]


@pytest.mark.parametrize(
    "fault",
    [traefik_listener_without_its_certificate, gateway_of_nginx_with_no_valid_listener, listeners_in_conflict],
)
def test_a_gateway_with_a_bad_listener_tells_of_that(fault: Fault) -> None:
    """Traefik's own word for it, "All Listeners must be valid", helps nobody."""
    cluster = K3s()
    fault(cluster)
    (root,) = look(cluster).roots
    assert root.summary.startswith("has a listener http")
    assert "does not exist" in root.summary or "a unique hostname" in root.summary


def test_a_gateway_that_is_not_there_is_told_of_as_that() -> None:
    cluster = K3s()
    route_with_a_parent_that_is_not_there(cluster)
    (root,) = look(cluster).roots
    assert root.summary == "is for Gateway media/way-inn, which does not exist"


@pytest.mark.parametrize(
    ("fault", "summary"),
    [
        (gateway_that_nobody_sets_up, "no controller has looked at it; its class is traefik"),
        (route_of_a_gateway_that_is_gone, "is for Gateway media/way-in, which does not exist"),
        (route_to_nowhere, "leads to what is not there: BackendNotFound"),
    ],
)
def test_what_is_wrong_with_a_gateway_or_route_is_told_by_what_tells_most(fault: Fault, summary: str) -> None:
    cluster = K3s()
    fault(cluster)
    assert [each.summary for each in look(cluster).roots] == [summary]


def test_a_route_that_may_not_lead_where_it_does_is_not_told_of_as_of_what_is_missing() -> None:
    cluster = K3s()
    route_to_nowhere(cluster)
    told = cluster.get("httproutes", "photos")["status"]["parents"][0]["conditions"][0]
    told |= {"reason": "RefNotPermitted", "message": "Service other/web is not permitted by any ReferenceGrant"}
    assert [each.summary for each in look(cluster).roots] == [
        "leads to what it cannot be led to: Service other/web is not permitted by any ReferenceGrant"
    ]


def test_without_a_word_on_gateways_none_is_missed() -> None:
    cluster = K3s()
    route_of_a_gateway_that_is_gone(cluster)
    del cluster.lists["gateways"]
    assert look(cluster).roots == ()


def test_what_a_route_is_to_mend_itself_does_not_follow_from_its_gateway() -> None:
    cluster = K3s()
    route_taken_in_part(cluster)
    refused = condition("Accepted", "False", "InvalidParameters", cluster.ago(hours=1))
    cluster.get("gateways", "way-in")["status"]["conditions"] = [refused]
    assert [each.code for each in look(cluster).roots] == ["NET006", "NET007"]


@pytest.mark.parametrize("fault", [traefik_listener_without_its_certificate, gateway_of_nginx_with_no_valid_listener])
def test_a_gateway_waits_for_the_certificate_of_a_listener(fault: Fault) -> None:
    """Until cert-manager has written it, which may take its time, and for nothing else that a listener refers to."""
    cluster = K3s()
    fault(cluster)
    status = cluster.get("gateways", "way-in")["status"]
    for told in (status, *status["listeners"]):
        for each in told["conditions"]:
            each["lastTransitionTime"] = cluster.ago(minutes=9)
    assert look(cluster).roots == ()
    set_condition(
        {"status": status["listeners"][1]}, "ResolvedRefs", "False", "RefNotPermitted", cluster.ago(minutes=9)
    )
    assert [each.code for each in look(cluster).roots] == ["NET006"]


def test_a_gateway_that_is_not_accepted_does_not_follow_from_its_pods() -> None:
    cluster = K3s()
    gateway_whose_proxy_crashes(cluster)
    way_in = cluster.get("gateways", "way-in")
    set_condition(way_in, "Accepted", "False", "InvalidParameters", cluster.ago(hours=1))
    assert "NET006" in [each.code for each in look(cluster).roots]


@pytest.mark.parametrize("status", ["True", "Unknown"])
def test_a_certificate_is_no_cause_of_a_listener_that_has_what_it_refers_to(status: str) -> None:
    """Its port is another's, or no controller has looked at it; the certificate is not issued for that, if anything."""
    cluster = K3s()
    certificate_of_a_listener_not_issued(cluster)
    for told in cluster.get("gateways", "way-in")["status"]["listeners"]:
        set_condition({"status": told}, "ResolvedRefs", status, "Odd", cluster.ago(hours=1))
    assert [each.code for each in look(cluster).roots] == ["NET006", "CERT004"]


def test_a_service_that_rests_has_an_address_where_any_node_gives_one() -> None:
    """Only with externalTrafficPolicy Local ServiceLB waits for a pod behind it."""
    cluster = K3s()
    balanced_and_scaled_to_nothing(cluster)
    cluster.get("services", "photos")["spec"]["externalTrafficPolicy"] = "Cluster"
    assert [(each.code, each.object.name) for each in look(cluster).roots] == [("NET001", "photos")]


def test_what_a_pod_may_have_in_all_is_its_containers_limit() -> None:
    """Kubernetes 1.34 on (pod-level resources): the node did not run out."""
    cluster = K3s()
    out_of_memory_once(cluster)
    spec = cluster.pods("library")[0]["spec"]
    spec["containers"][0]["resources"] = {}
    spec["resources"] = {"limits": {"memory": "300Mi"}}
    (root,) = look(cluster).roots
    assert "(its limit is 300Mi)" in root.summary


@pytest.mark.parametrize(
    ("fault", "way"),
    [
        (provisioner_deleted, "on a server: systemctl restart k3s, which applies it again"),
        (traefik_deleted, "kubectl delete job helm-install-traefik -n kube-system, which K3s makes again at once"),
        (metrics_scaled_to_nothing, "kubectl scale deployment metrics-server -n kube-system --replicas=1"),
    ],
)
def test_how_an_add_on_comes_back(fault: Fault, way: str) -> None:
    """K3s applies its manifests when it starts, and tells nothing of a chart that its Job has installed once."""
    cluster = K3s()
    fault(cluster)
    (root,) = look(cluster).roots
    assert root.remedy.startswith(f"{way}; if it is not wanted, add ")


def test_no_default_class_is_information() -> None:
    cluster = K3s()
    cluster.get("storageclasses", "local-path")["metadata"]["annotations"] = {}
    report = look(cluster)
    assert [(each.code, each.object.name) for each in report.information] == [("STOR004", "local-path")]
    assert report.roots == ()


def test_that_k3s_makes_its_class_the_default_again_is_said_where_it_is_one() -> None:
    cluster = K3s()
    two_defaults(cluster)
    (root,) = look(cluster).roots
    assert "K3s sets it on local-path again" in root.remedy
    cluster.get("storageclasses", "local-path")["metadata"]["annotations"] = {}
    (root,) = look(cluster).roots
    assert "K3s" not in root.remedy


def test_why_metallb_gives_no_address_is_told() -> None:
    """Its words for a pool that is used up (metallb/metallb#2553)."""
    cluster = K3s()
    no_balancer(cluster)
    said = 'Failed to allocate IP for "kube-system/traefik": no available IPs'
    cluster.event("Service", "kube-system", "traefik", "AllocationFailed", said, minutes=4)
    (root,) = look(cluster).roots
    assert root.summary.endswith(f"and no other load balancer gave one: {said}")


def test_why_a_class_of_balancers_gives_no_address_is_told() -> None:
    """Tailscale's words (tailscale/tailscale#13730); Cilium's are in a condition too."""
    cluster = K3s()
    class_of_no_balancer(cluster)
    said = "no Tailscale hostname known yet, waiting for proxy pod to finish auth"
    cluster.get("services", "photos")["status"] = {
        "conditions": [condition("TailscaleProxyReady", "False", "ProxyPending", cluster.ago(hours=1), said)],
        "loadBalancer": {},
    }
    (root,) = look(cluster).roots
    assert root.summary == f"has no address: nothing gives one for its class io.cilium/l2-announcer: {said}"


def test_of_what_never_started_no_log_is_asked_for() -> None:
    """containerd's word for a command that is not there; nothing of it has ever run."""
    cluster = K3s()
    said = 'exec: "photos": executable file not found in $PATH'
    end = {"exitCode": 128, "reason": "StartError", "message": said, "finishedAt": cluster.ago(minutes=2)}
    looping = {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": end},
        "restartCount": 9,
    }
    cluster.pods("library")[0]["status"]["containerStatuses"][0] |= looping
    (root,) = look(cluster).roots
    assert (root.code, root.remedy) == ("POD001", f"kubectl describe pod {root.object.name} -n media")
    assert said in root.summary


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize(
    ("own", "asked", "named", "told"),
    [
        ("lan.invalid/nothing:1", "lan.invalid/nothing:1", "lan.invalid/nothing:1", "lan.invalid/nothing:1"),
        ("nothing", "nothing:latest", "docker.io/library/nothing:latest", "nothing"),
        ("library:3", "lan.invalid/data:1", "lan.invalid/data:1", "lan.invalid/data:1"),
    ],
)
def test_an_image_is_told_once_with_why(reason: str, own: str, asked: str, named: str, told: str) -> None:
    """Since Kubernetes 1.32 the kubelet tells why while it waits, too; the image may be that of a volume as well."""
    cluster = K3s()
    pod = cluster.pods("library")[0]
    pod["spec"]["containers"][0]["image"] = own
    said = f'failed to pull and unpack image "{named}": failed to resolve reference "{named}": no such host'
    if reason == "ImagePullBackOff":
        said = f'Back-off pulling image "{asked}": ErrImagePull: {said}'
    waiting(pod, reason, said, cluster.ago(hours=1))
    (root,) = look(cluster).roots
    assert (root.code, root.evidence["image"]) == ("POD002", told)
    assert root.summary == f'cannot pull image {told}: failed to resolve reference "{named}": no such host'


def test_a_pod_that_is_done_holds_no_claim() -> None:
    """Kubernetes' own protection of claims leaves pods out that have ended; here a snapshot is being made."""
    cluster = K3s()
    claim_does_not_go(cluster)
    held = "snapshot.storage.kubernetes.io/pvc-as-source-protection"
    cluster.get("persistentvolumeclaims", "library")["metadata"]["finalizers"] = [held]
    cluster.pods("library")[0]["status"] |= {"phase": "Succeeded", "containerStatuses": []}
    told = {each.code: each.summary for each in look(cluster).roots}
    assert told["STOR002"] == f"was deleted and does not go: held by {held}"


def test_a_sidecar_that_is_not_ready_is_named() -> None:
    """A native one, which is an init container to the API and keeps its pod from being ready all the same."""
    cluster = K3s()
    pod = cluster.pods("library")[0]
    for kind in ("Ready", "ContainersReady"):
        message = "containers with unready status: [vpn]"
        set_condition(pod, kind, "False", "ContainersNotReady", cluster.ago(minutes=40), message)
    begun = {"running": {"startedAt": cluster.ago(minutes=41)}}
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    pod["spec"]["initContainers"] = [{"name": "prepare"}, {"name": "vpn", "restartPolicy": "Always"}]
    pod["status"]["initContainerStatuses"] = [
        {"name": "prepare", "ready": True, "started": False, "restartCount": 0, "state": ended},
        {"name": "vpn", "ready": False, "started": True, "restartCount": 0, "state": begun},
    ]
    (root,) = look(cluster).roots
    assert (root.code, root.evidence["containers"]) == ("POD006", ("vpn",))


def test_expected_nodes() -> None:
    cluster = K3s()
    expected = Expected("home", {**dict.fromkeys(("s1", "s2", "s3"), "server"), "a2": "agent"}, frozenset({"a1"}))
    report = run_checks(Snapshot.from_lists(cluster.lists, now=NOW, api=API, expected=expected))
    assert [(each.code, each.object.name) for each in report.roots] == [("NODE008", "a2")]
    assert "NODE009" not in {each.code for each in report.information}  # a1 is away and came back: still known


def test_consequences_are_counted_under_their_cause() -> None:
    cluster = K3s()
    FAULTS[0](cluster)
    report = look(cluster)
    dragged = {(each.code, each.object.kind) for each in report.consequences(report.roots[0])}
    assert dragged >= {
        ("NODE005", "Node"),
        ("POD010", "Pod"),
        ("POD004", "Pod"),
        ("WORK001", "Deployment"),
        ("WORK005", "DaemonSet"),
    }


def test_every_check_of_every_module_is_registered_and_every_code_has_one() -> None:
    found = {
        check
        for module in pkgutil.iter_modules(checks.__path__)
        for key, check in vars(importlib.import_module(f"{checks.__name__}.{module.name}")).items()
        if key.startswith("check_")
    }
    assert found == {check for _, check in ALL_CHECKS}
    assert [code for code, _ in ALL_CHECKS] == [row.code for row in TABLE]
    assert len(CODES) == len(TABLE)
    assert {code for code, _ in DEEP_CHECKS} == DEEP_CODES


def test_checks_need_what_can_be_read() -> None:
    known = {*BY_NAME, *PROBES, *DERIVED, *DEEP, INVENTORY}
    assert len(BY_NAME) == len(KINDS)
    for row in TABLE:
        assert row.needs and {*row.needs, *row.uses} <= known, row.code


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_a_check_does_not_run_without_what_it_needs(row: Any) -> None:
    """Nothing was read at all: no check may say that all is well."""
    report = run_checks(Snapshot(NOW), checks=ALL_CHECKS)
    run = next(each for each in report.runs if each.code == row.code)
    assert run.status is Status.SKIPPED and run.reason
    assert report.exit_code == 3


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("2026-01-01T00:00:00Z")
)
# With the default of a hundred leaves it takes ten times as long to draw, and is hardly deeper.
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner), max_leaves=12
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, inner in steps for below in _paths(inner, (*path, key)))]


@given(st.data())
def test_no_object_of_any_shape_raises(data: st.DataObject) -> None:
    """Any value anywhere in a broken cluster is replaced by anything."""
    cluster = K3s()
    data.draw(st.sampled_from(FAULTS))(cluster)
    for plural in data.draw(
        st.lists(st.sampled_from(sorted(filter(cluster.lists.get, cluster.lists))), min_size=1, max_size=4)
    ):
        items = cluster.lists[plural]
        index = data.draw(st.integers(0, len(items) - 1))
        path = data.draw(st.sampled_from(_paths(items[index])))
        if not path:
            items[index] = data.draw(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), anything))
            continue
        place: Any = items[index]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = data.draw(anything)
    report = look(cluster)
    said = "\n".join(line for _, line in lines(report, verbose=True))
    assert said.replace("\n", "").isprintable()
    assert json.loads(as_json(report, report.exit_code))["version"] == 1
    assert report == look(cluster)


# Any shape below the keys that objects have; of any text hardly one would be looked for. Lists are slow to draw.
KEYS = st.sampled_from(
    sorted({key for items in K3s().lists.values() for path in _paths(items) for key in path if isinstance(key, str)})
)
below = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=9), max_leaves=12
)
few = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("metadata", "spec", "status"), st.dictionaries(KEYS, below))),
    max_size=3,
)


@examples(0.5)
@given(st.dictionaries(st.sampled_from([kind.name for kind in KINDS]), few, max_size=5))
def test_no_list_of_any_kind_raises(lists: dict[str, list[dict[str, Any]]]) -> None:
    assert run_checks(Snapshot.from_lists(lists, now=NOW)).runs


@examples(0.5)
@given(st.data())
def test_no_word_of_a_kubelet_raises(data: st.DataObject) -> None:
    cluster = K3s()
    disk_full(cluster)
    told = cluster.summaries["a1"]
    *path, last = data.draw(st.sampled_from([each for each in _paths(told) if each]))
    place: Any = told
    for key in path:
        place = place[key]
    place[last] = data.draw(anything)
    assert look(cluster).runs


def test_the_readmes_tell_what_there_is() -> None:
    room = Path(checks.__file__).parents[1]
    assert (room / "README.md").read_text().endswith(f"\n{as_markdown()}"), f"write into it:\n{as_markdown()}"
    readme = (room.parents[2] / "README.md").read_text()
    assert {row.code.rstrip("0123456789") for row in TABLE} <= set(re.findall(r"`([A-Z0-9]+)`", readme))
