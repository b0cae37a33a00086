"""`make sandbox`, `make test` and `make test-all`: the whole way from nothing to verified hosts, step by step.

`python -m tests.sandbox.run sandbox` for the size in SANDBOX, `… test`, `… test-all`.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path

from .hosts import ROOT, Refused, chosen_set, table
from .lab import BIN, LOGS, SANDBOX, Deployed, Lab, Release, environment, release
from .progress import say, step
from .report import Part, Report

# What `make test` leaves to `make test-all`.
SHORT = ("-m", "not long")
# What `pytest` leaves out where there is one server: it would show no more than three do, and take as long.
ON_HA = (
    "--ignore=tests/cluster/test_charts.py",
    "--ignore=tests/cluster/test_deep.py",
    "--ignore=tests/cluster/test_wide.py",
    "--deselect=tests/cluster/test_health.py::test_a_fault_is_one_root_finding_that_names_it",
    "--deselect=tests/cluster/test_health.py::test_what_only_looks_broken_is_not_told_of",
)
# The faults of the cluster; all others in that folder are those of the NAS.
CLUSTER_FAULTS = (
    "tests/faults/test_convergence.py",
    "tests/faults/test_refusals.py",
    "tests/faults/test_patch.py",
    "tests/faults/test_plan.py",
)


class Failed(Exception):
    """A step did not do what it should; the message says where to look."""


def up(size: str) -> None:
    """Boot the hosts of a set; it shows its own progress."""
    if subprocess.call([sys.executable, "-m", "tests.sandbox", "up"], cwd=ROOT, env=environment(size)) != 0:
        raise Failed(f"the hosts of the set {size} did not come up; see above{f' and {LOGS}' if LOGS.exists() else ''}")


def down() -> None:
    subprocess.call([sys.executable, "-m", "tests.sandbox", "down"], cwd=ROOT)


def deploy(lab: Lab, what: str) -> Deployed:
    """Deploy, and keep all that was said in a log; raise Failed with the lines that say why it stopped."""
    done = lab.deploy(what)
    log = LOGS / f"deploy-{lab.size}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.said, encoding="utf-8")
    if done.code != 0:
        raise Failed("\n".join([*done.reasons, f"the deploy of {lab.size} failed; all it said is in {log}"]))
    return done


def unchanged(lab: Lab, what: str) -> None:
    """Deploy again: it must change nothing and restart nothing."""
    hosts = list(nodes(lab)) if lab.version else []
    before = lab.starts(hosts)
    again = deploy(lab, what)
    if again.changes:
        listed = "; ".join(f"{name} on {', '.join(where)}" for name, where in again.changes.items())
        raise Failed(f"the second deploy of {lab.size} changed something: {listed}")
    restarted = [host for host, start in lab.starts(hosts).items() if start != before[host]]
    if restarted:
        raise Failed(f"the second deploy of {lab.size} restarted K3s on {', '.join(restarted)}")


def nodes(lab: Lab) -> tuple[str, ...]:
    """The hosts of a set that are K3s nodes."""
    _, sets = table()
    return tuple(name for name in sets[lab.size] if name != "nas")


def has_nas(lab: Lab) -> bool:
    _, sets = table()
    return "nas" in sets[lab.size]


def nas_faults() -> list[str]:
    """The files with faults of the NAS."""
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    return [path for path in found if path not in CLUSTER_FAULTS]


def broad() -> None:
    """What `make check` has left out; raise Failed when one of it fails."""
    if subprocess.call(["make", "--no-print-directory", "broad"], cwd=ROOT, stdin=subprocess.DEVNULL) != 0:
        raise Failed("tests failed: make broad")


def pytest(lab: Lab, *arguments: str) -> None:
    """Run tests against the sandbox; raise Failed when one fails."""
    command = [str(BIN / "pytest"), "-q", *arguments]
    if subprocess.call(command, cwd=ROOT, env=environment(lab.size, lab.version), stdin=subprocess.DEVNULL) != 0:
        raise Failed(f"tests failed: {' '.join(arguments)}")


def systems(lab: Lab) -> dict[str, str]:
    """The operating system of each host of a set, as the host tells it."""
    _, sets = table()
    return {name: lab.ssh(name, '. /etc/os-release; echo "$PRETTY_NAME"').strip() for name in sets[lab.size]}


def prepare(lab: Lab) -> None:
    """What a person does by hand before a deploy: the folder of a backup is never made on a guess."""
    if has_nas(lab):
        lab.ssh("nas", "mkdir -p -m 0700 /var/backups/homelab-restic")


def show_nodes(lab: Lab) -> None:
    """The cluster as its API tells it, on stdout."""
    first = next(name for name in nodes(lab))
    print(lab.ssh(first, "k3s kubectl get nodes -o wide"), end="")  # noqa: T201


def timed(report: Report, name: str, reason: str, versions: dict[str, str], act: Callable[[], object]) -> None:
    """Carry out one part and write it into the report, also when it fails."""
    started = time.monotonic()
    try:
        with step(name):
            act()
    except (Failed, AssertionError, subprocess.SubprocessError, OSError, ValueError):
        report.add(name, Part("failed", reason, round(time.monotonic() - started, 1), versions))
        raise
    report.add(name, Part("real", reason, round(time.monotonic() - started, 1), versions))


def whole(size: str, chosen: Release, report: Report, marked: tuple[str, ...] = SHORT) -> None:
    """One set from nothing to verified: hosts, a deploy, a second that changes nothing, tests on hosts and cluster.

    `marked` chooses among the cluster's tests.
    """
    lab = Lab(size, chosen.version)
    keeps = has_nas(lab)
    parts = ["site"] if chosen.version else ["base", *(["nas"] if keeps else [])]
    versions = {"pyinfra": installed("pyinfra"), **({"k3s": chosen.version} if chosen.version else {})}
    provided = "hosts simulated by Vagrant on " + platform.platform(terse=True)
    timed(report, f"{size}: hosts", provided, {}, lambda: up(size))
    prepare(lab)
    for what in parts:
        timed(report, f"{size}: deploy {what}", "", versions, partial(deploy, lab, what))
    for what in parts:
        again = f"{size}: second deploy changes nothing" + (f" ({what})" if len(parts) > 1 else "")
        timed(report, again, "", versions, partial(unchanged, lab, what))
    tests = ["tests/hosts"]
    if not chosen.version:
        tests = ["tests/hosts/test_base.py", *(["tests/hosts/test_nas.py"] if keeps else [])]
    timed(report, f"{size}: tests on the hosts", "", {}, lambda: pytest(lab, *tests))
    if chosen.version:
        fewer = ON_HA if size == "small" else ()
        timed(
            report, f"{size}: tests on the cluster", "", versions, lambda: pytest(lab, "tests/cluster", *fewer, *marked)
        )


def sandbox() -> int:
    """`make sandbox`: 0 when all is well, 3 when there was no K3s to check."""
    size = chosen_set(os.environ)
    chosen, report = release(), Report(SANDBOX / "report.json")
    say(f"K3s {chosen.version or 'is skipped'}: {chosen.why}")
    started = time.monotonic()
    whole(size, chosen, report)
    if not chosen.version:
        report.add("k3s", Part("skipped", chosen.why))
        say("the hosts are up and verified; the cluster could not be checked, see above")
        return 3
    show_nodes(Lab(size, chosen.version))
    say(f"all nodes are Ready, {time.monotonic() - started:.0f} s after the start; `make sandbox-down` removes them")
    return 0


def test(sizes: tuple[str, ...], faults: tuple[str, ...]) -> int:
    """`make test` and `make test-all`: what check left out, then each set and its faults; the report comes last."""
    chosen, report = release(), Report(SANDBOX / "report.json")
    say(f"K3s {chosen.version or 'is skipped'}: {chosen.why}")
    code = 0
    try:
        timed(report, "broad tests", "whole sweeps, real tools, properties with all their examples", {}, broad)
        for size in sizes:
            lab = Lab(size, chosen.version)
            whole(size, chosen, report, faults)
            if has_nas(lab):
                broken = partial(pytest, lab, *nas_faults(), *faults)
                timed(report, f"{size}: faults of the NAS", "", {}, broken)
            if size == "ha" and chosen.version:
                broken = partial(pytest, lab, *CLUSTER_FAULTS, *faults)
                timed(report, "ha: faults of the cluster", "", {"k3s": chosen.version}, broken)
        report.add("base", Part("real", "deployed on every host of every set", versions=systems(lab)))
        nas = "mirrors of md and btrfs with shares and backups, on a machine with a kernel of its own"
        report.add("nas", Part("real", nas))
        k3s = (
            Part("real", chosen.why, versions={"k3s": chosen.version})
            if chosen.version
            else Part("skipped", chosen.why)
        )
        report.add("k3s", k3s)
    except (Failed, AssertionError, subprocess.SubprocessError, OSError, ValueError) as problem:
        say(str(problem))
        code = 1
    missing = report.missing(os.environ.get("HOMELAB_REQUIRE", ""))
    if missing:
        say(f"HOMELAB_REQUIRE: {', '.join(missing)} must not be skipped or fail, and did")
        code = code or 1
    down()
    print(report.text(), end="")  # noqa: T201
    return code


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["sandbox"]:
                return sandbox()
            case ["test"]:
                return test(("small", "ha"), SHORT)
            case ["test-all"]:
                return test(("small", "ha", "full", "nfs"), ())
            case _:
                say("usage: python -m tests.sandbox.run sandbox | test | test-all")
                return 1
    except (Failed, Refused, AssertionError) as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command again continues, `make sandbox-down` removes everything")
        return 130


if __name__ == "__main__":
    os.chdir(Path(ROOT))
    sys.exit(main(sys.argv[1:]))
