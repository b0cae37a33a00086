"""`homelab inventory`, as it is run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from homelab.model.raw import GROUPS
from tests.commands import HOMELAB, Done, apart, here, redirected

REPOSITORY = Path(__file__).parents[2]


def homelab(
    *arguments: str,
    cwd: Path = REPOSITORY,
    env: str | None = "rehearsal",
    run: Callable[..., Done] = here,
    **environ: str,
) -> Done:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOMELAB_")}
    if env:
        environment["HOMELAB_ENV"] = env
    return run(arguments, cwd, {**environment, **environ})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "inventory" / "group_data").mkdir(parents=True)
    (tmp_path / "inventory" / "home.py").write_text('k3s_servers = [("s1", {"address": "192.0.2.11"})]\n')
    (tmp_path / "inventory" / "group_data" / "all.py").write_text('k3s_version = "v1.35.6+k3s1"\n')
    return tmp_path


def test_a_right_inventory_is_described() -> None:
    done = homelab("inventory", run=apart)
    assert done.returncode == 0
    assert "rehearsal: 6 hosts" in done.stdout
    assert "gpu=yes:NoSchedule" in done.stdout
    assert "release nas-storage: chart nas-storage in kube-system" in done.stdout
    assert done.stderr == "homelab: inventory inventory/rehearsal.py\n"


@pytest.mark.parametrize("columns", ["0", ""])
def test_a_terminal_without_columns_gets_it_all(columns: str) -> None:
    done = homelab("inventory", COLUMNS=columns)
    assert "rehearsal: 6 hosts" in done.stdout and "network lan: 192.0.2.0/24" in done.stdout


def test_json_is_versioned_and_alone_on_stdout() -> None:
    done = homelab("inventory", "--format", "json")
    described = json.loads(done.stdout)
    assert described["version"] == 1
    assert described["environment"] == "rehearsal"
    assert [host["name"] for host in described["hosts"]] == ["s1", "s2", "s3", "a1", "a2", "nas"]
    assert described["hosts"][4]["taints"] == ["gpu=yes:NoSchedule"]
    assert described["cluster"]["cluster_cidr"] == ["10.42.0.0/16"]
    assert [release["name"] for release in described["cluster"]["charts"]] == ["nas-storage", "health-reader"]
    assert described["base"]["networks"] == {"lan": "192.0.2.0/24"}
    assert set(described["hosts"][0]) == {
        "name",
        "inventory_name",
        "role",
        "nas",
        "address",
        "interface",
        "away",
        "labels",
        "taints",
        "server_config",
        "agent_config",
        "storage",
    }
    assert described["hosts"][0]["storage"] is None
    kept = described["hosts"][5]["storage"]
    assert list(kept) == ["disks", "pools", "volumes", "users", "shares", "snapshots", "backups", "alerts", "ups"]
    assert kept["volumes"]["media"]["quota"] == 500 * 2**30


def test_every_problem_is_a_line_on_stderr_and_the_exit_is_2(home: Path) -> None:
    (home / "inventory" / "home.py").write_text('k3s_servers = ["s1", "S2"]\n')
    done = homelab("inventory", cwd=home, env=None, run=apart)
    assert done.returncode == 2
    assert done.stdout == ""
    heading, *lines = done.stderr.splitlines()
    assert heading == "homelab: inventory inventory/home.py"
    assert len(lines) == 4
    assert all(line.startswith("inventory/home.py: k3s_servers") for line in lines)


def test_the_inventory_is_found_from_below(home: Path) -> None:
    below = home / "charts" / "deep"
    below.mkdir(parents=True)
    assert homelab("inventory", cwd=below, env=None).returncode == 0
    assert homelab("inventory", cwd=home / "inventory", env=None).returncode == 0


def test_no_inventory_anywhere_is_one_line(tmp_path: Path) -> None:
    done = homelab("inventory", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "inventory/: not found here or above; change to the folder that holds inventory/\n"


def test_a_misspelt_variable_is_refused() -> None:
    done = homelab("inventory", HOMELAB_EVN="home")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "HOMELAB_EVN: unknown variable; did you mean HOMELAB_ENV?\n"


def test_secrets_are_proven_readable_and_never_shown(home: Path) -> None:
    shared = home / "inventory" / "group_data" / "home.py"
    shared.write_text('k3s_token = "file:token"\nk3s_agent_token = "env:AGENT_TOKEN"\n')
    done = homelab("inventory", cwd=home, env=None)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        "k3s_token: file:token: No such file or directory; write the secret's file",
        "k3s_agent_token: env:AGENT_TOKEN: the variable is not set; export AGENT_TOKEN",
    ]
    (home / "token").write_text("hunter2")
    (home / "token").chmod(0o600)
    for arguments in (("inventory",), ("inventory", "--format", "json")):
        done = homelab(*arguments, cwd=home, env=None, AGENT_TOKEN="hunter2")
        assert done.returncode == 0
        assert "file:token" in done.stdout
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("inventory", "--format", "xml"), ("inventory", "--quiet"), ("inventry",)])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    done = homelab(*arguments)
    assert done.returncode == 2
    assert "Usage: homelab" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("inventory", "--help")])
def test_help_shows_an_example(arguments: tuple[str, ...]) -> None:
    done = homelab(*arguments)
    assert done.returncode == 0
    assert "Example:" in done.stdout


def test_help_starts_without_the_model() -> None:
    code = "import sys, homelab.cli; print(sorted({'pydantic', 'rich', 'pyinfra', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_validating_needs_no_pyinfra() -> None:
    code = (
        "import sys; from pathlib import Path; import homelab.description; from homelab.model import load;"
        "load(Path('inventory/rehearsal.py')); print(sorted({'pyinfra', 'kubernetes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_groups_are_the_three() -> None:
    assert GROUPS == ("k3s_servers", "k3s_agents", "nas")


@pytest.mark.parametrize(
    ("words", "code"), [("inventory", 2), ("inventory --format json", 2), ("health codes", 3), ("health role", 3)]
)
def test_a_stdout_that_is_full_is_a_line(words: str, code: int) -> None:
    done = redirected(f"{words} >/dev/full", REPOSITORY, HOMELAB_ENV="rehearsal")
    assert done.returncode == code
    assert done.stderr.splitlines()[-1] == "stdout: No space left on device; the report was not printed whole"
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_had_enough_changes_no_exit_code() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        command = [HOMELAB, "inventory"]
        environment = {**os.environ, "HOMELAB_ENV": "rehearsal"}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"homelab: inventory inventory/rehearsal.py\n")
