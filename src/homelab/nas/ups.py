"""Power: NUT on the NAS that has the UPS's cable, and on the hosts that go down with it, before it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from homelab.files import ManagedFile
from homelab.model import Home, Host, Problem
from homelab.model.nas import Nas
from homelab.model.power import Ups
from homelab.nas.scripts import ON_FAILURE, path, script, unit
from homelab.probe import FileState, HostProbe, Questions

# NUT's name for it.
NAME = "ups"
FOLDER = "/etc/nut"
CONF, DRIVER, SERVER, USERS, MONITOR = (
    f"{FOLDER}/{name}" for name in ("nut.conf", "ups.conf", "upsd.conf", "upsd.users", "upsmon.conf")
)
SETTINGS = "/etc/homelab/ups"
PORT = 3493
SERVER_UNIT, MONITOR_UNIT, DRIVER_UNIT = "nut-server.service", "nut-monitor.service", f"nut-driver@{NAME}.service"
ENUMERATOR = "nut-driver-enumerator.service"
# What a boot starts them by: a host with the UPS all of these, one that follows it the first.
_BOOT_UNITS = ("nut.target", "nut-driver.target", ENUMERATOR)
EVENTS = "homelab-ups.path"
_HEADER = "# homelab: written from the inventory, changes here are lost"
_OWNER, _MODE = "root:nut", "0640"
# Of the boot and no other: a flag that a crash leaves on a disk would let the next ordinary halt cut the power.
_KILLPOWER = "/run/nut/homelab-killpower"
_EVENT = "/run/nut/homelab-event"
# Nobody's inhibitor holds this up, as from systemd 257 on even root's own shutdown would be; nor a deaf logind: nothing
# would try again. What is already going down in order is not cut short; without order only where nothing else does it.
POWEROFF = (
    "systemctl -i poweroff || systemctl start --no-block --job-mode=replace-irreversibly poweroff.target"
    " || systemctl --force poweroff"
)
_LOADED, _RELOAD = "nas_ups_loaded", "nas_ups_reload"
_EXTRA = {
    "snmp-ups": "nut-snmp",
    "netxml-ups": "nut-xml",
    "nut-ipmipsu": "nut-ipmi",
    "powerman-pdu": "nut-powerman-pdu",
    "generic_modbus": "nut-modbus",
    "phoenixcontact_modbus": "nut-modbus",
    "apc_modbus": "nut-modbus",
    "huawei-ups2000": "nut-modbus",
}
# All that would happen for a simulated UPS until its file is changed by hand.
_DUMMY = "ups.status: OL\nups.mfr: homelab\nups.model: simulated\nbattery.charge: 100\nbattery.runtime: 1800\n"


@dataclass(frozen=True)
class Passwords:
    """What upsd asks for: of its own host's upsmon, which may order the shutdown, and of the others', which may not."""

    primary: str = field(repr=False)
    node: str = field(repr=False)


def questions(home: Home, host: Host) -> Questions:
    """What a host is asked that has a UPS or follows one; another, whether it did so once."""
    if not packages(home, host):
        return Questions(text=(CONF,))
    files = (CONF, DRIVER, SERVER, USERS, MONITOR)
    own = (*files, SETTINGS, *(each.path for each in _extras(host)), *_dummy_path(host))
    return Questions(
        paths=own,
        text=(CONF, USERS, MONITOR),
        packages=("nut-server", "nut-client", "iputils-ping", *_EXTRA.values()),
        units=(SERVER_UNIT, MONITOR_UNIT, DRIVER_UNIT, EVENTS, *_BOOT_UNITS),
        commands=(
            (_LOADED, "cd /run/homelab && head -n 1 nut-server.loaded nut-monitor.loaded"),
            (_RELOAD, f"systemctl show -p NeedDaemonReload --value {SERVER_UNIT} {MONITOR_UNIT} {EVENTS} | grep yes"),
        ),
    )


def packages(home: Home, host: Host) -> tuple[str, ...]:
    """Debian's packages for a host's part."""
    ups = _ups(host)
    if ups is not None:
        # ping tells whether the others are down.
        extra = (_EXTRA[ups.driver],) if ups.driver in _EXTRA else ()
        return ("nut-server", "nut-client", "iputils-ping", *extra)
    return ("nut-client",) if home.followed(host) is not None else ()


def problems(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """Settings of NUT that somebody else wrote, and a NUT of another age."""
    if not packages(home, host):
        return
    place = f"{host.name}: ups"
    if (probe.os_id, probe.os_version) == ("ubuntu", "22.04"):
        yield Problem(place, "NUT 2.7 of Ubuntu 22.04: not supported yet", "upgrade to Ubuntu 24.04, or leave it out")
    text = probe.text.get(CONF, "")
    mode = re.search(r"^\s*MODE\s*=\s*\"?(\w+)", text, re.MULTILINE)
    if _HEADER not in text and mode and mode[1] != "none":
        found = f"{CONF} was written by somebody else (MODE={mode[1]})"
        yield Problem(place, found, f"write in ups what it says, then move {FOLDER}/*.conf away; or leave ups out")


def known(home: Home, nas: Host, probes: Mapping[str, HostProbe]) -> tuple[str, str]:
    """The passwords that hosts of this run have already, "" for one that none has: the NAS's own count first."""
    found = {"primary": "", "node": ""}
    for kind in found:
        own = probes[nas.name].text.get(USERS, "") if nas.name in probes else ""
        match = re.search(rf"^\[homelab_{kind}\]\s*\n\s*password = (\S+)$", own, re.MULTILINE)
        found[kind] = match[1] if match else ""
    for host in home.followers(nas):
        text = probes[host.name].text.get(MONITOR, "") if host.name in probes else ""
        match = re.search(rf"^MONITOR {NAME}@\S+ 1 homelab_node (\S+) secondary$", text, re.MULTILINE)
        found["node"] = found["node"] or (match[1] if match else "")
    return found["primary"], found["node"]


