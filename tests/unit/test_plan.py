"""`homelab plan`: pyinfra's dry run as data, and never "nothing to do" when it could not be found out."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from homelab import plan
from tests import warm_pyinfra
from tests.unit.test_cli_inventory import homelab


def operation(name: str, hosts: list[str], conditional: list[str] | None = None) -> dict[str, Any]:
    return {
        "op_hash": "0",
        "name": name,
        "names": [name],
        "args": [],
        "hosts_with_change": hosts,
        "hosts_with_conditional_change": conditional or [],
    }


ASKED = plan.Plan("home", "site", ("s1", "nas", "a1"), ())


def planned(*operations: dict[str, Any], warnings: Any = (), unknown: Any = ()) -> plan.Plan:
    said = {"plan": operations, "results": None, "warnings": warnings, "unknown": unknown}
    return plan.told(json.dumps(said), ASKED)


def test_operations_that_change_nothing_are_no_drift() -> None:
    made = planned(operation("deploys/base.py | Set the hostname", []))
    assert (made.changes, made.pending, made.exit_code) == ((), 0, 0)
    assert list(plan.lines(made)) == ["home: nothing to do in deploys/site.py; 3 hosts as described"]


def test_a_deploy_of_a_part_does_not_vouch_for_the_rest() -> None:
    made = replace(planned(), deploy="nas", away=("s2", "s3"))
    assert list(plan.lines(made)) == ["home: nothing to do in deploys/nas.py; 3 hosts asked, s2 and s3 are away"]
    made = replace(planned(operation("Keep the time", ["s1"])), away=("s2",))
    assert list(plan.lines(made))[-1].startswith("home: 1 change on 1 of 3 hosts, s2 is away; this makes them: ")


def test_each_change_is_named_at_its_host() -> None:
    made = planned(
        operation("deploys/base.py | Keep the time", ["s1", "nas"]),
        operation("deploys/nas.py | Serve NFSv4 only", ["nas"]),
        operation("deploys/nas.py | Start the NFS server", [], ["nas"]),
        operation("deploys/charts.py | Apply ntfy", [], ["a1"]),
    )
    assert made.exit_code == 2
    assert list(plan.lines(made)) == [
        "s1: 1 change",
        "  Keep the time",
        "nas: 2 changes",
        "  Keep the time",
        "  Serve NFSv4 only",
        "  Start the NFS server  (only if another change brings it)",
        "a1: nothing by itself",
        "  Apply ntfy  (only if another change brings it)",
        "home: 3 changes on 2 of 3 hosts; this makes them: HOMELAB_ENV=home pyinfra inventory deploys/site.py",
    ]
    assert plan.as_data(made)["changes"][1] == {
        "deploy": "deploys/nas.py",
        "name": "Serve NFSv4 only",
        "hosts": ["nas"],
        "conditional_hosts": [],
    }


def test_what_is_only_conditional_does_not_come_by_itself() -> None:
    made = planned(operation("deploys/base.py | Close the firewall", [], ["s1"]))
    assert (made.pending, made.exit_code) == (0, 0)


@pytest.mark.parametrize("output", ["", "[]", "null", "{}", '{"plan": 1}', '{"plan": [{}]}', '{"plan": [1]}', "no"])
def test_what_is_no_plan_is_never_nothing_to_do(output: str) -> None:
    with pytest.raises(plan.PlanError, match="cannot be read"):
        plan.told(output, ASKED)


WARNED = (
    {"hosts": ["nas"], "text": "volume media: nobody has made a snapshot of it for 3 days"},
    {"hosts": ["s1", "a1"], "text": "its clock is 40 seconds ahead of this machine's"},
    {"hosts": [], "text": "the versions are old"},
)


def test_what_a_deploy_would_warn_of_is_told_with_its_host_and_leaves_the_exit_alone() -> None:
    made = planned(operation("Keep the time", ["s1"]), warnings=WARNED)
    assert made.exit_code == 2
    assert list(plan.lines(made))[:-1] == [
        "s1: 1 change",
        "  Keep the time",
        "  warning: its clock is 40 seconds ahead of this machine's",
        "nas: no change",
        "  warning: volume media: nobody has made a snapshot of it for 3 days",
        "a1: no change",
        "  warning: its clock is 40 seconds ahead of this machine's",
        "warning: the versions are old",
    ]
    made = planned(warnings=WARNED)
    assert made.exit_code == 0
    assert list(plan.lines(made))[-1] == "home: nothing to do in deploys/site.py; 3 hosts as described"
    assert plan.as_data(made)["warnings"] == list(WARNED)


def test_what_could_not_be_found_out_is_never_nothing_to_do() -> None:
    why = "the cluster's API does not answer from here: no route"
    made = planned(operation("Apply ntfy", [], ["s1"]), unknown=[why])
    assert made.exit_code == 1
    assert plan.as_data(made)["unknown"] == [why]
    assert list(plan.lines(made)) == [
        "s1: nothing by itself",
        "  Apply ntfy  (perhaps, or only if another change brings it)",
        "home: not all of deploys/site.py could be planned; 3 hosts asked",
    ]
    made = planned(operation("Keep the time", ["s1"]), unknown=[why])
    assert made.exit_code == 1
    assert list(plan.lines(made))[-1].startswith("home: at least 1 change on 1 of 3 hosts; this makes them: ")


def test_a_plan_of_the_rehearsal_as_it_is_run() -> None:
    """With PYINFRA_YES set, pyinfra's own dry run would tell of no change at all."""
    done = homelab("plan", "base", "--format", "json", PYINFRA_YES="true")
    assert (done.returncode, done.stderr) == (2, "homelab: inventory inventory/rehearsal.py\n")
    made = json.loads(done.stdout)
    assert (made["version"], made["environment"], made["deploy"]) == (1, "rehearsal", "base")
    assert {"Keep the time", "Install packages"} <= {each["name"] for each in made["changes"]}
    assert made["hosts"] == [f"@fake/{name}" for name in ("s1", "s2", "s3", "a1", "a2", "nas")]
    assert made["unknown"] == []


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pyinfra that is asked has been started already."""

    def run(command: list[str], *, cwd: Path, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        assert Path(command[0]).name == "pyinfra"
        return warm_pyinfra.pyinfra(tuple(command[1:]), cwd, env)

    monkeypatch.setattr(plan, "subprocess", SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL))


@pytest.fixture
def rehearsal(tmp_path: Path, warm: None) -> Path:
    """The rehearsal's inventory, to be changed."""
    repository = Path(__file__).parents[2]
    shutil.copytree(repository / "inventory", tmp_path / "inventory")
    for name in ("charts", "config.py", "deploys", "src"):
        (tmp_path / name).symlink_to(repository / name)
    return tmp_path


