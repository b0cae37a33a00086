"""Who looks after the disks: a look every ten minutes, scrubs and checks, SMART; and what nobody asks for any more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.nas import alerts, backup, mounts, recycle, snapraid, snapshots, ups
from homelab.nas.scripts import ON_FAILURE, path, script, service, timer, unit
from homelab.probe import HostProbe, Questions

CONFIG = "/etc/homelab/watch"
DISKS = "/etc/homelab/disks"
TIMER = "homelab-watch.timer"
SMARTD = "smartmontools.service"
MD_MONITOR = "mdmonitor.service"
# Debian has two that read arrays whole, cron's checkarray and these timers, which stop at six hours and go on the next
# night; and two that tell of a degraded one. Of each one is kept: mdcheck, and the monitor, which starts ours.
MD_TIMERS = ("mdcheck_start.timer", "mdcheck_continue.timer")
MD_REMINDER = "mdmonitor-oneshot.timer"
MD_DEFAULTS = "/etc/default/mdadm"
# Of ZFS Debian has a monthly scrub of every pool, from cron, which a property of the pool turns off, and upstream's
# timers, which nobody starts by default; ours asks each week. ZED is kept: it takes disks that fail out of use and puts
# spares in their place. That it tells of a change at once is all that is asked of it: what is wrong says the watch.
ZED = "zfs-zed.service"
ZFS_TIMERS = ("zfs-scrub-weekly@{}.timer", "zfs-scrub-monthly@{}.timer")
_PERIODIC_SCRUB = "org.debian:periodic-scrub"
_ZEDLET = ManagedFile(
    "/etc/zfs/zed.d/statechange-homelab.sh",
    """\
#!/bin/sh
# homelab: what ZED runs when a disk of a pool of ZFS changes its state
exec systemctl start --no-block homelab-watch.service
""",
    mode="0755",
)
_OURS = "nas_units"
_SMART = "nas_smart"
_SMART_LOOK = f"""\
if [ -x {path("smartd-conf")} ]; then
  now=$({path("smartd-conf")}); printf '%s\\n' "$now"
  printf '%s\\n' "$now" | cmp -s - /run/homelab-smartd/smartd.conf && echo same
  exit
fi
# Before the first run smartctl need not be there; these kinds of disk have no SMART whoever asks.
for id in @DISKS@; do
  case "$id" in
    serial:*) device=$(lsblk -dno NAME,SERIAL | awk -v s="${{id#serial:}}" '
      {{n = $1; $1 = ""; sub(/^ +/, "")}} $0 == s {{print "/dev/" n; exit}}') ;;
    *) device=$(readlink -e "/dev/disk/by-id/$id") ;;
  esac
  case "$device" in /dev/vd*|/dev/xvd*|/dev/ubd*|/dev/mmcblk*|/dev/nbd*) echo "# $id: $device has no SMART" ;; esac
done"""
_RELOAD = "nas_reload"
_MONITOR = "nas_mdmonitor"
_SCRUBS = "nas_zfs_scrubs"
_ZED_READ = "nas_zed"
# ZED looks for what to run only when it is started.
_ZED_LOOK = f"""\
since=$(date -d "$(TZ=UTC systemctl show -p ActiveEnterTimestamp --value {ZED})" +%s) &&
  [ "$(stat -c %Z {_ZEDLET.path})" -le "$since" ] && echo read"""
_MONITOR_LOOK = f"tr '\\0' ' ' <\"/proc/$(systemctl show -p MainPID --value {MD_MONITOR})/cmdline\""
# Debian's own mails root, which without a mail server is lost, and ends with 0 all the same.
_MONITOR_DROPIN = unit(
    f"{MD_MONITOR}.d/homelab.conf",
    f"""\
[Unit]
{ON_FAILURE}

[Service]
ExecStart=
ExecStart=/sbin/mdadm --monitor --scan --program {path("mdadm-event")}
""",
)
_SMARTD_DROPIN = unit(
    f"{SMARTD}.d/homelab.conf",
    f"""\
[Unit]
# A virtual machine can have real disks.
ConditionVirtualization=
{ON_FAILURE}