def primary(home: Home, host: Host, probe: HostProbe, passwords: Passwords) -> tuple[ManagedFile, ...]:
    """Every file of the host with the UPS, those with passwords for root and NUT alone."""
    ups = _ups(host)
    assert ups is not None
    followers = home.followers(host)
    listens = ["127.0.0.1", *((str(host.address),) if followers else ())]
    users = (
        f"[homelab_primary]\n\tpassword = {passwords.primary}\n\tupsmon primary\n"
        f"[homelab_node]\n\tpassword = {passwords.node}\n\tupsmon secondary\n"
    )
    monitor = _monitor(
        f"{NAME}@127.0.0.1 1 homelab_primary {passwords.primary} primary",
        # Also where the script is missing or dies.
        f"{path('ups-shutdown')}; {POWEROFF}",
        f"POWERDOWNFLAG {_KILLPOWER}",
        f"NOTIFYCMD {path('ups-event')}",
        *(
            f"NOTIFYFLAG {event} SYSLOG+EXEC"
            for event in ("ONLINE", "ONBATT", "LOWBATT", "FSD", "COMMOK", "COMMBAD", "REPLBATT", "NOCOMM")
        ),
    )
    settings = f"wait={ups.wait}\nnodes={' '.join(str(each.address) for each in followers)}\n"
    # For the watch: who is away is not missed.
    settings += f"logins={' '.join(f'{each.name}={each.address}' for each in followers if not each.away)}\n"
    settings += "".join(f"played={name}\n" for name in _dummy_path(host))
    return (
        *_extras(host),
        *_dummy(ups, probe),
        ManagedFile(SETTINGS, settings),
        _nut(CONF, "MODE=netserver\n"),
        _nut(DRIVER, _driver(ups)),
        _nut(SERVER, "".join(f"LISTEN {address} {PORT}\n" for address in listens)),
        _nut(USERS, users),
        monitor,
    )