def away(folder: Path, hosts: str) -> None:
    with (folder / "inventory" / "rehearsal.py").open("a") as file:
        file.write(f"\nfor _, _data in {hosts}:\n    _data['away'] = True\n")


def test_a_host_that_is_away_is_told_and_not_counted(rehearsal: Path) -> None:
    away(rehearsal, "k3s_servers[2:]")
    done = homelab("plan", "base", "--format", "json", cwd=rehearsal)
    made = json.loads(done.stdout)
    asked = [f"@fake/{name}" for name in ("s1", "s2", "a1", "a2", "nas")]
    assert (done.returncode, made["hosts"], made["away"]) == (2, asked, ["@fake/s3"])
    assert {host for each in made["changes"] for host in each["hosts"]} == set(asked)


def test_where_all_are_away_nothing_is_found_out(rehearsal: Path) -> None:
    away(rehearsal, "[*k3s_servers, *k3s_agents, *nas]")
    done = homelab("plan", "base", cwd=rehearsal)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()[1:]) == 6 and "Traceback" not in done.stderr


def test_a_cluster_that_is_not_there_leaves_its_charts_unplanned(rehearsal: Path) -> None:
    done = homelab("plan", "charts", cwd=rehearsal)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()[1:]
    assert line.endswith("has no context homelab-rehearsal; run deploys/k3s.py first")


HALF = """
from pyinfra import logger
from pyinfra.operations import server
from homelab.pyinfra_compat import unknown
logger.warning("    a1: its clock is slow; set it")
unknown("the cluster's API does not answer from here: no route")
server.shell(name="Do something", commands=["true"])
"""


def test_what_is_known_is_told_where_the_rest_is_not(rehearsal: Path) -> None:
    (rehearsal / "deploys").unlink()
    (rehearsal / "deploys").mkdir()
    (rehearsal / "deploys" / "base.py").write_text(HALF)
    done = homelab("plan", "base", cwd=rehearsal)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["not known: the cluster's API does not answer from here: no route"]
    lines = done.stdout.splitlines()
    assert lines[:2] == ["@fake/s1: 1 change", "  Do something"]
    assert lines[lines.index("@fake/a1: 1 change") + 2] == "  warning: its clock is slow; set it"
    assert lines[-1].startswith("rehearsal: at least 6 changes on 6 of 6 hosts")


def test_a_pyinfra_that_is_not_there_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    with pytest.raises(
        plan.PlanError, match=rf"{tmp_path}/pyinfra: cannot be run \(No such file or directory\); install"
    ):
        plan.read(tmp_path, "base", ["s1"], "home")


def test_wrong_usage_exits_with_1_since_2_means_pending() -> None:
    done = homelab("plan", "everything")
    assert (done.returncode, done.stdout) == (1, "")
    assert "everything" in done.stderr


@pytest.mark.usefixtures("warm")
def test_hosts_that_cannot_be_reached_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "inventory" / "group_data").mkdir(parents=True)
    (tmp_path / "inventory" / "home.py").write_text(
        'k3s_servers = [("s1", {"address": "192.0.2.11", "ssh_hostname": "127.0.0.1", "ssh_port": 1})]\n'
        'k3s_agents = [("a1", {"address": "192.0.2.21", "ssh_hostname": "127.0.0.1", "ssh_port": 2})]\n'
    )
    (tmp_path / "inventory" / "group_data" / "all.py").write_text('k3s_version = "v1.35.6+k3s1"\n')
    repository = Path(__file__).parents[2]
    for name in ("config.py", "deploys", "src"):
        (tmp_path / name).symlink_to(repository / name)
    done = homelab("plan", "base", cwd=tmp_path, env="home")
    assert (done.returncode, done.stdout) == (1, "")
    told = done.stderr.splitlines()[1:]
    assert [line.split(":")[0] for line in told] == ["s1", "a1"]
    assert all("cannot be reached" in line for line in told)


def test_a_wrong_inventory_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "home.py").write_text('k3s_servers = [("s1", {"adress": "192.0.2.11"})]\n')
    done = homelab("plan", cwd=tmp_path, env=None)
    assert (done.returncode, done.stdout) == (1, "")
    assert "adress" in done.stderr
