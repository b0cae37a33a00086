"""`homelab health`, as it is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from homelab.health.checks import CHECKS
from homelab.health.codes import TABLE
from tests import api_server
from tests.api_server import ApiServer
from tests.commands import HOMELAB, Done, apart, here, redirected
from tests.json_schema import wrong
from tests.unit.health import faults
from tests.unit.health.cluster import K3s
from tests.unit.health.conftest import kubeconfig

# Skipped is what needs an inventory, and here, without TLS, certificates.
COVERAGE = f"{len(CHECKS)} checks: {len(CHECKS) - 6} run, 6 skipped"


def homelab(*arguments: str, cwd: Path, run: Callable[..., Done] = here, **environ: str) -> Done:
    return run(("health", *arguments), cwd, {**os.environ, **environ})


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ApiServer]]:
    """An API for a cluster, with ~/.kube/config pointing at it."""
    running: list[ApiServer] = []

    def serve(fault: Callable[[K3s], object] | None = None, context: str = "home", **options: object) -> ApiServer:
        cluster = K3s(datetime.now(UTC))
        if fault:
            fault(cluster)
        server = ApiServer(cluster.lists, **options)
        running.append(server.__enter__())
        (tmp_path / ".kube").mkdir(exist_ok=True)
        (tmp_path / ".kube" / "config").write_text(Path(kubeconfig(tmp_path, server.url, name=context)).read_text())
        return server

    yield serve
    for server in running:
        server.__exit__()


def test_a_healthy_cluster_takes_one_line(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    serve()
    done = homelab(cwd=tmp_path, run=apart)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"healthy; 4 nodes, 21 pods; {COVERAGE}\n"


def test_a_fault_is_told_with_cause_time_consequences_and_remedy(
    serve: Callable[..., ApiServer], tmp_path: Path
) -> None:
    serve(faults.dead_node)
    done = homelab(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    said = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", done.stdout)
    assert said == (
        "critical  Node a1  [NODE001]\n"
        "          is not Ready: Kubelet stopped posting node status.\n"
        "          for 20 minutes, since TIME UTC\n"
        "          drags along DaemonSet kube-system/svclb-traefik-1a2b3c4d, Deployment default/web,"
        " Deployment media/library, 5 Pods\n"
        "          > kubectl describe node a1; on it: journalctl -u 'k3s*' -e\n"
        f"1 critical finding; 4 nodes, 23 pods; {COVERAGE}\n"
    )
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("fault", "arguments", "exit_code"),
    [
        (faults.forgotten_cordon, (), 1),
        (faults.forgotten_cordon, ("--fail-on", "critical"), 0),
        (faults.crash_loop, ("--fail-on", "critical"), 2),
        (faults.just_cordoned, (), 0),
        (faults.crash_loop, ("-n", "media"), 2),
        (faults.crash_loop, ("-n", "default"), 0),
        (faults.crash_loop, ("-A",), 2),
        (faults.crash_loop, ("--only", "NODE,CTRL", "--only", "STOR"), 0),
        (faults.crash_loop, ("--suppress", "POD001=known", "--severity", "info"), 0),
    ],
)
def test_the_exit_tells_the_worst(
    serve: Callable[..., ApiServer],
    tmp_path: Path,
    fault: Callable[[K3s], object],
    arguments: tuple[str, ...],
    exit_code: int,
) -> None:
    serve(fault)
    done = homelab(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (exit_code, "")


def test_more_is_told_on_request(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    serve(faults.just_cordoned)
    done = homelab("-v", cwd=tmp_path)
    assert "info      Node a1  [NODE006]" in done.stdout
    assert "skipped NODE008, NODE009: inventory: no inventory was named" in done.stdout


def test_what_could_not_be_read_is_told_and_exits_with_3(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    server = serve()
    server.faults[server.path("jobs")] = api_server.refuse(500, "etcdserver: leader changed")
    server.faults[server.path("leases")] = api_server.refuse(403, 'User "x" cannot list resource "leases"')
    done = homelab(cwd=tmp_path)
    assert done.returncode == 3
    jobs, leases = ([row.code for row in TABLE if name in row.needs] for name in ("jobs", "leases"))
    skipped = len(leases) + 6
    assert done.stdout == (
        "could not read jobs: HTTP 500: etcdserver: leader changed\n"
        f'skipped {", ".join(leases)}: leases: cannot list resource "leases"\n'
        f"could not run {', '.join(jobs)}: jobs: HTTP 500: etcdserver: leader changed\n"
        "nothing found, but not all could be read; 4 nodes, 21 pods;"
        f" {len(CHECKS)} checks: {len(CHECKS) - skipped - len(jobs)} run, {skipped} skipped,"
        f" {len(jobs)} could not run\n"
    )


def test_json_is_one_document(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    serve(faults.crash_loop)
    done = homelab("--format", "json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert wrong(report, json.loads(homelab("schema", cwd=tmp_path).stdout)) == []
    assert (report["version"], report["exit_code"], done.returncode) == (1, 2, 2)
    root, effect = report["findings"]
    assert (root["code"], root["caused_by"], root["object"]["namespace"]) == ("POD001", None, "media")
    assert root["owner"]["kind"] == "Deployment" and root["evidence"]["restarts"] == 7
    assert (effect["code"], effect["caused_by"]["code"], effect["caused_by"]["object"]) == (
        "WORK001",
        "POD001",
        root["object"],
    )
    assert {each["status"] for each in report["checks"]} == {"ok", "findings", "skipped"}


def test_two_runs_say_the_same(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    serve(faults.bad_image)
    first, second = (
        re.sub(r"for .* since .*|last crash.*", "", homelab("-v", cwd=tmp_path, run=apart).stdout) for _ in range(2)
    )
    assert first == second and "POD002" in first


def test_what_the_cluster_says_cannot_paint_the_terminal(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    def fault(cluster: K3s) -> None:
        faults.no_network(cluster)
        cluster.get("nodes", "s3")["status"]["conditions"][-1]["message"] = "\x1b[2J\nhealthy\r\x07[bold]x[/bold]"

    serve(fault)
    done = homelab(cwd=tmp_path)
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert "has no pod network:  [2J healthy" in done.stdout and "[bold]x[/bold]" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nope",),
        ("--format", "xml"),
        ("--timeout", "soon"),
        ("--timeout", "0"),
        ("--timeout", "inf"),
        ("--timeout", "nan"),
        ("--timeout", "1e300"),
        ("--deep", "--deep-timeout", "inf"),
        ("--watch", "inf"),
        ("-n", "media", "-A"),
        ("superfluous",),
        ("--context",),
        ("explain",),
        ("codes", "--nope"),
        ("codes", "superfluous"),
        ("-v", "codes"),
        ("--only", "PODS"),
        ("--severity", "mild"),
        ("--settings", "/nowhere"),
        ("--suppress", "POD001"),
        ("--watch", "0"),
        ("--for", "60"),
        ("--within", "5m"),
    ],
)
def test_wrong_usage_exits_with_3(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = homelab(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "") and "Traceback" not in done.stderr and done.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "told"),
    [
        ((), {}, "/.kube/config: there is no kubeconfig; write --kubeconfig PATH"),
        (("--kubeconfig", "/nowhere"), {}, "/nowhere: there is no kubeconfig"),
        ((), {"HOMELAB_ENVV": "home"}, "HOMELAB_ENVV: unknown variable; did you mean HOMELAB_ENV?"),
        (("--inventory", "home"), {}, "inventory/: not found here or above; change to the folder"),
    ],
)
def test_what_stops_it_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], told: str
) -> None:
    done = homelab(*arguments, cwd=tmp_path, **environ)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert told in done.stderr


def test_a_namespace_that_is_not_there_is_not_healthy(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    serve()
    done = homelab("-n", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "--namespace nowhere: there is no such namespace; see kubectl get namespaces\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    (tmp_path / "inventory" / "group_data").mkdir(parents=True)
    hosts = {"s1": 11, "s2": 12, "s3": 13}
    servers = ", ".join(f'("{name}", {{"address": "192.0.2.{number}"}})' for name, number in hosts.items())
    agents = '("a1", {"address": "192.0.2.14"}), ("a2", {"address": "192.0.2.15"})'
    (tmp_path / "inventory" / "house.py").write_text(f"k3s_servers = [{servers}]\nk3s_agents = [{agents}]\n")
    (tmp_path / "inventory" / "group_data" / "all.py").write_text('k3s_version = "v1.35.6+k3s1"\n')
    return tmp_path


def test_the_inventory_tells_which_nodes_ought_to_be_there(serve: Callable[..., ApiServer], house: Path) -> None:
    serve()
    assert homelab(cwd=house).returncode == 0, "nobody named the inventory, and the context is another's"
    done = homelab("--inventory", "house", cwd=house)
    assert done.returncode == 2
    assert "Node a2  [NODE008]" in done.stdout and f"{len(CHECKS) - 4} run, 4 skipped" in done.stdout


def test_the_context_that_the_deploy_writes_names_the_inventory(serve: Callable[..., ApiServer], house: Path) -> None:
    serve(context="homelab-house")
    assert "Node a2  [NODE008]" in homelab(cwd=house).stdout
    away = homelab("-v", cwd=house.parent)
    assert away.returncode == 0 and "skipped NODE008, NODE009: inventory: inventory/: not found here" in away.stdout


def test_help_shows_an_example_and_the_exits(tmp_path: Path) -> None:
    done = homelab("--help", cwd=tmp_path)
    said = " ".join(done.stdout.split())
    assert done.returncode == 0 and "Example: homelab health" in said and "Exits with 2 when" in said


def test_nagios_reads_one_line_and_the_exit_code(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    serve(faults.dead_node)
    done = homelab("--format", "nagios", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    assert re.fullmatch(
        r"HEALTH CRITICAL - Node a1 .*\[NODE001\]; .*; \d+ checks: .* \| critical=1;;0;0 .*\n", done.stdout
    )


def test_nagios_is_told_on_stdout_that_nothing_could_be_checked(tmp_path: Path) -> None:
    done = homelab("--format", "nagios", "--kubeconfig", "missing", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == f"HEALTH UNKNOWN - {done.stderr}"


def test_codes_and_what_they_mean_are_told_without_a_cluster(tmp_path: Path) -> None:
    table = homelab("codes", cwd=tmp_path)
    assert (table.returncode, table.stderr) == (0, "") and re.search(
        r"^POD001 +critical  containers do", table.stdout, re.M
    )
    assert len(json.loads(homelab("codes", "--format", "json", cwd=tmp_path).stdout)["codes"]) >= len(CHECKS)
    told = homelab("explain", "pod001", cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "") and told.stdout.startswith("POD001  containers do not crash")
    assert json.loads(homelab("explain", "POD001", "--format", "json", cwd=tmp_path).stdout)["code"] == "POD001"
    (tmp_path / "mine.toml").write_text('[thresholds]\ncordoned = "30d"\n[severities]\nNODE006 = "off"\n')
    mine = homelab("explain", "NODE006", "--settings", "mine.toml", cwd=tmp_path).stdout
    assert "cordoned = 30d  (by default 1d)\n" in mine and "(at worst warning, here off)\n" in mine
    unknown = homelab("explain", "POD0001", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (3, "")
    assert unknown.stderr == "POD0001: there is no such code; did you mean POD001?\n"


COLOURS = ["", pytest.param("1", marks=pytest.mark.broad)]


def unread(stream: str, *arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it with nobody who reads its stdout or its stderr."""
    read, write = os.pipe()
    os.close(read)
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write}
    command, environment = [HOMELAB, "health", *arguments], {**os.environ, **environ}
    try:
        return subprocess.run(command, cwd=cwd, text=True, env=environment, timeout=120, check=False, **streams)
    finally:
        os.close(write)