[Service]
RuntimeDirectory=homelab-smartd
ExecStartPre=/bin/sh -c '{path("smartd-conf")} >/run/homelab-smartd/smartd.conf'
ExecStart=
# Without a disk that has SMART it idles, so that its unit tells of real trouble only.
ExecStart=/usr/sbin/smartd -n -q never -c /run/homelab-smartd/smartd.conf $smartd_opts
""",
)


def questions(nas: Nas) -> Questions:
    """All that the snapshots, backups, alerts and the watch ask of a host."""
    own = Questions(
        text=(MD_DEFAULTS,),
        packages=("mdadm", *packages(nas)),
        units=(
            "fstrim.timer",
            SMARTD,
            MD_MONITOR,
            *MD_TIMERS,
            MD_REMINDER,
            TIMER,
            *alerts.timers(),
            *_scrub_timers(nas),
        ),
        commands=(
            (
                _OURS,
                "cd /etc/systemd/system && "
                "ls -d homelab-snapshot@*.timer homelab-backup@*.timer homelab-scrub@*.timer homelab-sync@*.timer "
                f"{recycle.TIMER}",
            ),
            (_SMART, _SMART_LOOK.replace("@DISKS@", " ".join(shlex.quote(disk.id) for disk in nas.disks.values()))),
            (_MONITOR, _MONITOR_LOOK),
            (_RELOAD, "systemctl show -p NeedDaemonReload --value 'homelab-*' smartmontools.service | grep yes"),
        ),
    )
    if pools := _of_kind(nas, "zfs"):
        look = "\n".join(
            f'[ "$(cat /proc/spl/kstat/zfs/{pool}/state)" = SUSPENDED ] || '
            f"timeout 60 zfs get -H -o name,value {_PERIODIC_SCRUB} {pool}"
            for pool in pools
        )
        units = (ZED, *(each.format(pool) for pool in pools for each in ZFS_TIMERS))
        own |= Questions(units=units, commands=((_SCRUBS, look), (_ZED_READ, _ZED_LOOK)))
    rooms = own | snapshots.questions(nas) | backup.questions(nas) | alerts.questions()
    return rooms | Questions(
        units=timers(nas), paths=tuple(each.path for each in files(nas, "", dict.fromkeys(nas.backups, "")))
    )


def packages(nas: Nas) -> tuple[str, ...]:
    """What Debian has of it; the tools of the pools are installed with them."""
    return (*alerts.packages(), *backup.packages(nas), "smartmontools")


def files(nas: Nas, host: str, revealed: dict[str, str]) -> tuple[ManagedFile, ...]:
    """Every file of snapshots, backups, alerts and the watch, in the order in which they may be laid.

    `revealed` are the secrets in clear: the backups' by their names, the alerts' as `alerts.smtp_password`.
    """
    own = [
        script("metrics.sh"),
        script("homelab-watch"),
        ManagedFile(CONFIG, "".join(f"{line}\n" for line in _watched(nas))),
        # Of all else that hangs it tells. A disk that does not answer would hold it up for ever, and its timer with it.
        unit(
            "homelab-watch.service",
            service("Look at pools, snapshots and backups", path("homelab-watch"), limit="30min"),
        ),
        unit(TIMER, timer("Look at pools, snapshots and backups", "OnBootSec=5min", "OnUnitActiveSec=10min")),
        *_smartd(nas),
    ]
    if _of_kind(nas, "mdraid"):
        own += [
            script("mdadm-event"),
            _MONITOR_DROPIN,
            # A NAS that was off on the first Sunday of the month reads its arrays when it is on again.
            unit(f"{MD_TIMERS[0]}.d/homelab.conf", "[Timer]\nPersistent=true\n"),
        ]
    if _of_kind(nas, "zfs"):
        own.append(_ZEDLET)
    if _scrubbed(nas):
        own += [
            script("homelab-scrub"),
            unit(
                "homelab-scrub@.service",
                service("Scrub the pool %i", f"{path('homelab-scrub')} %i", heavy=True),
            ),
        ]
        # Each week it is asked whether four weeks have passed, so that a scrub that a reboot ended is taken up again.
        when = ("OnCalendar=Sat *-*-* 01:00", "RandomizedDelaySec=6h", "FixedRandomDelay=true", "Persistent=true")
        own += [unit(f"homelab-scrub@{pool}.timer", timer(f"Scrub the pool {pool}", *when)) for pool in _scrubbed(nas)]
    own += _patient(nas)
    rooms = (
        *alerts.files(nas, revealed),
        *snapshots.files(nas),
        *recycle.files(nas),
        *backup.files(nas, host, revealed),
        *snapraid.files(nas),
    )
    return (*rooms, *own)


def _patient(nas: Nas) -> list[ManagedFile]:
    """A timer that was missed fires at boot, when a slow disk's pool may yet be on its way: its job waits for it."""
    jobs = ["homelab-watch"]
    jobs += ["homelab-snapshot@"] if nas.snapshots else []
    jobs += ["homelab-backup@"] if nas.backups else []
    jobs += ["homelab-scrub@"] if _scrubbed(nas) else []
    jobs += ["homelab-sync@"] if snapraid.pools(nas) else []
    jobs += ["homelab-recycle"] if recycle.timers(nas) else []
    after = f"[Unit]\nAfter={' '.join(mounts.units(nas, nas.pools))}\n"
    return [unit(f"{job}.service.d/pools.conf", after) for job in jobs]


