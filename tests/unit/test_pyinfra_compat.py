"""Every reliance on pyinfra's private names: it fails here when upstream moves, not in somebody's house."""

from __future__ import annotations

import contextlib
import getpass
import inspect
import json
import os
import re
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

import paramiko
import pyinfra.api.operations
import pyinfra.api.util
import pyinfra.connectors.util
import pyinfra_cli.cli as cli
import pyinfra_cli.prints as prints
import pyinfra_cli.util as util
import pytest
from pyinfra.api.config import Config
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.operation import operation as decorator
from pyinfra.api.state import State
from pyinfra.connectors.ssh import SSHConnector
from pyinfra_cli.exceptions import CliError

from homelab import pyinfra_compat
from homelab.pyinfra_compat import Refusal
from tests import warm_pyinfra

REPOSITORY = Path(__file__).parents[2]

# Where upstream keeps what is replaced
#


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (cli.make_inventory, ["inventory", "override_data", "cwd", "group_data_directories"]),
        (cli._set_override_data, ["data", "ssh_user", "ssh_key", "ssh_key_password", "ssh_port", "ssh_password"]),
        (cli._apply_inventory_limit, ["inventory", "limit"]),
        (cli._apply_inventory_exclude, ["inventory", "initial_limit", "exclude"]),
        (cli._set_fail_prompts, ["state", "config"]),
        (cli._do_confirm, ["msg"]),
        (cli.connect_all, ["state"]),
        (cli.run_ops, ["state", "serial", "no_wait"]),
        (pyinfra.api.operations._run_host_op_with_context, ["state", "host", "op_hash"]),
        (decorator.__globals__["solve_operation_consistency"], ["names", "state", "host"]),
        (util.exec_file, ["filename", "return_locals", "is_deploy_code"]),
        (prints.build_plan_json, ["state"]),
        (prints.build_results_json, ["state"]),
        (prints.pretty_op_name, ["op_meta"]),
        (prints.print_json, ["payload"]),
        (cli._exit, []),
        (Inventory.get_active_hosts, ["self"]),
        (SSHConnector._connect, ["self"]),
        (Host.connect, ["self", "reason", "show_errors", "raise_exceptions"]),
        (State.is_host_in_limit, ["self", "host"]),
        (State.activate_host, ["self", "host"]),
    ],
)
def test_what_is_replaced_or_relied_on_has_the_same_shape(function: Callable[..., Any], expected: list[str]) -> None:
    assert parameters(function)[: len(expected)] == expected


@pytest.mark.parametrize(
    "name",
    [
        "make_inventory",
        "_set_override_data",
        "_apply_inventory_limit",
        "_apply_inventory_exclude",
        "_set_fail_prompts",
        "_do_confirm",
        "connect_all",
        "run_ops",
    ],
)
def test_the_command_line_looks_the_name_up_where_it_is_replaced(name: str) -> None:
    users = [each for each in vars(cli).values() if isinstance(each, FunctionType) and name in each.__code__.co_names]
    assert users, f"nothing in pyinfra_cli.cli calls {name} any more"


def test_an_operation_is_run_on_a_host_where_it_is_replaced() -> None:
    assert "_run_host_op_with_context" in pyinfra.api.operations._run_single_op.__code__.co_names


def test_a_sudo_password_is_asked_for_where_it_is_replaced() -> None:
    users = [
        each
        for each in vars(pyinfra.connectors.util).values()
        if isinstance(each, FunctionType) and "getpass" in each.__code__.co_names
    ]
    assert users
    assert pyinfra.connectors.util.getpass is getpass.getpass


def test_an_operation_finds_its_place_where_frames_are_looked_at_otherwise() -> None:
    order = pyinfra.api.util.get_operation_order_from_stack
    assert {"stack", "getframeinfo"} <= set(order.__code__.co_names)


