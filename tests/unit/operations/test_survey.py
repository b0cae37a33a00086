"""One look for all deploys of a run, and what it says where it cannot look."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.connectors.util import SUDO_PASSWORD_REQUIRED_LINES

from homelab.operations import survey
from homelab.operations.barrier import barrier
from homelab.operations.survey import Survey
from tests.builders import fresh, home

HOME = home(["s1"], ["a1"])


def test_a_value_for_all_hosts_is_made_once() -> None:
    site, made = Survey(HOME, {}), []
    for _ in range(3):
        assert site.once("k3s", lambda: made.append(1) or "value") == "value"
    assert made == [1]


def test_a_value_that_could_not_be_made_is_tried_again() -> None:
    site = Survey(HOME, {})
    with pytest.raises(ZeroDivisionError):
        site.once("k3s", lambda: 1 // 0)
    assert site.once("k3s", lambda: 1) == 1


def test_a_deploy_that_two_others_contain_runs_once_a_host(host: Any) -> None:
    site = Survey(HOME, {"s1": fresh(), "a1": fresh()})
    assert [site.first("base"), site.first("base"), site.first("k3s")] == [True, False, True]
    host.name = "a1"
    assert site.first("base")
    assert site.me == HOME.host("a1")


@pytest.mark.parametrize("said", SUDO_PASSWORD_REQUIRED_LINES[:1])
def test_a_password_that_nobody_can_type_is_told_with_the_line_to_add(said: str) -> None:
    assert "NOPASSWD" in survey._why([said])


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("sudo: a terminal is required to read the password; either use the -S option", "without a password"),
        ("me is not in the sudoers file.", "may not use sudo; add it"),
        ("Sorry, user me may not run sudo on s1.", "may not use sudo; add it"),
        ("sh: 1: sudo: not found", "sudo is not installed"),
        ("bash: sudo: command not found", "sudo is not installed"),
    ],
)
def test_a_user_without_sudo_is_told_what_to_do(said: str, says: str) -> None:
    assert says in survey._why(["Welcome!", said])


def test_an_unknown_reason_is_told_as_it_is() -> None:
    assert survey._why(["sh: 1: cannot fork"]) == "sh: 1: cannot fork"


def test_every_host_is_asked_by_all_deploys_in_one_command() -> None:
    for each in HOME.hosts:
        asked = survey.questions(HOME, each)
        assert "/etc/hostname" in asked.paths
        assert "/etc/rancher/k3s/config.yaml" in asked.paths


def test_a_barrier_changes_nothing(host: Any) -> None:
    assert list(barrier._inner("all servers are up")) == []
    assert host.noops == ["all servers are up"]


def test_a_lock_names_its_holder_and_the_process_to_end_and_dies_with_it(tmp_path: Path) -> None:
    script = f"set -- 'me@laptop, since noon'\n{survey._HOLD}".replace("/run/homelab", str(tmp_path / "run"))
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, text=True) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = subprocess.run(["sh", "-c", script], input="", capture_output=True, text=True, check=True)
        assert second.stdout == f"taken me@laptop, since noon; here it is process {first.pid}\n"
        first.stdin.close()
    third = subprocess.run(["sh", "-c", script], input="", capture_output=True, text=True, check=True)
    assert third.stdout == "held\n"