def timers(nas: Nas, container: str = "none") -> tuple[str, ...]:
    """The timers that should run, all enabled at boot; in a container, none that systemd skips there."""
    return (
        *alerts.timers(),
        *snapshots.timers(nas),
        *recycle.timers(nas),
        *backup.timers(nas),
        TIMER,
        *_scrub_timers(nas),
        *snapraid.timers(nas),
        *(("fstrim.timer",) if container == "none" else ()),
        *(MD_TIMERS if _of_kind(nas, "mdraid") else ()),
    )


def stale(nas: Nas, probe: HostProbe) -> tuple[str, ...]:
    """The toolkit's own timers on the host that the inventory no longer asks for."""
    wanted = timers(nas)
    return tuple(name for name in probe.output.get(_OURS, "").split() if name not in wanted and _ours(name))


def remove(timers: tuple[str, ...]) -> str:
    """The script that stops and removes these timers and what they were told; snapshots and repositories stay, but for
    what a backup that was killed had frozen."""
    lines = ["set -e"]
    for name in timers:
        room, _, which = name.removeprefix("homelab-").removesuffix(".timer").partition("@")
        rubbish = [f"/etc/systemd/system/{name}"]
        jobs = {"backup": ("backup", "check", "restore"), "sync": ("sync", "snapraid")}.get(room, (room,))
        rubbish += [f"/var/lib/homelab/status/{job}-{which or 'all'}" for job in jobs]
        if room == "snapshot":
            rubbish.append(f"{snapshots.CONFIG}/{which}")
        if room == "backup":
            lines.append(backup.let_go(which))
            rubbish += [f"{backup.CONFIG}/{which}", f"{backup.CONFIG}/{which}.password"]
            rubbish.append(f"/var/lib/homelab/backup/{which}.repository")
        if room == "sync":
            # What the parity is of stays: only with that can it restore anything.
            rubbish += [f"{snapraid.CONFIG}/{which}", f"{snapraid.CONFIG}/{which}.conf"]
        lines += [
            # One that runs just now comes to its end; only its timer goes.
            f"systemctl disable --now --quiet {name} || :",
            f"rm -f {' '.join(rubbish)}",
            f"systemctl reset-failed {name.removesuffix('.timer')}.service 2>/dev/null || :",
        ]
    return "\n".join([*lines, "systemctl daemon-reload"])


def one_check(nas: Nas, probe: HostProbe) -> bool:
    """Whether arrays are read by nobody but the mdcheck timers, and told of by nobody but the monitor."""
    if not _of_kind(nas, "mdraid"):
        return True
    # Where the package is installed but has no such file, it has no such jobs either.
    settings = probe.text.get(MD_DEFAULTS, "" if "mdadm" in probe.packages else "AUTOCHECK=true")
    cron = re.search(r"^(AUTOCHECK|AUTOSCAN)=(?!false)", settings, re.MULTILINE)
    return cron is None and probe.unit(MD_REMINDER).active != "active" and probe.unit(MD_REMINDER).enabled != "enabled"