def secondary(nas: Host, password: str) -> tuple[ManagedFile, ...]:
    """Every file of a host that goes down with the NAS's UPS; systemd stops what runs there, K3s among it."""
    address = f"[{nas.address}]" if nas.address.version == 6 else str(nas.address)
    return (
        _note(MONITOR_UNIT, (CONF, MONITOR)),
        _nut(CONF, "MODE=netclient\n"),
        _monitor(f"{NAME}@{address} 1 homelab_node {password} secondary", POWEROFF),
    )


def restart(files: tuple[ManagedFile, ...], which: str, probe: HostProbe) -> bool:
    """Whether a unit of NUT runs with other settings than these."""
    of = {SERVER_UNIT: (CONF, DRIVER, SERVER, USERS), MONITOR_UNIT: (CONF, MONITOR)}[which]
    wanted = "".join(each.content for name in of for each in files if each.path == name)
    return hashlib.sha256(wanted.encode()).hexdigest() not in _loaded(probe, which)


def reread(probe: HostProbe) -> bool:
    """Whether systemd has yet to read what an earlier run laid."""
    return "yes" in probe.output.get(_RELOAD, "")


def boot_units(host: Host) -> tuple[str, ...]:
    """What has to be enabled for a boot to start the host's part; NUT's other units are in these."""
    return _BOOT_UNITS if _ups(host) is not None else _BOOT_UNITS[:1]


def at_boot(host: Host, probe: HostProbe) -> bool:
    """Whether a boot starts the host's part: somebody may have had it disabled, as `LET_GO` does."""
    return all(probe.unit(name).enabled == "enabled" for name in boot_units(host))


def enable(host: Host) -> str:
    """The command after which a boot starts the host's part."""
    return f"systemctl enable --quiet {' '.join(boot_units(host))}"


def driver_runs(files: tuple[ManagedFile, ...], probe: HostProbe) -> bool:
    """Whether the driver runs, and with these settings: upsd has noted which it was started beside."""
    return probe.unit(DRIVER_UNIT).active == "active" and not restart(files, SERVER_UNIT, probe)


def start_driver(host: Host) -> str:
    """The command that makes NUT's unit of the driver anew and starts it."""
    ups = _ups(host)
    assert ups is not None
    return f"""\
systemctl restart {ENUMERATOR} && systemctl enable --quiet {DRIVER_UNIT} && systemctl restart {DRIVER_UNIT} || {{
  echo 'homelab: no UPS answers {ups.driver} at {ups.port}; is its cable in? journalctl -u {DRIVER_UNIT}' >&2
  exit 1
}}"""


def stale(home: Home, host: Host, probe: HostProbe) -> bool:
    """Whether this host has a part in a UPS that the inventory describes no more."""
    text = probe.text.get(CONF, "")
    return not packages(home, host) and _HEADER in text and "MODE=none" not in text


LET_GO = f"""\
set -e
for unit in nut-driver-enumerator.path {EVENTS} {MONITOR_UNIT} {SERVER_UNIT} {DRIVER_UNIT} \\
    {" ".join(reversed(_BOOT_UNITS))}; do
  systemctl disable --now --quiet "$unit" 2>/dev/null || :
  # A daemon of NUT that is told to end may end as if it had failed.
  systemctl reset-failed "$unit" 2>/dev/null || :
done
printf '%s\\n' '{_HEADER}' 'MODE=none' >{CONF}
rm -f {DRIVER} {USERS} {MONITOR} {SETTINGS}"""


def watched(nas: Nas) -> Iterator[str]:
    """The line for the watch."""
    if nas.ups is not None:
        yield f"ups {NAME}"


def _ups(host: Host) -> Ups | None:
    return host.storage.ups if host.storage is not None else None


def _nut(name: str, text: str) -> ManagedFile:
    return ManagedFile(name, f"{_HEADER}\n{text}", mode=_MODE, owner=_OWNER)


def _driver(ups: Ups) -> str:
    lines = [f"[{NAME}]", f"\tdriver = {ups.driver}", f"\tport = {ups.port}"]
    for key, value in ups.options.items():
        lines.append(f"\t{key}" if value is True else f'\t{key} = "{value}"')
    return "maxretry = 3\n" + "\n".join(lines) + "\n"


