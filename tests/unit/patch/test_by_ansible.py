"""What a run of `patch.yml` means for a host, from events as ansible-runner was seen to tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homelab.ansible.events import Event
from homelab.ansible.runner import AnsibleError, Outcome
from homelab.patch.by_ansible import AnsibleHosts
from homelab.patch.hosts import Seen
from homelab.patch.rolling import HostError


class Stand:
    """In Ansible's place: one outcome for all that is asked."""

    def __init__(self, *events: Event, said: str = "", error: str = "") -> None:
        self.outcome, self.error = Outcome(2 if said else 0, said, events), error
        self.asked: list[tuple[Mapping[str, object], tuple[str, ...], int]] = []

    def only(self, names: Sequence[str]) -> Stand:
        self.names = tuple(names)
        return self

    def run(self, playbook: Path, *, variables: Mapping[str, object], within: int) -> Outcome:
        self.asked.append((variables, self.names, within))
        if self.error:
            raise AnsibleError(self.error)
        return self.outcome


def hosts(*events: Event, **more: str) -> tuple[AnsibleHosts, Stand]:
    stand = Stand(*events, **more)
    return AnsibleHosts(stand, Path("patch.yml")), stand


def failed(error: str, host: str = "s1", kind: Any = "failed") -> Event:
    return Event(kind, host, "Patch", "Upgrade the packages", error=error)


def test_each_act_is_on_the_hosts_that_are_named() -> None:
    whole = Event("ok", "s1", said="boot\tx\nend\t.\n")
    skipped = Event("skipped", "s1", task="Reboot")
    made, stand = hosts(whole, skipped)
    assert made.look(["s1"], "refresh") == {"s1": Seen("x")}
    made.upgrade("s1")
    made.reboot("s1")
    assert stand.asked == [
        ({"act": "look", "lists": "refresh"}, ("s1",), 1800),
        ({"act": "upgrade", "lists": "none"}, ("s1",), 3600),
        ({"act": "reboot", "lists": "none"}, ("s1",), 60),
    ]
    made.look(["s1"], "none")
    assert stand.asked[-1][2] == 120


def test_an_act_that_does_not_come_to_its_end_is_one_line_for_each_host_that_has_not_answered() -> None:
    made, stand = hosts(Event("ok", "s2", said="boot\tx\nend\t.\n"))
    stand.outcome = replace(stand.outcome, rc=254, late=True)
    found = made.look(["s1", "s2"], "none")
    assert isinstance(found["s1"], HostError) and found["s1"].unreachable and found["s2"] == Seen("x")
    assert str(found["s1"]) == "it did not answer within 2 min"
    # It may be on its way down: the next boot tells.
    made.reboot("s1")
    with pytest.raises(HostError, match=r"not known .*: it did not answer within 60 min; there homelab-patch"):
        made.upgrade("s1")


def test_an_upgrade_whose_connection_is_lost_goes_on_there() -> None:
    lost = failed("Connection to s1 closed by remote host.", kind="unreachable")
    with pytest.raises(HostError) as error:
        hosts(lost)[0].upgrade("s1")
    assert str(error.value) == (
        "not known whether its packages are upgraded: Connection to s1 closed by remote host.; there "
        "homelab-patch.service goes on by itself if it was begun: see journalctl -u homelab-patch.service and "
        "/run/homelab/patch.log, and run this again when it has ended"
    )


@pytest.mark.parametrize(
    "said",
    [
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt-get)",
        "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
        "E: Sub-process /usr/bin/dpkg returned an error code (1)",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        "E: a deploy is running on this host",
    ],
)
def test_what_apt_says_is_why(said: str) -> None:
    with pytest.raises(HostError) as error:
        hosts(failed(said))[0].upgrade("s1")
    assert str(error.value) == f"its packages are not upgraded: {said}" and not error.value.unreachable


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("Host key verification failed.", "log in once with ssh and compare the fingerprint"),
        ("Host key verification failed. (it has another host key than before)", "take its old one out of known_hosts"),
        ("me@s1: Permission denied (publickey).", "see ssh_user and ssh_key, and that the key's passphrase"),
        ("sudo: a password is required", "add -K"),
        ("Missing sudo password", "add -K"),
        ("connect to host s1 port 22: No route to host", ""),
    ],
)
def test_what_keeps_us_out_comes_with_what_to_do(said: str, remedy: str) -> None:
    found = hosts(failed(said, kind="unreachable"))[0].look(["s1"], "none")["s1"]
    assert isinstance(found, HostError) and found.unreachable
    assert str(found).startswith(said) and remedy in str(found)


def test_a_host_that_goes_down_at_once_has_not_failed_to_reboot() -> None:
    hosts(failed("Connection closed by 192.0.2.11", kind="unreachable"))[0].reboot("s1")
    with pytest.raises(HostError, match="does not reboot: E: a deploy is running"):
        hosts(failed("E: a deploy is running"))[0].reboot("s1")


def test_a_host_that_ansible_says_nothing_of_was_not_looked_at() -> None:
    made, _ = hosts(Event("ok", "s2", said="boot\tx\nend\t.\n"), said="couldn't resolve module\nmore")
    found = made.look(["s1", "s2"], "none")
    assert str(found["s1"]) == "Ansible did nothing there: couldn't resolve module" and found["s2"] == Seen("x")
    with pytest.raises(HostError, match="its packages are not upgraded: Ansible did nothing there"):
        made.upgrade("s1")


def test_an_answer_that_is_cut_is_none() -> None:
    found = hosts(Event("ok", "s1", said="boot\tx\n"))[0].look(["s1"], "none")["s1"]
    assert isinstance(found, HostError) and not found.unreachable and "not whole" in str(found)


def test_an_ansible_that_dies_is_told_for_each_host() -> None:
    made, _ = hosts(error="ansible-runner ended with exit 1: no room")
    assert {name: str(error) for name, error in made.look(["s1", "s2"], "none").items()} == dict.fromkeys(
        ("s1", "s2"), "ansible-runner ended with exit 1: no room"
    )
    with pytest.raises(HostError, match="no room"):
        made.upgrade("s1")
