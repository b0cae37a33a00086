"""What lets the pools be as quick as their disks: schedulers, stripe caches, the share of a rebuild, ZFS's own cache.

Only what is known to help, only of the inventory's own disks and arrays, and never less than somebody gave by hand.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from homelab.files import ManagedFile
from homelab.model import Host, Problem
from homelab.model.nas import Nas
from homelab.probe import HostProbe, Questions
from homelab.storage.records import Record
from homelab.storage.seen import Seen
from homelab.storage.superblocks import mdadm_uuid

RULES = "/etc/udev/rules.d/90-homelab-nas.rules"
SYSCTLS = "/etc/sysctl.d/90-homelab-nas.conf"
ARC = "/etc/modprobe.d/homelab-zfs.conf"
# KiB/s that a rebuild gets of each disk however busy the array is. At the kernel's own 1000 a disk of 8 TB takes three
# months on a NAS that is in use, and as long no further disk may die; at this it takes nine days.
REBUILD_LEAST = 10_000
_REBUILD = "dev.raid.speed_limit_min"
_STATE = "nas-tuning"
_PARITY = ("raid5", "raid6")
# Pages of a parity array's cache for each disk. The kernel starts with 256, which a few writers use up.
_STRIPES, _STRIPES_BEFORE = 8192, 256
_PAGE = 4096
# ZFS keeps what was read in memory that counts as used, and gives it back slowly: half of all until 2.3, since then all
# but 1 GiB (arc_default_max), which leaves pods nothing to begin with. In whole pieces, as the kernel's count of the
# memory differs from version to version.
_ARC_LIVE, _ARC_PIECE = "/sys/module/zfs/parameters/zfs_arc_max", 2**28
# Of the memory, for the caches of all arrays together.
_SHARE = 16
# The settings of md appear with its module, at an array that is found late long after systemd has read sysctl.d.
_AT_MD = 'ACTION=="add", SUBSYSTEM=="module", KERNEL=="md_mod", RUN+="/lib/systemd/systemd-sysctl --prefix=/dev/raid"'

# Nothing here wakes a disk: the kernel tells it of itself, and udev's links are on no disk.
_ASK = r"""
for at in /sys/block/*/queue; do
  disk="${at%/queue}"; disk="${disk##*/}"
  case "$disk" in loop*|ram*|zram*|dm-*|sr*|md*) continue ;; esac
  echo "disk $disk $(cat "$at/rotational") $(cat "$at/scheduler")"
