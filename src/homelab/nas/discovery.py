"""How Windows and macOS find the NAS by themselves: wsdd2 and Avahi, which say what smb.conf serves."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from homelab.files import ManagedFile
from homelab.model import Home, Host
from homelab.nas import smb
from homelab.probe import HostProbe, Questions

# Debian 13 has no wsdd, all four systems have wsdd2. It answers on port 3702, UDP and TCP.
PACKAGES = ("wsdd2", "avahi-daemon")
SERVICES = "/etc/avahi/services/homelab-smb.service"
DROPIN = "/etc/systemd/system/wsdd2.service.d/homelab.conf"
WINDOWS, MACS = "wsdd2.service", "avahi-daemon.service"
_STATE = "nas-wsdd2"


def questions(home: Home, host: Host) -> Questions:
    """What to ask a NAS about its being found; also one that has no SMB share any more."""
    if host.storage is None:
        return Questions()
    running = f"pid=$(systemctl show -p MainPID --value {WINDOWS}); tr '\\000' ' ' </proc/$pid/cmdline"
    return Questions(
        paths=(SERVICES, DROPIN),
        units=(WINDOWS, MACS),
        packages=PACKAGES,
        commands=((_STATE, running),),
    )


def wanted(host: Host) -> bool:
    """Whether there is anything to be found."""
    return host.storage is not None and bool(smb.shares(host.storage))


def windows(host: Host, probe: HostProbe) -> ManagedFile:
    """wsdd2 on the home's own wire only, and without LLMNR, which would answer for names on every other too."""
    lines = ["# homelab: written from the inventory", "[Service]", "ExecStart=", f"ExecStart={_command(host, probe)}"]
    return ManagedFile(DROPIN, "\n".join(lines) + "\n")


def restart(host: Host, probe: HostProbe) -> bool:
    """Whether wsdd2 runs with other options than the wanted ones."""
    return probe.output.get(_STATE, "").split() != _command(host, probe).split()


def macs(host: Host) -> ManagedFile:
    """What Avahi says of this host: that it serves SMB, what it looks like, and which shares take Time Machine.

    Avahi sees a changed file by itself.
    """
    return ManagedFile(SERVICES, "\n".join(_services(host)) + "\n")


def _command(host: Host, probe: HostProbe) -> str:
    interface = host.interface or probe.addresses.get(host.address, "")
    only = f" -i {interface}" if interface else ""
    return f"/usr/sbin/wsdd2 -w{only} -H {host.name} -N {host.name[:15].upper()} -G {smb.WORKGROUP}"


def _services(host: Host) -> Iterator[str]:
    yield '<?xml version="1.0" standalone="no"?>'
    yield '<!DOCTYPE service-group SYSTEM "avahi-service.dtd">'
    yield "<!-- homelab: written from the inventory -->"
    yield "<service-group>"
    yield '  <name replace-wildcards="yes">%h</name>'
    yield from _service("_smb._tcp", 445)
    yield from _service("_device-info._tcp", 0, "model=MacSamba")
    shares = smb.shares(host.storage) if host.storage else {}
    machines = [name for name, (_, share) in shares.items() if share.purpose == "timemachine"]
    if machines:
        # adVF: 0x100 in sys, and for each share 0x82: a Time Machine volume over SMB.
        disks = [f"dk{number}=adVN={name},adVF=0x82" for number, name in enumerate(machines)]
        yield from _service("_adisk._tcp", 9, "sys=waMa=0,adVF=0x100", *disks)
    yield "</service-group>"


def _service(kind: str, port: int, *texts: str) -> Iterator[str]:
    yield "  <service>"
    yield f"    <type>{kind}</type>"
    yield f"    <port>{port}</port>"
    for text in texts:
        yield f"    <txt-record>{escape(text)}</txt-record>"
    yield "  </service>"
