"""Pods run on every node, and a Service reaches each of them from each node."""

from __future__ import annotations

import shlex

import pytest
from kubernetes import client

from tests.cluster.conftest import until

# In upstream's image archives as well as in the ones of an airgapped sandbox.
IMAGE = "docker.io/library/busybox:1.35"


@pytest.fixture(scope="module")
def web(api, namespace, home):
    """A web server pod on every node that tells its node's name, behind one Service."""
    pods = {
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [
                        {
                            "name": "web",
                            "image": IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["sh", "-c", 'mkdir /www && echo "$NODE" >/www/index.html && httpd -f -h /www'],
                            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                        }
                    ],
                },
            },
        },
    }
    client.AppsV1Api(api).create_namespaced_daemon_set(namespace, pods)
    core = client.CoreV1Api(api)
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    made = core.create_namespaced_service(namespace, service)
    expected = {each.name for each in home.servers + home.agents if not each.away}

    def running():
        listed = core.list_namespaced_pod(namespace, label_selector="app=web").items
        ready = {
            each.spec.node_name: each.status.pod_ip
            for each in listed
            if each.status.conditions
            and any(one.type == "Ready" and one.status == "True" for one in each.status.conditions)
        }
        return ready if set(ready) == expected else None

    return made.spec.cluster_ip, until("a ready pod on every node", running)


def test_every_node_runs_a_pod(web, home):
    _, pods = web
    assert sorted(pods) == sorted(each.name for each in home.servers + home.agents if not each.away)


def test_every_node_reaches_every_pod(web, lab):
    _, pods = web
    for asking in pods:
        for node, address in pods.items():
            assert fetch(lab, asking, address) == node, f"{asking} asks the pod on {node}"


def test_the_service_answers_on_every_node(web, lab):
    address, pods = web
    for asking in pods:
        assert fetch(lab, asking, address) in pods


def fetch(lab, host: str, address: str) -> str:
    """The last line of a web page as a host gets it; with bash alone, since the host needs no tool for it."""
    ask = f"exec 3<>/dev/tcp/{address}/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    return lab.ssh(host, f"timeout 20 bash -c {shlex.quote(ask)}").splitlines()[-1]
