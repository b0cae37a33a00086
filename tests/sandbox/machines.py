"""The machines themselves: made, started, waited for, destroyed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from . import identity, libvirt
from .boxes import vagrant
from .hosts import BRIDGE, ROOT, Host, Placed
from .progress import say, step
from .system import CommandFailed, run, wait_for

PLAN = identity.SANDBOX / "plan.json"
LOGS = identity.SANDBOX / "log"
# An emulated machine boots in 20 s on an idle host and in minutes on a busy one.
BOOT_DEADLINE = 1800.0

# What a machine from a public box is told over Vagrant's own channel: whom to let in, and what it is.
_INTRODUCE = """
set -eu
cat >/home/vagrant/.ssh/authorized_keys.new <<'KEY'
{key}
KEY
cat /home/vagrant/.ssh/authorized_keys.new >>/home/vagrant/.ssh/authorized_keys
rm /home/vagrant/.ssh/authorized_keys.new
sudo tee /etc/homelab-sandbox >/dev/null <<'MARK'
{mark}MARK
cat /etc/ssh/ssh_host_*_key.pub
"""


def write_plan(chosen: str, placed: Iterable[Placed], boxes: dict[str, str], state: Path) -> None:
    """Tell the Vagrantfile which host runs how."""
    hosts: dict[str, dict[str, object]] = {}
    for one in placed:
        hosts[one.host.name] = {"provider": one.provider, "emulated": one.emulated}
        if one.built:
            hosts[one.host.name] |= {
                "box": boxes[one.kind],
                "seed": str(identity.seed_path(one.host, state)),
            }
    PLAN.write_text(json.dumps({"set": chosen, "bridge": BRIDGE, "hosts": hosts}, indent=2) + "\n")


def planned() -> tuple[str, dict[str, str]]:
    """The set that was brought up last and its hosts' providers."""
    try:
        plan = json.loads(PLAN.read_text())
    except OSError:
        return "", {}
    return plan["set"], {name: host["provider"] for name, host in plan["hosts"].items()}


def exists(host: Host, provider: str) -> bool:
    """The machine is there in whatever state, whether or not Vagrant knows."""
    if provider == "lxc":
        return run(["lxc-info", "-n", host.machine], check=False).returncode == 0
    if provider == "libvirt":
        return libvirt.state_of(host.machine) != ""
    return (ROOT / ".vagrant" / "machines" / host.name / provider / "id").exists()


def running(host: Host, provider: str) -> bool:
    """The machine has power, also one that is only about to go down."""
    return exists(host, provider) and not _off(host, provider)


def _off(host: Host, provider: str) -> bool:
    """It is known to have no power; a machine that nobody can be asked about is not."""
    if provider == "lxc":
        return run(["lxc-info", "-n", host.machine, "-sH"], check=False).stdout.strip() == "STOPPED"
    return provider == "libvirt" and libvirt.state_of(host.machine) in ("shut off", "crashed")


def _known_to_vagrant(host: Host, provider: str) -> bool:
    return (ROOT / ".vagrant" / "machines" / host.name / provider / "id").exists()


def _made(host: Host) -> Path:
    return identity.folder(host) / "made"