def test_the_command_line_has_the_options_that_are_judged() -> None:
    options = {each.name for each in cli.cli.params}
    assert options >= {"no_wait", "serial", "fail_percent", "data", "yes", "dry", "json_output", "operations"}
    assert options >= {"debug_operations", "debug_facts", "limit", "exclude", "inventory"}


# What is put in their place
#


def test_a_refusal_is_shown_by_the_command_line_and_is_no_bug_of_a_deploy(caplog: pytest.LogCaptureFixture) -> None:
    refusal = Refusal(["s1: is wrong; mend it", "s2: too"])
    assert isinstance(refusal, CliError) and isinstance(refusal, PyinfraError)
    refusal.show()
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", each.message) for each in caplog.records]
    assert lines == ["--> refused: s1: is wrong; mend it", "--> refused: s2: too"]


def test_ssh_answers_at_once_and_a_cut_cable_is_noticed() -> None:
    kept: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as mine:
        assert mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        transport = SimpleNamespace(sock=mine, set_keepalive=kept.append)
        connector: Any = SimpleNamespace(client=None)

        def original(self: Any) -> None:
            self.client = SimpleNamespace(get_transport=lambda: transport)

        pyinfra_compat._nodelay(original)(connector)
        assert mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert kept and kept[0] > 0


def test_a_connection_that_failed_is_not_touched() -> None:
    connector: Any = SimpleNamespace(client=None)
    pyinfra_compat._nodelay(lambda self: None)(connector)
    assert connector.client is None


def test_frames_without_their_source_put_operations_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def place() -> list[object]:
        order, where = pyinfra.api.util.get_operation_order_from_stack, pyinfra.api.util.get_call_location
        return [order(State(None, Config())), order(at), where()]

    at = State(None, Config())
    at.current_deploy_filename = __file__
    places = []
    for _ in range(2):
        places.append(place())
        monkeypatch.setattr(pyinfra.api.util, "stack", pyinfra_compat._stack)
        monkeypatch.setattr(pyinfra.api.util, "getframeinfo", pyinfra_compat._getframeinfo)
    assert places[0] == places[1] and places[0][0] != places[0][1]


def test_hosts_come_in_inventory_order_and_not_as_a_set_has_them() -> None:
    names = [f"s{number}" for number in (9, 3, 7, 1, 5)]
    inventory = Inventory((names, {}))
    State(inventory, Config()).active_hosts = {inventory.get_host(name) for name in names[1:]}
    assert [host.name for host in pyinfra_compat._active_hosts(inventory)] == names[1:]


