"""`python -m tests.sandbox up | down | status`, and `power-cut HOST`, `power-on HOST` for tests of faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import boxes, identity, libvirt, machines, network
from .hosts import ROOT, Host, Placed, Refused, choose, chosen_set, table
from .progress import say, step
from .system import CommandFailed

# vdb is the first, and of one letter is the last.
LAST_DISK = 25
USAGE = (
    "usage: python -m tests.sandbox up | down | status | power-cut HOST | power-on HOST"
    " | detach-disk HOST N | attach-disk HOST N | add-disk HOST N MIB | remove-disk HOST N"
)


def state_folder() -> Path:
    """Where this machine keeps which clone has the sandbox, and its processes: one place for all clones."""
    if os.geteuid() == 0:
        return Path("/var/lib/homelab-sandbox")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "homelab-sandbox"


def place() -> tuple[str, list[Placed]]:
    """The chosen set and how its hosts are run here."""
    hosts, sets = table()
    chosen = chosen_set(os.environ)
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    placed = choose(sets[chosen], hosts, os.environ, cpuinfo, os.access("/dev/kvm", os.R_OK | os.W_OK))
    if any(one.built for one in placed) and os.geteuid() != 0:
        raise Refused("boxes, bridge and containers need root here; run it as root, on a machine made for that")
    return chosen, placed


def owner(state: Path) -> str:
    try:
        return (state / "owner").read_text().strip()
    except OSError:
        return ""


def claim(state: Path) -> None:
    """Make this clone the one that has the sandbox on this machine.

    Raise Refused while another one has it, unless SANDBOX_TAKE_OVER says that the machine is ours alone: a cancelled
    CI run leaves its hosts. What a clone that no longer exists left is removed.
    """
    state.mkdir(parents=True, exist_ok=True)
    other = owner(state)
    if other and other != str(ROOT):
        if (Path(other) / ".sandbox").is_dir() and os.environ.get("SANDBOX_TAKE_OVER") != "true":
            raise Refused(f"another sandbox is running from {other}; end it first: make -C {other} sandbox-down")
        say(f"removing what a sandbox from {other} left behind")
        remove_all(state)
        state.mkdir(parents=True, exist_ok=True)
    (state / "owner").write_text(f"{ROOT}\n")


def up() -> None:
    """The chosen hosts run and answer over SSH; does nothing where they do already."""
    started = time.monotonic()
    chosen, placed = place()
    state = state_folder()
    providers = sorted({one.provider for one in placed})
    # It says itself what it installs, in one line, and nothing otherwise.
    if (
        subprocess.call([str(ROOT / "tests/sandbox/host-packages"), "sandbox", *providers], stdin=subprocess.DEVNULL)
        != 0
    ):
        raise Refused("packages are missing, see above")
    claim(state)
    machines.LOGS.mkdir(parents=True, exist_ok=True)
    boxes.end_interrupted(machines.LOGS)
    hosts, _ = table()
    built = any(one.built for one in placed)
    if "libvirt" in providers:
        libvirt.start(state, any(one.emulated for one in placed))
    if built:
        network.up(hosts.values(), state)

    before, earlier = machines.planned()
    moved = {
        hosts[name]: provider
        for name, provider in earlier.items()
        if name in hosts and (name, provider) not in {(one.host.name, one.provider) for one in placed}
    }
    if before == chosen and not moved and machines.ready(placed):
        say(f"{chosen}: {names(placed)} are up")
        return

    identity.ensure_user_key()
    halves = {
        one.host: one.provider for one in placed if not machines.whole(one) and machines.exists(one.host, one.provider)
    }
    gone = moved | halves
    if gone:
        with step(f"destroy {' '.join(host.name for host in gone)}: not wanted, or not finished when it was made"):
            machines.destroy(gone)
    made = boxes.ensure({one.kind for one in placed if one.built}, machines.LOGS)
    for one in placed:
        if not machines.whole(one):
            if one.provider == "libvirt":
                libvirt.remove_disks(one.host.machine)
            identity.renew(one, state)
    machines.write_plan(chosen, placed, made, state)
    identity.write_client_files(one.host for one in placed)
    machines.bring_up(placed)
    say(f"{chosen}: {names(placed)} are up after {time.monotonic() - started:.0f} s")


def names(placed: list[Placed]) -> str:
    return " ".join(f"{one.host.name} ({one.provider}{', emulated' if one.emulated else ''})" for one in placed)


def down() -> None:
    """Nothing of the sandbox is left: no machine, bridge, rule or process."""
    state = state_folder()
    other = owner(state)
    if other and other != str(ROOT):
        raise Refused(f"the sandbox on this machine is that of {other}; end it there: make -C {other} sandbox-down")
    with step("destroy all hosts"):
        remove_all(state)


def remove_all(state: Path) -> None:
    hosts, _ = table()
    _, earlier = machines.planned()
    machines.LOGS.mkdir(parents=True, exist_ok=True)
    boxes.end_interrupted(machines.LOGS)
    machines.end_shared_connections(hosts.values())
    domains = Path("/etc/libvirt/qemu")
    # A domain may outlive the daemon that started it; it takes a daemon to end it properly.
    if any((domains / f"{host.machine}.xml").exists() for host in hosts.values()):
        libvirt.start(state, emulated=True)
    machines.destroy(
        machines.leftovers(hosts.values())
        | {hosts[name]: provider for name, provider in earlier.items() if name in hosts}
    )
    if shutil.which("virsh"):
        libvirt.stop(state)
    if os.geteuid() == 0:
        network.down(state)
    for name in ("plan.json", "known_hosts", "ssh_config"):
        (identity.SANDBOX / name).unlink(missing_ok=True)
    shutil.rmtree(state, ignore_errors=True)


def status() -> int:
    """Print a line per host; 0 if all answer."""
    chosen, earlier = machines.planned()
    hosts, _ = table()
    if not chosen:
        print("no sandbox")  # noqa: T201
        return 1
    good = True
    for name, provider in earlier.items():
        answers = machines.logs_in(hosts[name])
        good = good and answers
        state = "answers" if answers else "runs, does not answer" if machines.running(hosts[name], provider) else "off"
        print(f"{name:4} {hosts[name].address:12} {provider:10} {state}")  # noqa: T201
    return 0 if good else 1


def _of(name: str) -> tuple[Host, str]:
    """A host of the sandbox and its provider; raise Refused when it has none of that name."""
    hosts, _ = table()
    _, earlier = machines.planned()
    if name not in earlier:
        raise Refused(f"{name}: no such host in the sandbox; it has {', '.join(earlier) or 'none'}")
    return hosts[name], earlier[name]


def power(verb: str, name: str) -> None:
    (machines.power_cut if verb == "power-cut" else machines.power_on)(*_of(name))


def disk(verb: str, name: str, number: str) -> None:
    host, provider = _of(name)
    spare = number.isdecimal() and 1 <= int(number) <= host.disks
    if not spare and not (number.isdecimal() and libvirt.added(host.machine, int(number))):
        raise Refused(f"{number}: no such spare disk of {name}, which has {host.disks}")
    (machines.detach_disk if verb == "detach-disk" else machines.attach_disk)(host, provider, int(number))


def more_disks(verb: str, name: str, number: str, mib: str = "") -> None:
    host, provider = _of(name)
    first = host.disks + 1
    if not number.isdecimal() or not first <= int(number) <= LAST_DISK:
        raise Refused(f"{number}: those that can be added to {name} are {first} to {LAST_DISK}")
    if verb == "remove-disk":
        machines.remove_disk(host, provider, int(number))
    elif mib.isdecimal() and int(mib) > 0:
        machines.add_disk(host, provider, int(number), int(mib))
    else:
        raise Refused(f"{mib}: write its size in MiB, 512")


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case ["up"]:
                up()
            case ["down"]:
                down()
            case ["status"]:
                return status()
            case [("power-cut" | "power-on") as verb, name]:
                power(verb, name)
            case [("detach-disk" | "attach-disk") as verb, name, number]:
                disk(verb, name, number)
            case ["add-disk" as verb, name, number, mib]:
                more_disks(verb, name, number, mib)
            case ["remove-disk" as verb, name, number]:
                more_disks(verb, name, number)
            case _:
                raise Refused(USAGE)
    except (Refused, CommandFailed, TimeoutError) as problem:
        say(str(problem))
        return 1
    except KeyboardInterrupt:
        say("interrupted; `up` again continues, `down` removes everything")
        return 130
    return 0


sys.exit(main(sys.argv[1:]))
