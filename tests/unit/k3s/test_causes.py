"""What the journal says when K3s does not start."""

from __future__ import annotations

import pytest

from homelab.k3s import causes

# Lines as K3s's own issues quote them (the numbers are theirs), with the noise around them.
NOISE = [
    'time="2026-11-22T10:00:00Z" level=info msg="Starting k3s v1.35.6+k3s1 (4bc2e2c5)"',
    "I1122 10:00:01.000000     812 server.go:101] no space left on device is what this line is not about",
    "W1122 10:00:01.000000     812 dispatcher.go:225] Failed calling webhook, connection refused",
]
AFTER = ['time="2026-11-22T10:00:09Z" level=info msg="Shutdown request received"']


@pytest.mark.parametrize(
    ("line", "said", "meaning"),
    [
        (
            # k3s-io/k3s#3888
            'time="2026-11-22T10:00:02Z" level=fatal msg="starting kubernetes: preparing server: bootstrap data '
            'already found and encrypted with different token"',
            "starting kubernetes: preparing server: bootstrap data already found and encrypted with different token",
            "this node's token is not the cluster's",
        ),
        (
            # As K3s v1.35.2 says it (NVIDIA/OpenShell#360)
            'time="2026-11-22T10:00:02Z" level=error msg="kubelet exited: kubelet is configured to not run on a host '
            'using cgroup v1"',
            "kubelet exited: kubelet is configured to not run on a host using cgroup v1",
            "this Kubernetes wants cgroup v2",
        ),
        (
            # k3s-io/k3s#12745
            'time="2026-11-22T10:00:02Z" level=fatal msg="starting kubernetes: preparing server: failed to validate '
            'server configuration: critical configuration value mismatch between servers"',
            "starting kubernetes: preparing server: failed to validate server configuration: critical configuration "
            "value mismatch between servers",
            "a setting that all servers share differs here",
        ),
        (
            # k3s-io/k3s#802
            'time="2026-11-22T10:00:02Z" level=error msg="Node password rejected, duplicate hostname or contents of '
            "'/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with "
            'the --with-node-id flag"',
            "Node password rejected, duplicate hostname",
            "the cluster still knows an older node of this name",
        ),
        (
            # k3s-io/k3s#7559
            'time="2026-11-22T10:00:02Z" level=fatal msg="starting kubernetes: preparing server: failed to normalize '
            'server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>"',
            "starting kubernetes",
            "",
        ),
        (
            'time="2026-11-22T10:00:02Z" level=fatal msg="starting kubernetes: preparing server: token CA hash does '
            'not match the Cluster CA certificate hash: aa != bb"',
            "starting kubernetes: preparing server: token CA hash does not match",
            "this node was to join another cluster",
        ),
        (
            'time="2026-11-22T10:00:02Z" level=error msg="failed to write \\"/var/lib/x\\": no space left on device"',
            'failed to write "/var/lib/x": no space left on device',
            "the disk is full",
        ),
        (
            "F1122 10:00:02.000000     812 server.go:101] listen tcp :10250: bind: address already in use",
            "F1122 10:00:02.000000     812 server.go:101] listen tcp :10250",
            "a port that K3s needs is taken",
        ),
        (
            "this server belonged to a cluster and its data in /var/lib/rancher/k3s is gone: not starting, that would",
            "this server belonged to a cluster",
            "the data disk is missing",
        ),
        ('time="2026-11-22T10:00:02Z" level=fatal msg="something entirely new"', "something entirely new", ""),
    ],
)
def test_the_last_fatal_line_is_told_with_its_known_cause(line: str, said: str, meaning: str) -> None:
    journal = [*NOISE, line, *AFTER]
    assert causes.last_words(journal).startswith(said)
    assert causes.cause(journal).startswith(meaning)


def test_the_newest_cause_is_the_one_told() -> None:
    journal = [
        'level=error msg="dial tcp 192.168.1.11:6443: connect: connection refused"',
        'level=fatal msg="no space left on device"',
    ]
    assert causes.cause(journal).startswith("the disk is full")
    assert causes.cause(list(reversed(journal))).startswith("a server cannot be reached")


@pytest.mark.parametrize("journal", [[], [""], NOISE, ["-- No entries --"]])
def test_a_journal_without_a_failure_is_not_made_to_have_one(journal: list[str]) -> None:
    assert causes.last_words(journal) == ""
    assert causes.cause(journal) == ""


def test_an_endless_line_is_shortened() -> None:
    assert len(causes.last_words(['level=fatal msg="' + "x" * 5000 + '"'])) == 300


def test_every_known_cause_says_what_to_do() -> None:
    for _, meaning in causes.KNOWN:
        cause, _, remedy = meaning.partition("; ")
        assert cause and remedy, meaning
