"""`homelab patch` on the real cluster: every node upgraded and rebooted without an outage, and each way to be stopped.

A tool in two versions, in an archive of the host's own, is what there is to upgrade; its second version asks for a
reboot as a kernel's package does. The host's other archives are put aside meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from kubernetes import client, config

from homelab.patch.order import MARK
from tests.cluster.conftest import health_of, until
from tests.cluster.test_health import pod, workload
from tests.faults.conftest import NODES, members, power
from tests.faults.test_convergence import Polls
from tests.sandbox.lab import BIN, KUBECONFIG, LOGS, ROOT, Lab, environment

TOOL = "homelab-test-tool"
# `build 1` and so on: the tool's package, and the archive that lists it.
ARCHIVE = r"""
set -eu
archive=/var/lib/homelab-test-archive
build() {
  made=$(mktemp -d); mkdir -p "$made/DEBIAN" "$made/usr/share/homelab-test" "$made/etc"
  echo "$1" >"$made/usr/share/homelab-test/version"
  echo "default of $1" >"$made/etc/homelab-test.conf"
  echo /etc/homelab-test.conf >"$made/DEBIAN/conffiles"
  { echo "Package: homelab-test-tool"; echo "Version: $1"; echo "Architecture: all"
    echo "Maintainer: test <test@localhost>"; echo "Description: test"; } >"$made/DEBIAN/control"
  cat >"$made/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
[ ! -e /etc/homelab-test-breaks ] || { echo "homelab-test-tool: told to fail" >&2; exit 1; }
if [ -n "$2" ]; then echo homelab-test-tool >>/run/reboot-required.pkgs; touch /run/reboot-required; fi
POSTINST
  chmod 0755 "$made" "$made/DEBIAN/postinst"
  mkdir -p "$archive"; rm -f "$archive"/*.deb
  dpkg-deb -b "$made" "$archive/homelab-test-tool.deb" >/dev/null
  { cat "$made/DEBIAN/control"
    echo "Filename: ./homelab-test-tool.deb"
    echo "Size: $(stat -c %s "$archive/homelab-test-tool.deb")"
    echo "SHA256: $(sha256sum <"$archive/homelab-test-tool.deb" | cut -d' ' -f1)"; } >"$archive/Packages"
  rm -rf "$made"
}
aside=/etc/apt/homelab-test-aside
if [ ! -d $aside ]; then
  mkdir $aside; mv /etc/apt/sources.list /etc/apt/sources.list.d $aside/ 2>/dev/null || true
  mkdir /etc/apt/sources.list.d
fi
echo "deb [trusted=yes] file:$archive ./" >/etc/apt/sources.list.d/homelab-test.list
"""
INSTALL = """
rm -f /etc/homelab-test-breaks
build 1; apt-get -q update >/dev/null; apt-get -q -y --allow-downgrades install homelab-test-tool >/dev/null
echo mine >/etc/homelab-test.conf; rm -f /run/reboot-required /run/reboot-required.pkgs
"""
RESTORE = """
rm -f /etc/homelab-test-breaks; dpkg --configure -a >/dev/null 2>&1; dpkg -P homelab-test-tool >/dev/null 2>&1
if [ -d /etc/apt/homelab-test-aside ]; then
  rm -rf /etc/apt/sources.list.d; mv /etc/apt/homelab-test-aside/* /etc/apt/; rmdir /etc/apt/homelab-test-aside
fi
rm -rf /var/lib/homelab-test-archive /run/reboot-required /run/reboot-required.pkgs
apt-get -q update >/dev/null 2>&1; true
"""


@dataclass
class Site:
    """The sandbox with a tool to upgrade."""

    lab: Lab
    core: client.CoreV1Api

    def offer(self, *hosts: str) -> None:
        """The second version, on these hosts."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: self.lab.ssh(host, f"{ARCHIVE}\nbuild 2"), hosts))

    def version(self, host: str) -> str:
        return self.lab.ssh(host, f"dpkg-query -W -f '${{Version}} ${{db:Status-Abbrev}}' {TOOL}").strip()

    def boots(self) -> dict[str, str]:
        """When each host's first process started; containers share a boot id."""
        return {host: self.lab.ssh(host, "cut -d' ' -f22 /proc/1/stat").strip() for host in NODES}

    def closed(self) -> list[str]:
        """The nodes that take no pods or carry our mark."""
        return [
            node.metadata.name
            for node in self.core.list_node().items
            if node.spec.unschedulable or MARK in (node.metadata.annotations or {})
        ]

    def begin(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / "homelab"), "patch", "--format", "json", *options],
            cwd=ROOT,
            env=environment(self.lab.size, self.lab.version),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def patch(self, *options: str, at: str = "", act: Any = None) -> Patched:
        """Run it to its end; `act` once its progress has a line that ends with `at`. All it said is in a log."""
        process = self.begin(*options)
        assert process.stdout is not None and process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line.rstrip())
            if act is not None and at in line:
                act()
                act = None
        output = process.stdout.read()
        with (LOGS / "patch.log").open("a", encoding="utf-8") as log:
            log.write("\n".join(["", " ".join(["homelab patch", *options]), *said, output]))
        return Patched(process.wait(), said, json.loads(output) if output else {})


@dataclass
class Patched:
    code: int
    said: list[str]
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, str]:
        return {each["name"]: each["outcome"] for each in self.data["hosts"]}


@pytest.fixture(scope="module")
def core(lab: Lab) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(KUBECONFIG), context="homelab-sandbox"))


def anew(core: client.CoreV1Api) -> None:
    """Pods that earlier faults made restart are replaced: health tells of a restart for an hour."""
    for each in core.list_namespaced_pod("kube-system").items:
        if any(container.restart_count for container in each.status.container_statuses or ()):
            core.delete_namespaced_pod(each.metadata.name, each.metadata.namespace)


def well(lab: Lab) -> None:
    """Wait until health has nothing to tell."""
    last: list[subprocess.CompletedProcess[str]] = []

    def healthy() -> bool:
        last[:] = [health_of(lab, KUBECONFIG)]
        return last[0].returncode == 0

    until("the cluster is well", healthy, 900, lambda: last[0].stdout + last[0].stderr)


def answers(lab: Lab, host: str) -> None:
    """Wait until a host that was off can be logged in to again, and the cluster is well."""
    # The first try may still go through a connection to the machine as it was before.
    until(f"{host} answers", lambda: lab.ssh(host, "echo yes", check=False) == "yes\n", 600)
    well(lab)


@pytest.fixture
def site(whole: Lab, core: client.CoreV1Api) -> Iterator[Site]:
    """The cluster without a finding, and on each node the first version of the tool."""
    anew(core)
    well(whole)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: whole.ssh(host, f"{ARCHIVE}\n{INSTALL}", timeout=600), NODES))
    yield Site(whole, core)
    for host in NODES:
        if host not in [name for name, ready in members(whole).items() if ready]:
            continue
        whole.ssh(host, RESTORE, timeout=600)
    for node in core.list_node().items:
        core.patch_node(
            node.metadata.name, {"spec": {"unschedulable": None}, "metadata": {"annotations": {MARK: None}}}
        )


@pytest.fixture
def space(core: client.CoreV1Api) -> Iterator[str]:
    """A namespace with a workload of two pods on two nodes behind a Service."""
    name = core.create_namespace({"metadata": {"generateName": "patch-"}}).metadata.name
    apps = client.AppsV1Api(core.api_client)
    term = {"labelSelector": {"matchLabels": {"app": "broken"}}, "topologyKey": "kubernetes.io/hostname"}
    apart = {
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}
    }
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    made = workload("Deployment", pod(readinessProbe=probe, affinity=apart))
    made["spec"]["replicas"] = 2
    apps.create_namespaced_deployment(name, made)
    core.create_namespaced_service(
        name, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "broken"}, "ports": [{"port": 80}]}}
    )

    def ready() -> bool:
        return apps.read_namespaced_deployment("broken", name).status.ready_replicas == 2

    until("both pods are ready", ready, 600)
    yield name
    core.delete_namespace(name)


class Endpoints:
    """The ready endpoints of a Service, counted twice a second by what any server tells."""

    def __init__(self, space: str) -> None:
        self.space, self.stop = space, Event()
        self.counts: list[int] = []
        loaded = config.new_client_from_config(str(KUBECONFIG), context="homelab-sandbox").configuration
        self.cores = []
        for number in (1, 2, 3):
            one = client.Configuration()
            one.host = f"https://10.17.77.1{number}:6443"
            one.ssl_ca_cert, one.cert_file, one.key_file = loaded.ssl_ca_cert, loaded.cert_file, loaded.key_file
            one.retries = False
            self.cores.append(client.CoreV1Api(client.ApiClient(one)))

    def run(self) -> None:
        while not self.stop.is_set():
            for core in self.cores:
                try:
                    found = core.read_namespaced_endpoints("web", self.space, _request_timeout=3)
                except Exception:  # noqa: BLE001 - in whichever way a server is down
                    continue
                self.counts.append(sum(len(each.addresses or ()) for each in found.subsets or ()))
                break
            self.stop.wait(0.5)


@pytest.mark.long
def test_all_nodes_are_patched_without_an_outage(site: Site, space: str) -> None:
    site.offer(*NODES)
    before = site.boots()
    planned = site.patch("--dry-run")
    assert planned.code == 0 and [each["name"] for each in planned.data["hosts"]] == list(NODES)
    assert planned.data["hosts"][0]["packages"] == [{"name": TOOL, "from": "1", "to": "2"}]
    assert {site.version(host) for host in NODES} == {"1 ii"} and site.closed() == []
    polls, endpoints = Polls(), Endpoints(space)
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(polls.run), pool.submit(endpoints.run)]
        try:
            done = site.patch()
        finally:
            polls.stop.set()
            endpoints.stop.set()
        for each in running:
            each.result()
    assert done.code == 0, done.said[-20:]
    assert done.outcomes == dict.fromkeys(NODES, "patched")
    assert all(each["rebooted"] and each["reboot_because"] == [TOOL] for each in done.data["hosts"])
    after = site.boots()
    assert not [host for host in NODES if after[host] == before[host]]
    assert {site.version(host) for host in NODES} == {"2 ii"}
    assert {site.lab.ssh(host, "cat /etc/homelab-test.conf").strip() for host in NODES} == {"mine"}
    assert members(site.lab) == dict.fromkeys(NODES, True) and site.closed() == []
    assert polls.asked > 10 and polls.failed == []
    assert len(endpoints.counts) > 10 and min(endpoints.counts) >= 1
    print(f"{polls.asked} polls, longest gap {polls.longest:.1f} s; fewest endpoints {min(endpoints.counts)}")  # noqa: T201
    again = site.patch()
    assert (again.code, set(again.outcomes.values()), site.boots()) == (0, {"up to date"}, after)


def test_a_budget_that_blocks_stops_there_and_then_it_goes_on(site: Site, space: str) -> None:
    policies = client.PolicyV1Api(site.core.api_client)
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "broken"}}}
    policies.create_namespaced_pod_disruption_budget(space, {"metadata": {"name": "both"}, "spec": budget})
    host = site.core.list_namespaced_pod(space).items[0].spec.node_name
    site.offer(host)
    before = site.boots()
    stopped = site.patch("--within", "60s")
    (line,) = stopped.data["stopped"]
    assert stopped.code == 1 and line.startswith(f"{host}: not drained within 1 min: {space}/broken-")
    assert "disruption budget" in line
    assert (site.version(host), site.boots(), site.closed()) == ("1 ii", before, [])
    policies.delete_namespaced_pod_disruption_budget("both", space)
    done = site.patch()
    assert (done.code, done.outcomes[host], site.version(host)) == (0, "patched", "2 ii")


@pytest.mark.long
def test_a_node_that_does_not_come_back_stops_there_and_then_it_goes_on(site: Site) -> None:
    site.offer("s2", "s3")
    stopped = site.patch("--within", "3m", at="s2: reboots", act=lambda: power("power-cut", "s2"))
    try:
        (line,) = stopped.data["stopped"]
        assert stopped.code == 1 and line.startswith("s2: has not come back within 3 min: it does not answer")
        assert stopped.outcomes["s3"] == "untouched" and site.version("s3") == "1 ii"
        assert site.closed() == ["s2"]
    finally:
        power("power-on", "s2")
    answers(site.lab, "s2")
    done = site.patch()
    assert done.code == 0, done.said[-20:]
    assert {host: done.outcomes[host] for host in ("s2", "s3")} == {"s2": "finished", "s3": "patched"}
    assert site.closed() == [] and site.version("s2") == site.version("s3") == "2 ii"


@pytest.mark.long
def test_a_host_that_is_down_stops_it_before_anything_is_touched(site: Site) -> None:
    site.offer(*NODES)
    power("power-cut", "a1")
    try:
        stopped = site.patch()
        (line,) = stopped.data["stopped"]
        assert stopped.code == 1 and line.startswith("a1: cannot be reached: ")
        assert {site.version(host) for host in ("s1", "s2", "s3")} == {"1 ii"} and site.closed() == []
    finally:
        power("power-on", "a1")
    answers(site.lab, "a1")


@pytest.mark.long
def test_apt_broken_on_one_host_stops_there_and_then_it_goes_on(site: Site) -> None:
    site.offer("s2", "s3")
    site.lab.ssh("s2", "touch /etc/homelab-test-breaks")
    stopped = site.patch()
    (line,) = stopped.data["stopped"]
    assert stopped.code == 1 and line.startswith("s2: its packages are not upgraded: ") and TOOL in line
    assert stopped.outcomes["s3"] == "untouched" and site.closed() == []
    # It is half configured now, which is seen before anything is begun.
    again = site.patch()
    assert again.code == 1 and again.data["stopped"][0].startswith("s2: ") and "mend apt" in again.data["stopped"][0]
    assert not [line for line in again.said if "cordoned" in line]
    site.lab.ssh("s2", "rm /etc/homelab-test-breaks; dpkg --configure -a")
    done = site.patch()
    assert done.code == 0 and done.outcomes["s2"] == done.outcomes["s3"] == "patched"


def test_a_playbook_of_ones_own_runs_over_the_same_hosts(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "own.yml"
    path.write_text(
        "- name: Own\n  hosts: k3s_servers\n  become: true\n  gather_facts: false\n  tasks:\n"
        "    - {name: Who, ansible.builtin.raw: id -u, changed_when: false}\n"
    )
    done = subprocess.run(
        [str(BIN / "homelab"), "play", str(path), "--format", "json"],
        cwd=ROOT,
        env={**environment(lab.size, lab.version), "HOME": os.environ["HOME"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {name: (each["ok"], each["well"]) for name, each in told["hosts"].items()} == {
        host: (1, True) for host in ("s1", "s2", "s3")
    }
