"""`homelab health --deep` on a real cluster: nothing where all is well, one root for what only trying it out tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from homelab.health import manifests
from tests.cluster.conftest import health_of, until
from tests.cluster.test_health import DEADLINE, fresh, roots, shown
from tests.cluster.test_pods import IMAGE
from tests.sandbox.lab import BIN, ROOT, Lab, environment

__all__ = ["fresh"]

# A busy host starts pods slowly, and what takes longer is told as not checked.
SECONDS = 300
# K3s' own tools, should the host have none.
_IPTABLES = "PATH=$PATH:/var/lib/rancher/k3s/data/current/bin/aux iptables -w"


def deep(lab: Lab, home, *arguments: str, late: bool = False) -> tuple[int, dict[str, Any]]:
    """The command as a person runs it, with its exit code and its report as data; its namespace may be `late` to go."""
    arguments = ("--deep", "--deep-image", IMAGE, "--deep-timeout", str(SECONDS), "--format", "json", *arguments)
    if "DEEP006" not in arguments:
        # How fast a host's disk is that others use too is no matter of the cluster.
        arguments = (*arguments, "--skip", "DEEP006")
    done = health_of(lab, home.cluster.kubeconfig, *arguments, timeout=SECONDS + 240)
    lines = [line for line in done.stderr.splitlines() if not (late and "was deleted and is not gone yet" in line)]
    assert done.stdout and not lines, f"exit {done.returncode}: {done.stderr}"
    return done.returncode, json.loads(done.stdout)


def told(report: dict[str, Any]) -> str:
    """All that a failed test has to show."""
    return "\n".join([shown(report), *map(str, report["unread"]), *report["notes"]])


def spaces(core: client.CoreV1Api) -> set[str]:
    """The namespaces of all runs that are there."""
    return {each.metadata.name for each in core.list_namespace(label_selector=manifests.RUN).items}


def nothing_left(core: client.CoreV1Api) -> None:
    """No namespace of a run is there any more, nor a volume of one, which goes a little later."""
    assert spaces(core) == set()

    def volumes() -> list[str]:
        claims = [each.spec.claim_ref for each in core.list_persistent_volume().items if each.spec.claim_ref]
        return [each.namespace for each in claims if each.namespace.startswith("homelab-health-")]

    until("the volumes of the probes are gone", lambda: not volumes(), 300, lambda: str(volumes()))


@pytest.fixture(scope="module")
def core(api: client.ApiClient, fresh) -> client.CoreV1Api:
    """The API of a cluster that has nothing to tell."""
    return client.CoreV1Api(api)


@contextmanager
def dropped(lab: Lab, host: str, *rules: str) -> Iterator[None]:
    """Packets that one of these rules fits are dropped on a host, before any rule of Kubernetes."""
    try:
        for rule in rules:
            lab.ssh(host, f"{_IPTABLES} -t mangle -I FORWARD {rule} -j DROP")
        yield
    finally:
        for rule in rules:
            lab.ssh(host, f"{_IPTABLES} -t mangle -D FORWARD {rule} -j DROP", check=False)


def test_where_all_is_well_there_is_nothing_to_tell_and_nothing_left(core, lab: Lab, home) -> None:
    code, report = deep(lab, home)
    assert (report["findings"], code) == ([], 0), told(report)
    status = {each["code"]: each["status"] for each in report["checks"] if each["code"].startswith("DEEP")}
    assert status == {
        "DEEP001": "ok",
        "DEEP002": "ok",
        "DEEP003": "ok",
        "DEEP004": "ok",
        "DEEP005": "skipped",  # no StorageClass here is known for it
    }
    nothing_left(core)


def test_what_the_api_server_writes_meanwhile_is_counted(core, lab: Lab, home) -> None:
    """Without a pod, and in no namespace. Whether a busy host's disk is fast is another matter."""
    code, report = deep(lab, home, "--only", "DEEP006")
    (run,) = report["checks"]
    assert run["status"] in ("ok", "findings") and code in (0, 1, 2), told(report)
    assert spaces(core) == set()