done
for link in /dev/disk/by-id/md-uuid-*; do
  case "$link" in *-part[0-9]*) continue ;; esac
  at="$(readlink -e "$link")" || continue
  echo "array ${link##*/md-uuid-} ${at##*/} $(cat "/sys/block/${at##*/}/md/stripe_cache_size" 2>/dev/null)"
done
"""
_ASK_ARC = f"""\
[ ! -e {_ARC_LIVE} ] || echo "arc $(cat {_ARC_LIVE})"
grep -lsw -e zfs_arc_max -e zfs.zfs_arc_max /etc/modprobe.d/*.conf /proc/cmdline | grep -vx {ARC} | sed 's/^/by-hand /'
"""


@dataclass(frozen=True)
class Setting:
    """A value in a device's folder under /sys/block. `match` finds the device in a udev rule, whatever it is called.

    `device` is the kernel's name for it now, "" while it is not there, and `live` the value that it has. Of what is a
    least value, more is right as well.
    """

    of: str
    match: str
    attribute: str
    value: str
    device: str = ""
    live: str = ""
    least: bool = False

    @property
    def stands(self) -> bool:
        """Whether there is nothing to set now; what is not there yet gets it from its rule."""
        more = self.least and self.live.isdecimal() and int(self.live) >= int(self.value)
        return not self.device or self.live == self.value or more

    @property
    def says(self) -> str:
        return f"{self.of}: {self.attribute.rpartition('/')[2]} {self.value} instead of {self.live}"


def questions(nas: Nas) -> Questions:
    """What to ask of a NAS with pools."""
    look = _ASK + (_ASK_ARC if _has_zfs(nas) else "")
    return Questions(paths=(RULES, SYSCTLS, ARC), sysctls=(_REBUILD,), commands=((_STATE, look),))


def settings(nas: Nas, seen: Seen, pools: Mapping[str, Record], probe: HostProbe) -> tuple[Setting, ...]:
    """What each disk and array of the inventory's pools should have; nothing of one that needs nothing.

    `pools` are the records of the pools, also of those that this run is about to make.
    """
    disks, arrays = _state(probe)
    return (*_schedulers(nas, seen, disks), *_caches(nas, pools, arrays, probe.memory))


def rules(wanted: tuple[Setting, ...], nas: Nas) -> ManagedFile | None:
    """The udev rules that give each device its settings at boot and whenever it appears; None without any."""
    lines = [
        f'ACTION=="add|change", SUBSYSTEM=="block", ENV{{DEVTYPE}}=="disk", {each.match}, '
        f'ATTR{{{each.attribute}}}="{each.value}"'
        for each in wanted
    ]
    lines += [_AT_MD] if _mirrors(nas) else []
    if not lines:
        return None
    return ManagedFile(RULES, "".join(f"{line}\n" for line in ("# homelab: written from the inventory", *lines)))


def sysctls(nas: Nas, probe: HostProbe) -> Mapping[str, str]:
    """Kernel settings of the host's own; a larger one is not lowered, whoever gave it."""
    if not _mirrors(nas):
        return {}
    live = probe.sysctls.get(_REBUILD, "")
    return {_REBUILD: str(max(REBUILD_LEAST, int(live) if live.isdecimal() else 0))}


def sysctl_file(wanted: Mapping[str, str]) -> ManagedFile | None:
    """The file that systemd reads at boot; None when nothing is wanted."""
    if not wanted:
        return None
    lines = "".join(f"{key} = {value}\n" for key, value in wanted.items())
    return ManagedFile(SYSCTLS, f"# homelab: written from the inventory\n{lines}")


def arc(host: Host, probe: HostProbe) -> ManagedFile | None:
    """How much ZFS may keep in memory, for where pods want some of it too; None where it is left to itself."""
    by_hand = any(line.startswith("by-hand ") for line in probe.output.get(_STATE, "").splitlines())
    if host.storage is None or host.role is None or not _has_zfs(host.storage) or by_hand:
        return None
    size = max(_ARC_PIECE, probe.memory // 2 // _ARC_PIECE * _ARC_PIECE)
    return ManagedFile(ARC, f"# homelab: written from the inventory\noptions zfs zfs_arc_max={size}\n")


def arc_command(wanted: ManagedFile | None, probe: HostProbe) -> str:
    """The command that gives the loaded module its size; "" when it has it, or is not loaded and finds it at boot."""
    said = next((line for line in probe.output.get(_STATE, "").splitlines() if line.startswith("arc ")), "")
    size = wanted.content.strip().rpartition("=")[2] if wanted else ""
    return f"echo {size} >{_ARC_LIVE}" if size and said and said != f"arc {size}" else ""


def command(wanted: tuple[Setting, ...], kernel: Mapping[str, str], probe: HostProbe) -> str:
    """The command that gives the running kernel what it has otherwise; "" when nothing is."""
    lines = [
        f"echo {shlex.quote(each.value)} >/sys/block/{shlex.quote(each.device)}/{each.attribute}"
        for each in wanted
        if not each.stands
    ]
    lines += [
        f"sysctl -qw {key}={shlex.quote(value)}"
        for key, value in kernel.items()
        if probe.sysctls.get(key, value) != value
    ]
    return " && ".join(lines)


def unset(host: Host, wanted: tuple[Setting, ...], kernel: Mapping[str, str], probe: HostProbe) -> Iterator[Problem]:
    """In a container, where none of this is written: what its machine has otherwise."""
    if probe.container == "none":
        return
    found = [each.says for each in wanted if not each.stands]
    found += [
        f"{key} {value} instead of {live}"
        for key, value in kernel.items()
        if (live := probe.sysctls.get(key, value)) != value
    ]
    if found:
        yield Problem(f"{host.name}: {', '.join(found)}", "would be quicker", "set it on the machine of this container")


def stripes(pools: Mapping[str, int], memory: int) -> int:
    """The stripe cache's size of parity arrays with so many disks each; 0 where the kernel's own is as much as fits.

    md(4): it takes the size of a page times this number for each disk.
    """
    size = _STRIPES
    while size > _STRIPES_BEFORE and size * _PAGE * sum(pools.values()) > memory // _SHARE:
        size //= 2
    return size if size > _STRIPES_BEFORE else 0


def _schedulers(nas: Nas, seen: Seen, known: Mapping[str, tuple[bool, str]]) -> Iterator[Setting]:
    # ZFS orders what it asks of its disks itself, and is left to itself.
    pools = [pool for pool in nas.pools.values() if pool.kind != "zfs"]
    for name in dict.fromkeys(disk for pool in pools for disk in pool.members):
        found = [each for each in seen.listed.get(nas.disks[name].id, ()) if each in seen.disks and each in known]
        if len(found) != 1:
            continue
        disk, (rotates, said) = seen.disks[found[0]], known[found[0]]
        value = _scheduler(disk.name, rotates)
        offered = said.replace("[", "").replace("]", "").split()
        # A disk that has no queue to order, an NVMe's with several paths, says "none" without brackets.
        live = said.partition("[")[2].partition("]")[0] or said
        link = nas.disks[name].id if nas.disks[name].id in disk.links else next(iter(disk.links), "")
        if value in offered and link:
            yield Setting(name, f'SYMLINK=="disk/by-id/{link}"', "queue/scheduler", value, disk.name, live)


def _scheduler(disk: str, rotates: bool) -> str:
    """None where the disk orders its requests itself, or another machine does, whatever it says of turning."""
    if disk.startswith(("nvme", "vd", "xvd")):
        return "none"
    # An SSD at SATA is left to the system.
    return "mq-deadline" if rotates else ""


def _caches(
    nas: Nas, pools: Mapping[str, Record], arrays: Mapping[str, tuple[str, str]], memory: int
) -> Iterator[Setting]:
    parity = {name: len(nas.pools[name].disks) for name in pools if nas.pools[name].level in _PARITY}
    parity = {name: disks for name, disks in parity.items() if nas.pools[name].kind == "mdraid"}
    size = stripes(parity, memory)
    for name in parity if size else ():
        uuid = mdadm_uuid(pools[name].uuid)
        device, live = arrays.get(uuid, ("", ""))
        yield Setting(name, f'ENV{{MD_UUID}}=="{uuid}"', "md/stripe_cache_size", str(size), device, live, least=True)


def _has_zfs(nas: Nas) -> bool:
    return any(pool.kind == "zfs" for pool in nas.pools.values())


def _mirrors(nas: Nas) -> bool:
    return any(pool.kind == "mdraid" for pool in nas.pools.values())


def _state(probe: HostProbe) -> tuple[dict[str, tuple[bool, str]], dict[str, tuple[str, str]]]:
    """Whether each disk turns and its schedulers; of each array by its UUID the kernel's name and its stripe cache."""
    disks: dict[str, tuple[bool, str]] = {}
    arrays: dict[str, tuple[str, str]] = {}
    for line in probe.output.get(_STATE, "").splitlines():
        # disk sda 1 none [mq-deadline]; array 5f1d3c1e:7f0b5b53:9d4b3f0f:5a0e6c11 md127 256
        match line.split():
            case ["disk", name, turns, *schedulers]:
                disks[name] = (turns == "1", " ".join(schedulers))
            case ["array", uuid, name, *cache]:
                arrays[uuid] = (name, "".join(cache))
    return disks, arrays
