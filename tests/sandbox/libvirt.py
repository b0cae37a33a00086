"""The libvirt daemon, started by hand where no init system does it, and the domains in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from .progress import step
from .system import CommandFailed, end, remember, remembered, run, wait_for

_DAEMONS = ("virtlogd", "libvirtd")
_SETTINGS = Path("/etc/libvirt/qemu.conf")
NETWORK = "homelab-vagrant"


def virsh(*arguments: str, check: bool = False, timeout: float = 60) -> str:
    """What virsh prints; "" when it fails, or with check CommandFailed."""
    done = run(["virsh", "--connect", "qemu:///system", *arguments], check=check, timeout=timeout)
    return done.stdout if done.returncode == 0 else ""


def answers() -> bool:
    return virsh("uri", timeout=10) != ""


def start(state: Path, emulated: bool) -> None:
    """libvirt answers; if not, ask the init system for it, or without one start it ourselves."""
    if answers():
        return
    with step("start libvirt"):
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "start", "libvirtd"])
        else:
            for daemon in _DAEMONS:
                end(state / daemon)
                pid_file = state / f"{daemon}.pid"
                pid_file.unlink(missing_ok=True)
                command = [daemon, "--daemon", "--pid-file", str(pid_file)]
                run(_without_kvm(command, state) if emulated else command)
                wait_for(f"{daemon} to write its id", partial(_pid, pid_file), 30, every=0.1)
                remember(state / daemon, _pid(pid_file))
        wait_for("libvirt to answer", answers, 60)


def _without_kvm(command: list[str], state: Path) -> list[str]:
    """The command in a view of this machine where /dev/kvm is a file that nobody may read.

    A KVM that is there for root alone and does not work makes libvirt ask QEMU what it can do again, four seconds of
    it, before each single thing: "KVM was enabled when probing ..., but it is not available now".
    """
    if not Path("/dev/kvm").exists():
        return command
    nothing = state / "no-kvm"
    nothing.touch()
    nothing.chmod(0)
    # libvirt would move that file into each domain's own /dev, and cannot.
    settings = state / "qemu.conf"
    settings.write_text(_SETTINGS.read_text() + "\nnamespaces = []\n")
    cover = f'mount --bind "$0" /dev/kvm && mount --bind "$1" {_SETTINGS} && shift && exec "$@"'
    inside = ["sh", "-c", cover, str(nothing), str(settings), *command]
    return ["unshare", "--mount", "--propagation", "slave", *inside]


def _pid(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def stop(state: Path) -> None:
    """The network for Vagrant is gone, and so are the daemons if we started them."""
    if answers():
        virsh("net-destroy", NETWORK)
        virsh("net-undefine", NETWORK)
    ours = remembered(state / "libvirtd") is not None
    for daemon in reversed(_DAEMONS):
        end(state / daemon)
    if ours:
        _remove_chains()


def _remove_chains() -> None:
    """libvirt leaves its empty firewall chains behind when it ends; one that was there before us keeps its own."""
    for table in ("filter", "nat", "mangle"):
        lines = run(["iptables-save", "-t", table], check=False).stdout.splitlines()
        for line in lines:
            if line.startswith("-A ") and "-j LIBVIRT_" in line:
                run(["iptables", "-w", "-t", table, "-D", *line.split()[1:]], check=False)
        for line in lines:
            if line.startswith(":LIBVIRT_"):
                run(["iptables", "-w", "-t", table, "-F", line[1:].split()[0]], check=False)
                run(["iptables", "-w", "-t", table, "-X", line[1:].split()[0]], check=False)


def state_of(domain: str) -> str:
    """running, shut off, ... or empty when there is no such domain."""
    return virsh("domstate", domain).strip()


def detach(domain: str, number: int, kept: Path) -> None:
    """Take the disk with the serial homelab-d<number> out of a domain; how it was in there is kept in the folder."""
    xml = virsh("dumpxml", "--inactive", domain, check=True)
    disks = ElementTree.fromstring(xml).findall("./devices/disk")
    found = [disk for disk in disks if disk.findtext("serial") == f"homelab-d{number}"]
    if not found:
        return
    path = kept / f"disk-{number}.xml"
    path.write_text(ElementTree.tostring(found[0], encoding="unicode"))
    _device("detach-device", domain, path)


def attach(domain: str, number: int, kept: Path) -> None:
    """Put a disk back that `detach` took out."""
    path = kept / f"disk-{number}.xml"
    if path.exists():
        _device("attach-device", domain, path)
        path.unlink()


def add(domain: str, number: int, mib: int, kept: Path) -> None:
    """A blank disk more, with the serial homelab-d<number>; it is gone with the domain if nobody removes it before."""
    volume = _volume(domain, number)
    virsh("vol-create-as", "default", volume, f"{mib}M", "--format", "qcow2", check=True)
    path = kept / f"disk-{number}.xml"
    path.write_text(disk(virsh("vol-path", volume, "--pool", "default", check=True).strip(), number))
    try:
        _device("attach-device", domain, path)
    except CommandFailed:
        virsh("vol-delete", volume, "--pool", "default")
        raise
    finally:
        path.unlink()


def added(domain: str, number: int) -> bool:
    """Whether a disk is one that `add` made."""
    return _volume(domain, number) in volumes()


def remove(domain: str, number: int, kept: Path) -> None:
    """A disk that `add` made is gone with what it held, also one that is detached."""
    detach(domain, number, kept)
    (kept / f"disk-{number}.xml").unlink(missing_ok=True)
    virsh("vol-delete", _volume(domain, number), "--pool", "default")


def disk(volume: str, number: int) -> str:
    """libvirt's description of a spare disk, as Vagrant has it too: vdb is the first."""
    device = ElementTree.Element("disk", type="file", device="disk")
    ElementTree.SubElement(device, "driver", name="qemu", type="qcow2")
    ElementTree.SubElement(device, "source", file=volume)
    ElementTree.SubElement(device, "target", dev=f"vd{chr(ord('a') + number)}", bus="virtio")
    ElementTree.SubElement(device, "serial").text = f"homelab-d{number}"
    return ElementTree.tostring(device, encoding="unicode")


def _volume(domain: str, number: int) -> str:
    # Beside Vagrant's own, so that what goes with the domain by its name takes this along.
    return f"{domain}-vd-more-{number}.qcow2"


def _device(verb: str, domain: str, path: Path) -> None:
    live = ["--live"] if state_of(domain) == "running" else []
    virsh(verb, domain, str(path), "--config", *live, check=True)


def destroy(domain: str) -> None:
    """The domain is gone with its disks."""
    virsh("destroy", domain)
    virsh("undefine", domain, "--snapshots-metadata", "--nvram")
    remove_disks(domain)


def remove_disks(domain: str) -> None:
    """The disks of a domain are gone; an interrupted making leaves some without a domain."""
    for volume in volumes():
        if volume == f"{domain}.img" or volume.startswith(f"{domain}-vd"):
            virsh("vol-delete", volume, "--pool", "default")


def volumes() -> list[str]:
    """The names in the pool that Vagrant uses."""
    rows = virsh("vol-list", "default").splitlines()[2:]
    return [row.split()[0] for row in rows if row.strip()]