def test_a_pod_of_dns_that_does_not_answer_is_the_one_root(core, lab: Lab, home) -> None:
    """It stays Ready: what is asked by its own kubelet is another port."""
    pod = core.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items[0]
    ports = [f"-d {pod.status.pod_ip} -p {protocol} --dport 53" for protocol in ("udp", "tcp")]
    with dropped(lab, pod.spec.node_name, *ports):
        code, report = deep(lab, home)
        (root,) = roots(report)
        assert (root["code"], root["object"]["name"], code) == ("DEEP001", pod.metadata.name, 2), told(report)
    nothing_left(core)
    code, report = deep(lab, home, "--only", "DEEP001")
    assert (report["findings"], code) == ([], 0), told(report)


@pytest.mark.skipif(os.environ.get("SANDBOX") != "ha", reason="takes more than two nodes: SANDBOX=ha")
def test_a_node_whose_pods_are_cut_off_is_the_one_root(core, lab: Lab, home) -> None:
    """Its tunnel drops all; the node itself stays Ready, as it talks to the servers beside it."""
    name = str(home.agents[0].name)
    with dropped(lab, name, "-i flannel.1", "-o flannel.1"):
        # While the API's extensions do not answer, as metrics-server on that node, no namespace comes to its end.
        code, report = deep(lab, home, late=True)
        (root,) = roots(report)
        assert (root["code"], root["object"]["name"], code) == ("DEEP002", name, 2), told(report)
    until("the namespace is gone", lambda: not spaces(core), 300, lambda: str(spaces(core)))
    nothing_left(core)
    code, report = deep(lab, home, "--only", "DEEP002,DEEP003")
    assert (report["findings"], code) == ([], 0), told(report)


def test_what_a_dead_run_left_is_removed_and_a_living_one_is_let_alone(core, lab: Lab, home) -> None:
    now = datetime.now(UTC)
    for run, until_then in (("dead0000", now - timedelta(minutes=5)), ("a11e0000", now + timedelta(hours=1))):
        core.create_namespace(manifests.namespace(run, until_then))
    try:
        _, report = deep(lab, home, "--only", "DEEP002")
        until("the dead run's namespace is gone", lambda: manifests.name("dead0000") not in spaces(core), 300)
        assert manifests.name("a11e0000") in spaces(core)
        assert any(manifests.name("dead0000") in note for note in report["notes"]), told(report)
    finally:
        core.delete_namespace(manifests.name("a11e0000"))
    until("all is as it was", lambda: not spaces(core), 300)


def test_one_that_is_interrupted_leaves_nothing(core, lab: Lab, home) -> None:
    command = [str(BIN / "homelab"), "health", "--kubeconfig", str(home.cluster.kubeconfig), "--deep"]
    running = subprocess.Popen(
        # Tests that run in the background ignore it, and so would what they start.
        ["env", "--default-signal=INT", *command, "--deep-image", IMAGE],
        cwd=ROOT,
        env=environment(lab.size, lab.version),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until("its namespace is there", lambda: spaces(core), 120)
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=120)
    finally:
        running.kill()
    assert (running.returncode, out) == (3, "") and "interrupted" in said, said
    nothing_left(core)


def test_an_image_that_cannot_be_had_is_said_and_no_finding(core, lab: Lab, home) -> None:
    code, report = deep(lab, home, "--deep-image", "registry.invalid/nobody/nothing:1", "--only", "DEEP")
    assert (report["findings"], code) == ([], 3), told(report)
    why = {each["reason"] for each in report["checks"] if each["status"] == "failed"}
    assert why and all("registry.invalid/nobody/nothing:1 cannot be had" in each for each in why), told(report)
    nothing_left(core)


def test_the_cluster_is_well_afterwards(core, lab: Lab, home) -> None:
    last: list[Any] = []

    def well() -> bool:
        done = health_of(lab, home.cluster.kubeconfig, "--format", "json")
        last[:] = [json.loads(done.stdout)]
        return done.returncode == 0

    until("there is nothing to tell", well, DEADLINE, lambda: shown(last[0]))