ONE_CHECK = rf"""
set -e
# Debian's own switches, which its package keeps when it is upgraded.
[ ! -e {MD_DEFAULTS} ] || sed -i -E 's/^(AUTOCHECK|AUTOSCAN)=.*/\1=false/' {MD_DEFAULTS}
systemctl disable --now --quiet {MD_REMINDER} 2>/dev/null || :
"""


def zed(nas: Nas) -> bool:
    """Whether there are pools of ZFS for ZED to look after."""
    return bool(_of_kind(nas, "zfs"))


def zed_as_it_is(probe: HostProbe) -> bool:
    """Whether ZED runs and knows of our program; what a cut run laid it has not read."""
    return _ZEDLET.stands(probe.files.get(_ZEDLET.path)) and "read" in probe.output.get(_ZED_READ, "").split()


def to_scrub_alone(nas: Nas, probe: HostProbe) -> str:
    """The command that leaves the scrubs of ZFS to our timer alone; "" when they are."""
    said = dict(line.split("\t") for line in probe.output.get(_SCRUBS, "").splitlines() if line.count("\t") == 1)
    lines = [
        f"zfs set {_PERIODIC_SCRUB}=disable {pool}" for pool in _of_kind(nas, "zfs") if said.get(pool) != "disable"
    ]
    timers = [each.format(pool) for pool in _of_kind(nas, "zfs") for each in ZFS_TIMERS]
    on = [name for name in timers if probe.unit(name).active == "active" or probe.unit(name).enabled == "enabled"]
    lines += [f"systemctl disable --now --quiet {' '.join(on)}"] if on else []
    return " && ".join(lines)


def without_smart(probe: HostProbe) -> tuple[str, ...]:
    """Disks that smartd cannot watch, as the host tells: ``ata-X: /dev/sda has no SMART``."""
    return tuple(line[2:] for line in probe.output.get(_SMART, "").splitlines() if line.startswith("# "))


def reread(probe: HostProbe) -> bool:
    """Whether systemd has yet to read a unit that an earlier run laid."""
    return "yes" in probe.output.get(_RELOAD, "")


def smartd_as_it_is(nas: Nas, probe: HostProbe) -> bool:
    """Whether smartd was started for these disks as they answer now."""
    standing = all(each.stands(probe.files.get(each.path)) for each in _smartd(nas))
    return standing and "same" in probe.output.get(_SMART, "").splitlines()


def monitors(nas: Nas) -> bool:
    """Whether there are arrays for mdadm to tell of."""
    return bool(_of_kind(nas, "mdraid"))


def monitor_as_it_is(probe: HostProbe) -> bool:
    """Whether mdadm's monitor runs and starts our program; what a cut run laid it has not read."""
    return path("mdadm-event") in probe.output.get(_MONITOR, "").split()


def _smartd(nas: Nas) -> tuple[ManagedFile, ...]:
    disks = ManagedFile(DISKS, "".join(f"{disk.id}\n" for disk in nas.disks.values()))
    return (script("smartd-event"), script("smartd-conf"), disks, _SMARTD_DROPIN)


def _watched(nas: Nas) -> Iterator[str]:
    for name, pool in nas.pools.items():
        volumes = [volume for volume, each in nas.volumes.items() if each.pool == name] if pool.kind == "zfs" else []
        yield " ".join(("pool", name, pool.kind, *volumes))
    yield from snapshots.watched(nas)
    yield from backup.watched(nas)
    yield from recycle.watched(nas)
    yield from ups.watched(nas)


def _of_kind(nas: Nas, kind: str) -> tuple[str, ...]:
    return tuple(name for name, pool in nas.pools.items() if pool.kind == kind)


def _scrub_timers(nas: Nas) -> tuple[str, ...]:
    return tuple(f"homelab-scrub@{pool}.timer" for pool in _scrubbed(nas))


def _scrubbed(nas: Nas) -> tuple[str, ...]:
    """The pools that are read whole by a timer of ours."""
    return _of_kind(nas, "btrfs") + _of_kind(nas, "zfs") + _of_kind(nas, "snapraid")


def _ours(name: str) -> bool:
    of_one = re.fullmatch(r"homelab-(snapshot|backup|scrub|sync)@[a-z][a-z0-9_]{0,15}\.timer", name)
    return of_one is not None or name == recycle.TIMER