@pytest.mark.parametrize(
    "ask", [pyinfra_compat._confirm(lambda message: True), pyinfra_compat._getpass(lambda prompt: "")]
)
def test_nobody_is_asked_where_nobody_can_answer(ask: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", (REPOSITORY / "LICENSE").open(encoding="utf-8"))
    with pytest.raises(Refusal):
        ask("Password: ")
    sys.stdin.close()


def _closed(message: str) -> bool:
    raise EOFError


@pytest.mark.parametrize("answer", [_closed, lambda message: False], ids=["Ctrl-D", "n"])
def test_what_is_not_confirmed_is_told_and_not_done(
    answer: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(Refusal, match="not confirmed; nothing was changed"):
        pyinfra_compat._confirm(answer)("msg")


# As it is run
#

HOSTS = """
k3s_servers = [("@fake/s3", {"address": "192.0.2.3"}), ("@fake/s1", {"address": "192.0.2.1"}),
               ("@fake/s2", {"address": "192.0.2.2"})]
"""
# Notes that it was reached at all, for which host, and which hosts there are.
DEPLOY = """
from pathlib import Path
from pyinfra import host, inventory
from pyinfra.operations import server
with Path("reached").open("a") as file:
    file.write(f"{host.name} of {' '.join(each.name for each in inventory.get_active_hosts())}\\n")
server.shell(name="Do something", commands=["do something"])
"""


@dataclass
class Project:
    """A checkout in a folder: the repository's own config.py, an inventory and a deploy."""

    path: Path

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run(self, *arguments: str, deploy: str = "deploys/x.py", **environ: str) -> tuple[int, list[str]]:
        """Run pyinfra without a terminal; its exit and what it said, free of colours. There is never a traceback."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HOMELAB_", "PYINFRA_"))}
        quiet = {"PYINFRA_PROGRESS": "off", "PYINFRA_FAKE_DELAY": "0", "PYINFRA_FAKE_DELAY_JITTER": "0"}
        env = {**inherited, "HOME": str(self.path), **quiet, **environ}
        done = warm_pyinfra.pyinfra((*arguments, deploy), self.path, env)
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        assert "Traceback" not in said, said
        assert not (self.path / "pyinfra-debug.log").exists(), said
        return done.returncode, said.splitlines()

    @property
    def reached(self) -> list[str]:
        file = self.path / "reached"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def told(said: list[str], word: str = "refused") -> list[str]:
    """The lines of a refusal."""
    mark = f"--> {word}: "
    return [line.partition(mark)[2] for line in said if mark in line]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    shutil.copy(REPOSITORY / "config.py", tmp_path)
    made = Project(tmp_path)
    made.write("inventory/home.py", HOSTS)
    made.write("inventory/group_data/all.py", 'k3s_version = "v1.35.6+k3s1"\n')
    made.write("deploys/x.py", DEPLOY)
    return made


@dataclass
class Listener:
    """Something on a port of this machine that hangs up on whoever calls."""

    port: int
    calls: int = 0


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = Listener(server.getsockname()[1])

        def answer() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    if connection.recv(4) == b"stop":
                        return
                    known.calls += 1

        thread = threading.Thread(target=answer)
        thread.start()
        yield known
        with socket.create_connection(("127.0.0.1", known.port)) as mine:
            mine.sendall(b"stop")
        thread.join()


def ssh_host(name: str, port: int, **data: object) -> str:
    place = {"address": "192.0.2.99", "ssh_hostname": "127.0.0.1", "ssh_port": port, "ssh_user": "nobody", **data}
    return repr((name, place))


def test_the_folder_is_an_inventory_and_hosts_come_in_its_order(project: Project) -> None:
    code, said = project.run("-y", "inventory")
    assert code == 0, said
    assert any("inventory/home.py (environment home)" in line for line in said)
    assert sorted(project.reached) == [f"@fake/{name} of @fake/s3 @fake/s1 @fake/s2" for name in ("s1", "s2", "s3")]


def test_the_environment_chooses_the_inventory(project: Project) -> None:
    project.write("inventory/other.py", 'k3s_servers = [("@fake/o1", {"address": "192.0.2.9"})]')
    code, said = project.run("-y", "inventory", HOMELAB_ENV="other")
    assert code == 0, said
    assert project.reached == ["@fake/o1 of @fake/o1"]


@pytest.mark.parametrize("limits", [("@fake/s1,@fake/s3",), ("@fake/s3", "@fake/s1")])
def test_several_hosts_are_named_by_one_option_or_by_several(project: Project, limits: tuple[str, ...]) -> None:
    code, said = project.run("-y", "inventory", *(word for each in limits for word in ("--limit", each)))
    assert code == 0, said
    assert sorted(each.split()[0] for each in project.reached) == ["@fake/s1", "@fake/s3"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-y", "inventory", "--limit", "s9"], "--limit s9: no such host or group; there are @fake/s3, @fake/s1"),
        (["-y", "inventory", "--limit", "@fake/s1,"], "--limit with an empty name: no such host or group"),
        (["-y", "inventory", "--exclude", "s9"], "--exclude s9: no such host or group"),
        (["-y", "inventory", "--exclude", "k3s_servers"], "--exclude: leaves no host"),
        (["-y", "inventory", "--no-wait"], "--no-wait: pyinfra exits 0 with it whatever fails"),
        (["-y", "inventory", "--serial"], "--serial: the deploys order the hosts themselves"),
        (["-y", "inventory", "--fail-percent", "50"], "--fail-percent: a cluster is not built on half a result"),
        (["-y", "inventory", "--data", "k3s_version=v9"], "--data k3s_version: bypasses the inventory's validation"),
        (["-y", "inventory", "--data", "x"], "--data x: no value; write --data x=VALUE"),
        (["inventory"], "nobody can confirm, stdin is not a terminal; add -y"),
        (["-y", "inventroy"], "inventory 'inventroy' has no hosts"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_what_would_go_wrong_in_silence_is_one_line(project: Project, arguments: list[str], says: str) -> None:
    code, said = project.run(*arguments)
    assert code == 1
    (line,) = told(said)
    assert line.startswith(says)
    assert project.reached == []


def test_several_mistakes_are_told_together(project: Project) -> None:
    code, said = project.run("-y", "--no-wait", "--serial", "inventory", "--data", "x=1")
    assert (code, len(told(said))) == (1, 3)


def test_every_problem_of_an_inventory_is_a_line_before_any_host_is_reached(project: Project) -> None:
    project.write(
        "inventory/home.py",
        'k3s_servers = [("@fake/s1", {"address": "nonsense"}), ("@fake/s2", {"adress": "192.0.2.2"})]\nk3s_agnts = []',
    )
    code, said = project.run("-y", "inventory")
    assert code == 1
    assert len(told(said)) >= 4
    assert project.reached == []


def test_an_empty_inventory_is_refused(project: Project) -> None:
    project.write("inventory/home.py", "k3s_servers = []\n")
    code, said = project.run("-y", "inventory")
    assert code == 1
    assert told(said)
    assert project.reached == []


def test_an_unknown_variable_of_ours_is_refused(project: Project) -> None:
    code, said = project.run("-y", "inventory", HOMELAB_ENVV="home")
    assert (code, told(said)) == (1, ["HOMELAB_ENVV: unknown variable; did you mean HOMELAB_ENV?"])


def test_a_host_whose_key_is_not_known_is_not_trusted(project: Project, tmp_path: Path) -> None:
    """A real SSH server that nobody has met: pyinfra by itself would take its word."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with paramiko.Transport(connection) as transport:
                transport.add_server_key(paramiko.ECDSAKey.generate())
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=paramiko.ServerInterface())
                    transport.join(60)

        thread = threading.Thread(target=greet)
        thread.start()
        project.write("inventory/home.py", f"k3s_servers = [{ssh_host('s1', server.getsockname()[1])}]\n")
        (tmp_path / "nobody" / ".ssh").mkdir(parents=True)
        code, said = project.run("-y", "inventory", HOME=str(tmp_path / "nobody"))
        thread.join()
    (line,) = told(said)
    assert (code, line.partition(";")[0]) == (1, "s1: its SSH host key is not known here")
    assert not (tmp_path / "nobody" / ".ssh" / "known_hosts").exists()


def test_hosts_that_are_down_are_a_line_each_and_nothing_is_done_on_the_others(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        closed = {"s2": one.getsockname()[1], "s3": other.getsockname()[1]}
    hosts = [ssh_host(name, closed[name], address=f"192.0.2.{number}") for number, name in enumerate(closed, 2)]
    project.write(
        "inventory/home.py", f'k3s_servers = [("@fake/s1", {{"address": "192.0.2.1"}}), {", ".join(hosts)}]\n'
    )
    code, said = project.run("-y", "inventory")
    assert code == 1
    assert [line.partition(":")[0] for line in told(said)] == ["s2", "s3"]
    assert all("cannot be reached" in line and "away: True" in line for line in told(said))
    assert project.reached == []


@pytest.mark.parametrize("away", [True, False])
def test_only_a_host_that_is_away_is_left_alone(project: Project, listener: Listener, away: bool) -> None:
    there = [("@fake/s1", {"address": "192.0.2.1"}), ("@fake/s2", {"address": "192.0.2.2"})]
    project.write(
        "inventory/home.py",
        f"k3s_servers = [{', '.join(map(repr, there))}, {ssh_host('s3', listener.port, away=away)}]\n",
    )
    code, said = project.run("-y", "inventory")
    assert (listener.calls > 0) is not away
    assert code == (0 if away else 1)
    assert len(project.reached) == (2 if away else 0)
    assert any("s3 is away: it is counted, but left alone" in line for line in said) is away


def test_a_failing_operation_ends_the_run_in_one_line(project: Project) -> None:
    project.write("inventory/group_data/home.py", 'fake_responses = {"do something": {"success": False}}\n')
    code, said = project.run("-y", "inventory")
    assert code == 1
    (line,) = told(said, "stopped")
    assert line.startswith("@fake/s3, @fake/s1, @fake/s2 failed")


# One host refuses to go on, another one's connection is gone, the third does well.
WAIT = """
from paramiko import SSHException
from pyinfra import host, state
from pyinfra.api.operation import operation
from homelab.pyinfra_compat import Refusal

@operation()
def wait():
    if state.is_executing and host.name == "@fake/s3":
        raise Refusal(["s3: K3s did not start"])
    if state.is_executing and host.name == "@fake/s1":
        raise SSHException("SSH session not active")
    yield from ()

wait(name="Wait")
"""


def test_each_host_that_stops_the_run_is_a_line(project: Project) -> None:
    project.write("deploys/x.py", WAIT)
    code, said = project.run("-y", "inventory")
    assert code == 1
    assert told(said, "stopped") == [
        "s3: K3s did not start",
        "@fake/s1: was cut short (SSH session not active); mend that and run the same command again",
    ]


INTERRUPT = """
import os, signal
if host.name == "@fake/s3":
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_an_interrupted_run_does_not_end_as_if_all_were_well(project: Project) -> None:
    project.write("deploys/x.py", DEPLOY + INTERRUPT)
    code, said = project.run("-y", "inventory")
    assert code == 130
    assert told(said) == ["interrupted; run the same command again"]


def test_a_dry_run_needs_no_terminal_and_changes_nothing(project: Project) -> None:
    code, said = project.run("--dry", "inventory")
    assert code == 0, said
    assert any("Do something" in line for line in said)


# Every host calls the one place what it likes, as a loop over what each has of its own does; s2 has nothing to do.
NAMES = """
from pyinfra import host
from pyinfra.operations import server

server.shell(name=f"Look after {host.name}", commands=["true"] if host.name != "@fake/s2" else [])
"""


@pytest.mark.parametrize("key", ["plan", "results"])
def test_what_a_host_would_change_is_told_by_its_own_name(project: Project, key: str) -> None:
    project.write("deploys/x.py", NAMES)
    code, said = project.run("--dry" if key == "plan" else "-y", "--json", "inventory")
    assert code == 0, said
    built = json.loads(said[0])[key]
    if key == "plan":
        changed = {each["name"]: each["hosts_with_change"] for each in built}
    else:
        changed = {each["name"]: each["success"] for each in built["operations"]}
        assert [each["hosts"] for each in built["operations"]] == [1, 1, 1]
    assert changed == {
        "Look after @fake/s1": ["@fake/s1"],
        "Look after @fake/s2": [],
        "Look after @fake/s3": ["@fake/s3"],
    }


@pytest.mark.parametrize("option", ["--dry", "-y"])
def test_a_person_reads_every_name_that_an_operation_has(project: Project, option: str) -> None:
    project.write("deploys/x.py", NAMES)
    code, said = project.run(option, "inventory")
    assert code == 0, said
    names = ", ".join(f"Look after @fake/s{number}" for number in (1, 2, 3))
    assert sum(line.strip().startswith(names) for line in said) == 1, said


CONDITIONAL = """
from pyinfra import host, state
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from homelab.pyinfra_compat import conditional

@operation()
def after():
    if not state.is_executing and host.name == "@fake/s1":
        conditional()
    yield StringCommand("true")

after(name="After another")
"""


def test_what_a_plan_cannot_know_yet_comes_after_another_change(project: Project) -> None:
    project.write("deploys/x.py", CONDITIONAL)
    code, said = project.run("--dry", "--json", "inventory")
    assert code == 0, said
    (told,) = json.loads(said[0])["plan"]
    assert told["hosts_with_conditional_change"] == ["@fake/s1"]
    assert told["hosts_with_change"] == ["@fake/s2", "@fake/s3"]


@pytest.mark.parametrize("deploy", ["deploys/x.py", "deploys/all.py"])
def test_a_host_that_goes_away_while_a_plan_asks_it_is_a_line(project: Project, deploy: str) -> None:
    project.write("deploys/x.py", WAIT.replace("state.is_executing and", "").replace("@fake/s3", "nobody"))
    project.write("deploys/all.py", "from pyinfra import local\nlocal.include('deploys/x.py')\n")
    code, said = project.run("--dry", "--json", "inventory", deploy=deploy)
    assert code == 1
    lost = "the connection to a host was lost while it was asked (SSH session not active); run the same command again"
    assert told(said) == [lost]


@pytest.mark.parametrize("option", ["--dry", "--json"])
def test_an_operation_can_refuse_a_plan(project: Project, option: str) -> None:
    """It cannot tell what it would change; nothing is then taken for nothing to do."""
    project.write("deploys/x.py", WAIT.replace("state.is_executing and", ""))
    code, said = project.run("--dry", option, "inventory")
    assert code == 1 and not any(line.startswith("{") for line in said)
    assert told(said)[0] == "s3: K3s did not start"


WARNS = """
import logging
from pyinfra import host, logger
from homelab.pyinfra_compat import is_dry, unknown

logger.warning("    s1: its clock is slow; set it")
logger.warning("    s2, s3: join alone; run it for all")
logger.warning("    s3.address: is odd; mend it")
logger.warning(f"    {host.name.replace('@', '')}: is no host of that name")
logger.info("    s1: is fine")
if is_dry() and Path("silent").exists():
    unknown("the cluster's API does not answer: no route")
"""


def test_a_plan_tells_what_is_warned_of_by_host_and_once(project: Project) -> None:
    project.write("deploys/x.py", "from pathlib import Path\n" + WARNS)
    code, said = project.run("--dry", "--json", "inventory")
    assert code == 0, said
    made = json.loads(next(line for line in said if line.startswith("{")))
    assert made["unknown"] == []
    assert made["warnings"][:3] == [
        {"hosts": ["@fake/s1"], "text": "its clock is slow; set it"},
        {"hosts": ["@fake/s2", "@fake/s3"], "text": "join alone; run it for all"},
        {"hosts": ["@fake/s3"], "text": "s3.address: is odd; mend it"},
    ]
    assert {each["text"]: each["hosts"] for each in made["warnings"][3:]} == {
        f"fake/s{number}: is no host of that name": [] for number in (1, 2, 3)
    }


@pytest.mark.parametrize("option", ["--dry", "--json"])
def test_what_a_plan_could_not_find_out_is_a_line_after_the_rest_and_exit_1(project: Project, option: str) -> None:
    project.write("silent", "")
    project.write("deploys/x.py", DEPLOY + WARNS)
    code, said = project.run("--dry", option, "inventory")
    assert code == 1
    assert told(said, "not known") == ["the cluster's API does not answer: no route"]
    assert any("Do something" in line for line in said), said
    if option == "--json":
        made = json.loads(next(line for line in said if line.startswith("{")))
        assert made["unknown"] == told(said, "not known") and made["plan"][0]["hosts_with_change"]