@pytest.mark.parametrize("arguments", [(), ("--format", "json"), ("--watch", "60")])
@pytest.mark.parametrize("colour", COLOURS)
def test_who_stops_reading_has_had_enough(
    serve: Callable[..., ApiServer], tmp_path: Path, arguments: tuple[str, ...], colour: str
) -> None:
    """As `head` does; the exit tells what was found, as ever."""
    serve(faults.crash_loop)
    done = unread("stdout", *arguments, cwd=tmp_path, FORCE_COLOR=colour)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (">&-", "stdout is closed, so that no report can be printed; open it, or write --output FILE\n"),
        (">/dev/full", "stdout: No space left on device; the report was not printed whole\n"),
    ],
)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_report_that_cannot_be_printed_is_could_not_check(
    serve: Callable[..., ApiServer], tmp_path: Path, to: str, said: str, colour: str
) -> None:
    """Neither 0, which says that all is well, nor 1, which is a warning."""
    serve(faults.crash_loop)
    done = redirected(f"health {to}", tmp_path, FORCE_COLOR=colour)
    assert (done.returncode, done.stderr, done.stdout) == (3, said, "")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("options", "to", "code"),
    [
        ("--within 1ms", ">/dev/full", 3),
        ("--within 1ms", "2>/dev/full", 2),
        ("--within 1ms", "2>&-", 2),
        ("--within 1ms", ">/dev/full 2>/dev/full", 3),
        ("--within 1s --watch 1", ">/dev/full", 3),
        ("--within 1s --watch 1", "2>/dev/full", 2),
    ],
)
def test_a_wait_ends_with_its_exit_code_whatever_cannot_be_told(
    serve: Callable[..., ApiServer], tmp_path: Path, options: str, to: str, code: int, colour: str
) -> None:
    serve(faults.crash_loop)
    done = redirected(f"health --for 1s {options} {to}", tmp_path, FORCE_COLOR=colour)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert ("POD001" in done.stdout) is (code == 2)


@pytest.mark.parametrize(
    ("stream", "options"), [("stderr", ("--within", "1ms")), ("stdout", ("--within", "1s", "--watch", "1"))]
)
def test_a_wait_goes_on_when_its_reader_has_gone(
    serve: Callable[..., ApiServer], tmp_path: Path, stream: str, options: tuple[str, ...]
) -> None:
    serve(faults.crash_loop)
    done = unread(stream, "--for", "1s", *options, cwd=tmp_path)
    assert done.returncode == 2 and not done.stderr
    assert stream == "stdout" or "POD001" in done.stdout


def test_letters_that_an_encoding_lacks_are_spelled_out(
    serve: Callable[..., ApiServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waits(cluster: K3s) -> None:
        faults.bad_image(cluster)
        for pod in cluster.lists["pods"]:
            for each in pod["status"].get("containerStatuses", ()):
                if "waiting" in each["state"]:
                    each["state"]["waiting"]["message"] = "Rückzug → später"

    serve(waits)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = homelab(cwd=tmp_path, run=apart)
    assert (done.returncode, done.stderr) == (2, "")
    assert "R\\xfcckzug \\u2192 sp\\xe4ter" in done.stdout