def logs_in(host: Host) -> bool:
    """It answers as the very machine that this clone made: host key, login and mark."""
    command = ["ssh", "-F", str(identity.SANDBOX / "ssh_config"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    # A shared connection would answer for a machine that is gone by now.
    command += ["-o", "ControlPath=none", host.name, "cat /etc/homelab-sandbox"]
    done = run(command, check=False, timeout=60)
    mark = identity.mark(host)
    return done.returncode == 0 and mark != "" and done.stdout == mark


def ready(placed: Sequence[Placed]) -> bool:
    """All of them are made, and answer now."""
    if not all(_made(one.host).exists() for one in placed):
        return False
    with ThreadPoolExecutor(len(placed)) as pool:
        return all(pool.map(lambda one: logs_in(one.host), placed))


def whole(one: Placed) -> bool:
    """A machine that was finished once; if it is off now, it only needs to be started."""
    return _made(one.host).exists() and exists(one.host, one.provider) and _known_to_vagrant(one.host, one.provider)


def bring_up(placed: Sequence[Placed]) -> None:
    """Have Vagrant make or start the hosts, each provider's in a Vagrant of its own at the same time, and wait."""
    providers = sorted({one.provider for one in placed})

    def boot(provider: str) -> None:
        names = [one.host.name for one in placed if one.provider == provider]
        with step(f"vagrant up {' '.join(names)} ({provider})"):
            vagrant(["up", "--no-provision", f"--provider={provider}", *names], LOGS / f"up-{provider}.log")

    with ThreadPoolExecutor(len(providers)) as pool:
        booting = [pool.submit(boot, provider) for provider in providers]
    failures = [str(error) for error in (one.exception() for one in booting) if error is not None]
    if failures:
        raise CommandFailed("\n".join(failures))
    for one in placed:
        if not one.built and not _made(one.host).exists():
            _introduce(one.host)
    identity.write_client_files(one.host for one in placed)
    with step("log in to each host"):
        for one in placed:
            wait_for(f"{one.host.name} to answer over SSH", partial(logs_in, one.host), BOOT_DEADLINE)
            _made(one.host).touch()


def _introduce(host: Host) -> None:
    script = _INTRODUCE.format(
        key=identity.private_key().with_suffix(".pub").read_text().strip(), mark=identity.mark(host)
    )
    log = LOGS / f"introduce-{host.name}.log"
    vagrant(["ssh", host.name, "--no-tty", "--command", script], log)
    identity.take_host_keys(host, log.read_text())


def destroy(hosts: dict[Host, str]) -> None:
    """Destroy the machines of these hosts, host to provider, whatever state they are in and whoever knows them."""

    # Vagrant asks a machine to shut down first and waits for it; one that goes anyway needs no such care.
    def stop(host: Host) -> None:
        if hosts[host] == "lxc":
            run(["lxc-stop", "-k", "-n", host.machine], check=False)
        elif hosts[host] == "libvirt":
            libvirt.virsh("destroy", host.machine)

    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        list(pool.map(stop, hosts))
    known = [host.name for host, provider in hosts.items() if _known_to_vagrant(host, provider)]
    if known:
        vagrant(["destroy", "--force", *known], LOGS / "destroy.log", check=False)
    for host, provider in hosts.items():
        # What Vagrant does not know or could not do.
        if provider == "lxc" and exists(host, provider):
            # A pool's mountpoint is immutable, and so cannot be deleted.
            run(["chattr", "-R", "-f", "-i", f"/var/lib/lxc/{host.machine}/rootfs/srv"], check=False)
            run(["lxc-destroy", "-f", "-n", host.machine])
        elif provider == "libvirt" and exists(host, provider):
            libvirt.destroy(host.machine)
        shutil.rmtree(ROOT / ".vagrant" / "machines" / host.name, ignore_errors=True)
        shutil.rmtree(identity.folder(host), ignore_errors=True)


def leftovers(hosts: Iterable[Host]) -> dict[Host, str]:
    """Machines with our hosts' names, host to provider, whoever made them."""
    found: dict[Host, str] = {}
    for host in hosts:
        for provider in ("lxc", "libvirt"):
            if shutil.which({"lxc": "lxc-info", "libvirt": "virsh"}[provider]) and exists(host, provider):
                found[host] = provider
    return found


def end_shared_connections(hosts: Iterable[Host]) -> None:
    """ssh keeps a process per shared connection; none outlives the sandbox."""
    config = identity.SANDBOX / "ssh_config"
    if config.exists():
        for host in hosts:
            run(["ssh", "-F", str(config), "-O", "exit", host.name], check=False)


def power_cut(host: Host, provider: str) -> None:
    """Off at once, as if the plug were pulled; one that is off stays so."""
    # No word comes of a machine without power that its connections are over: what shares one would wait for it.
    end_shared_connections([host])
    if _off(host, provider):
        return
    if provider == "lxc":
        run(["lxc-stop", "-k", "-n", host.machine])
    else:
        libvirt.virsh("destroy", host.machine, check=True)
    say(f"{host.name}: power cut")


def power_on(host: Host, provider: str) -> None:
    """On again, as it was left; one that is on stays so."""
    if running(host, provider):
        return
    if provider == "lxc":
        run(["lxc-start", "-n", host.machine])
    else:
        libvirt.virsh("start", host.machine, check=True)


def detach_disk(host: Host, provider: str, number: int) -> None:
    """A spare disk is pulled, now and for the next boots, until it is attached again."""
    _libvirt_only(host, provider)
    libvirt.detach(host.machine, number, identity.folder(host))
    say(f"{host.name}: disk {number} is out")


def attach_disk(host: Host, provider: str, number: int) -> None:
    """A spare disk that was pulled is back, with what it held."""
    _libvirt_only(host, provider)
    libvirt.attach(host.machine, number, identity.folder(host))
    say(f"{host.name}: disk {number} is in")


def add_disk(host: Host, provider: str, number: int, mib: int) -> None:
    """A blank disk that the table does not have, until it is removed or the machine is gone."""
    _libvirt_only(host, provider)
    libvirt.add(host.machine, number, mib, identity.folder(host))
    say(f"{host.name}: disk {number} is new")


def remove_disk(host: Host, provider: str, number: int) -> None:
    """A disk that was added is gone for good."""
    _libvirt_only(host, provider)
    libvirt.remove(host.machine, number, identity.folder(host))
    say(f"{host.name}: disk {number} is gone")


def _libvirt_only(host: Host, provider: str) -> None:
    if provider != "libvirt":
        raise CommandFailed(f"{host.name} runs by {provider}; disks are pulled from libvirt machines only")