def _monitor(monitor: str, shutdown: str, *more: str) -> ManagedFile:
    lines = [
        f"MONITOR {monitor}",
        "MINSUPPLIES 1",
        f'SHUTDOWNCMD "{shutdown}"',
        "POLLFREQ 5",
        "POLLFREQALERT 5",
        # The others have so long to hear of it; how long they then take, ups-shutdown sees.
        "HOSTSYNC 15",
        "DEADTIME 15",
        "RBWARNTIME 43200",
        "NOCOMMWARNTIME 300",
        "FINALDELAY 5",
        *more,
    ]
    return _nut(MONITOR, "\n".join(lines) + "\n")


def _note(which: str, names: tuple[str, ...]) -> ManagedFile:
    """A drop-in by which a unit notes what it was started with, and is started again for as long as it fails.

    upsd gives up where an address that it is to listen at is not there, as after a power cut that the switch needs
    longer for; a host whose upsmon has died would not go down in time. NUT's own units have Restart= from 2.8.1 on, and
    soon give up. An upsmon that has ordered the shutdown ends with 0 and is left alone.
    """
    noted = f"/run/homelab/{which.removesuffix('.service')}.loaded"
    hashed = f"cat {' '.join(names)} | sha256sum | cut -c 1-64 >{noted}"
    return unit(
        f"{which}.d/homelab.conf",
        "[Unit]\nWants=network-online.target\nAfter=network-online.target\nStartLimitIntervalSec=0\n\n"
        "[Service]\nRestart=on-failure\nRestartSec=15\n"
        f"ExecStartPost=/bin/sh -c 'mkdir -p -m 0755 /run/homelab; {hashed}'\n",
    )


def _extras(host: Host) -> tuple[ManagedFile, ...]:
    """What the NAS needs beside NUT's own settings; nothing of them is secret."""
    if _ups(host) is None:
        return (_note(MONITOR_UNIT, (CONF, MONITOR)),)
    return (
        script("ups-event"),
        script("ups-look"),
        script("ups-shutdown"),
        _note(SERVER_UNIT, (CONF, DRIVER, SERVER, USERS)),
        _note(MONITOR_UNIT, (CONF, MONITOR)),
        # upsmon's events come from a user without rights: all that user may do is to make root look.
        unit(
            EVENTS,
            f"[Unit]\nDescription=Events of the UPS\n\n[Path]\nPathChanged={_EVENT}\n\n"
            "[Install]\nWantedBy=multi-user.target\n",
        ),
        unit(
            "homelab-ups.service",
            f"[Unit]\nDescription=Look at the UPS at once\n{ON_FAILURE}\nStartLimitIntervalSec=0\n\n"
            f"[Service]\nType=oneshot\nExecStart={path('ups-look')} {_EVENT}\n",
        ),
    )


def _dummy_path(host: Host) -> tuple[str, ...]:
    ups = _ups(host)
    return (f"{FOLDER}/{ups.port}",) if ups is not None and ups.driver == "dummy-ups" else ()


def _dummy(ups: Ups, probe: HostProbe) -> tuple[ManagedFile, ...]:
    """What a simulated UPS plays, when there is nothing yet: afterwards it is for the user to change."""
    name = f"{FOLDER}/{ups.port}"
    if ups.driver != "dummy-ups" or isinstance(probe.files.get(name), FileState):
        return ()
    return (ManagedFile(name, _DUMMY, mode=_MODE, owner=_OWNER),)


def _loaded(probe: HostProbe, which: str) -> str:
    """What a unit noted: `head` gives each file's name in a line before it."""
    parts = re.split(r"^==> (\S+) <==$", probe.output.get(_LOADED, ""), flags=re.MULTILINE)
    noted = dict(zip(parts[1::2], parts[2::2], strict=False))
    return noted.get(f"{which.removesuffix('.service')}.loaded", "").strip()
