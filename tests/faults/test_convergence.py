"""Runs that are cut, servers that come back empty, settings that change: the cluster stays one, and comes out whole."""

from __future__ import annotations

import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
import urllib3
from kubernetes import config

from tests.faults.conftest import NODES, SERVERS, authority, members
from tests.sandbox.lab import KUBECONFIG, LOGS, Lab

# As many operations as a fresh HA install starts, so that a run may be cut anywhere in it.
OPERATION = re.compile(rb"--> Starting operation")
LAST = 75


def cut(lab: Lab, after: int, log: Path) -> int:
    """Start a fresh install, kill -9 it when it has begun so many operations; gives how many it had begun."""
    process = lab.start_deploy(log)
    end = time.monotonic() + 1800
    while process.poll() is None and len(OPERATION.findall(log.read_bytes())) < after:
        assert time.monotonic() < end, f"neither {after} operations nor an end; see {log}"
        time.sleep(0.02)
    process.kill()
    process.wait()
    return len(OPERATION.findall(log.read_bytes()))


@pytest.mark.parametrize("number", [0, 1, *(pytest.param(number, marks=pytest.mark.long) for number in range(2, 10))])
def test_killed_install_converges(lab, number):
    """Ten moments of a fresh install, drawn anew each time; the first two in `make test`."""
    moment = random.SystemRandom().randint(number * LAST // 10, (number + 1) * LAST // 10)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lab.wipe, NODES))
    begun = cut(lab, moment, LOGS / f"killed-{number}.log")
    print(f"killed in operation {begun}")  # noqa: T201
    done = lab.deploy("k3s")
    assert done.code == 0, done.reasons
    assert members(lab) == dict.fromkeys(NODES, True)
    assert len({authority(lab, host) for host in SERVERS}) == 1
    again = lab.deploy("k3s")
    assert (again.code, again.changes) == (0, {})


def test_wiped_first_server_rejoins_the_same_cluster(whole):
    before = authority(whole, "s2")
    whole.wipe("s1")
    done = whole.deploy("k3s")
    assert done.code == 0, done.reasons
    assert {authority(whole, host) for host in SERVERS} == {before}
    assert members(whole) == dict.fromkeys(NODES, True)
    assert etcd_members(whole) == 3


def test_wiped_agent_rejoins(whole):
    whole.wipe("a1")
    done = whole.deploy("k3s")
    assert done.code == 0, done.reasons
    assert members(whole) == dict.fromkeys(NODES, True)


def test_server_whose_data_is_gone_does_not_begin_a_second_cluster(whole):
    whole.ssh("s1", "systemctl stop k3s; mv /var/lib/rancher/k3s/server /var/lib/rancher/k3s/server.kept")
    try:
        whole.ssh(
            "s1",
            "systemctl start --no-block k3s; timeout 120 sh -c '"
            'until journalctl -u k3s -n 20 -o cat | grep -q "begin a second"; do sleep 0.5; done\'',
        )
        assert whole.ssh("s1", "ls /var/lib/rancher/k3s").split() == ["agent", "data", "server.kept"]
        done = whole.deploy("k3s")
        assert done.code == 1
        assert done.reasons == [
            "refused: s1: it belonged to the cluster and its data in /var/lib/rancher/k3s is gone; mount that disk; "
            "or, if it is lost, run /usr/local/bin/k3s-uninstall.sh there and deploy again to rejoin"
        ]
    finally:
        whole.ssh(
            "s1",
            "systemctl stop k3s; rm -rf /var/lib/rancher/k3s/server;"
            " mv /var/lib/rancher/k3s/server.kept /var/lib/rancher/k3s/server; systemctl reset-failed k3s",
        )


def test_all_servers_down_come_back_together(whole):
    """One of three alone would wait for quorum for ever."""
    for host in SERVERS:
        whole.ssh(host, "systemctl stop k3s")
    done = whole.deploy("k3s")
    assert done.code == 0, done.reasons
    assert members(whole) == dict.fromkeys(NODES, True)


def test_changed_setting_restarts_servers_one_after_another(whole):
    """And the API answers all the while: each poll asks all servers, and fails only if none answers within 10 s.

    A K3s that does not hand over its etcd leadership before it stops (1.21 does not) costs an election: what is read
    just then is answered with a 500, which a client asks again. The longest time without an answer is printed.
    """
    inventory = whole.inventory("setting", append={"group_data/sandbox.py": SETTING})
    agent, servers = whole.starts(["a1"]), whole.starts(list(SERVERS))
    polls = Polls()
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(polls.run)
        try:
            done = whole.deploy("k3s", inventory=inventory)
        finally:
            polls.stop.set()
        polling.result()
    assert done.code == 0, done.reasons
    started = [name for name in done.changes if name.startswith("Start K3s on")]
    assert [name.split(":")[0] for name in started] == [f"Start K3s on {host}" for host in SERVERS]
    assert "config.yaml changed" in started[0]
    assert not servers.items() & whole.starts(list(SERVERS)).items()
    assert whole.starts(["a1"]) == agent
    assert polls.asked > 10
    assert polls.failed == []
    print(f"{polls.asked} polls, longest gap between two answers {polls.longest:.1f} s")  # noqa: T201
    assert whole.deploy("k3s", inventory=inventory).changes == {}


SETTING = """
server_config = {**globals().get("server_config", {}), "kube-controller-manager-arg": ["node-monitor-grace-period=45s"]}
"""


class Polls:
    """The API asked twice a second, each time on all servers; it has failed when none of them answers."""

    def __init__(self) -> None:
        self.stop = Event()
        self.asked, self.longest, self.failed = 0, 0.0, list[str]()

    def run(self) -> None:
        loaded = config.new_client_from_config(str(KUBECONFIG), context="homelab-sandbox").configuration
        pool = urllib3.PoolManager(
            ca_certs=loaded.ssl_ca_cert, cert_file=loaded.cert_file, key_file=loaded.key_file, retries=False
        )
        answered = time.monotonic()
        with ThreadPoolExecutor(len(SERVERS)) as threads:
            while not self.stop.is_set():
                asked = time.monotonic()
                addresses = [f"https://10.17.77.1{each[1]}:6443/api/v1/nodes?limit=1" for each in SERVERS]
                self.asked += 1
                answers = list(threads.map(lambda url: self.answer(pool, url), addresses))
                if "200" in answers:
                    self.longest = max(self.longest, time.monotonic() - answered)
                    answered = time.monotonic()
                else:
                    self.failed.append(f"{datetime.now(UTC):%H:%M:%S}: {'; '.join(answers)}")
                self.stop.wait(max(0.0, 0.5 - (time.monotonic() - asked)))

    @staticmethod
    def answer(pool: urllib3.PoolManager, url: str) -> str:
        """200, or why one server did not answer so in its 10 s, with the seconds that each try took."""
        end, tries = time.monotonic() + 10, []
        while (left := end - (asked := time.monotonic())) > 0:
            try:
                said = str(pool.request("GET", url, timeout=left).status)
            except urllib3.exceptions.HTTPError as error:
                said = type(error).__name__
            if said == "200":
                return said
            tries.append(f"{said} in {time.monotonic() - asked:.1f} s")
            time.sleep(0.1)
        return ", ".join(tries[:5])


def etcd_members(lab: Lab) -> int:
    """How many nodes K3s marks as etcd members; etcd's own list would need a client with its certificates."""
    listed = json.loads(lab.ssh("s2", "k3s kubectl get nodes -l node-role.kubernetes.io/etcd=true -o json"))
    return len(listed["items"])
