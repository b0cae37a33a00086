"""SMB3 shares: smb.conf, wholly the toolkit's own, and when smbd has to read it anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

from homelab.files import ManagedFile
from homelab.model import Home, Host, Problem
from homelab.model.nas import Nas, Share, Smb
from homelab.nas import mounts, snapshots, users
from homelab.probe import HostProbe, Questions

CONF = "/etc/samba/smb.conf"
# A user's own settings, read at the end of [global]; Samba does not mind that it is not there.
LOCAL = "/etc/samba/local.conf"
BEFORE = "/etc/samba/smb.conf.before-homelab"
UNIT = "smbd.service"
# NetBIOS' daemon, which nobody needs who speaks SMB3.
OLD_UNITS = ("nmbd.service",)
NOTE = "/usr/local/lib/homelab/smb-loaded"
_LOADED = "/run/homelab/smb.loaded"
_STATE, _READ = "nas-smb-conf", "nas-smb-loaded"
WORKGROUP = "WORKGROUP"

_HEADER = "# homelab: written from the inventory, changes here are lost; your own settings go to " + LOCAL
_SHARES = "# shares"

# "ours", "default" (as the package laid it, which ucf has noted, or without a line of its own), "foreign", "absent".
_WHOSE = f"""\
whose() {{
  [ -e {CONF} ] || {{ echo absent; return; }}
  if head -n 1 {CONF} | grep -qxF '{_HEADER}'; then echo ours; return; fi
  sum="$(md5sum <{CONF} | cut -d' ' -f1)"
  if grep -qsxF "$sum  {CONF}" /var/lib/ucf/hashfile || cmp -s {CONF} /usr/share/samba/smb.conf; then echo default
  elif grep -qE '^[[:space:]]*[^#;[:space:]]' {CONF}; then echo foreign
  else echo default; fi
}}
"""

# testparm ends with 0 whatever it finds in a file that it can read, and says on stderr what it made of it.
_CHECK = (
    _WHOSE
    + f"""\
state="$(whose)"
if [ "$state" = foreign ]; then
  echo "{CONF} was written by somebody else; move what it says to shares, then move it away" >&2; rm -f "$new"; exit 1
fi
said="$(testparm -s "$new" 2>&1 >/dev/null </dev/null)" || {{ printf '%s\\n' "$said" >&2; rm -f "$new"; exit 1; }}
case "$said" in
  *"nknown parameter"*|*"gnoring"*|*"ERROR"*|*"Error"*|*"nvalid"*|*"adly formed"*)
    printf '%s\\n' "$said" >&2; rm -f "$new"; exit 1 ;;
esac
[ "$state" != default ] || cp -a {CONF} {BEFORE}"""
)

_GLOBAL = f"""\
{_HEADER}
[global]
	server role = standalone server
	workgroup = {WORKGROUP}
	server string = %h

	# SMB3 alone, signed always and encrypted whenever the client can; every SMB3 client can.
	server min protocol = SMB3
	server signing = mandatory
	server smb encrypt = desired
	disable netbios = yes
	smb ports = 445
	multicast dns register = no

	map to guest = never
	restrict anonymous = 2
	access based share enum = yes
	usershare max shares = 0
	obey pam restrictions = no
	unix password sync = no

	load printers = no
	printing = bsd
	printcap name = /dev/null
	disable spoolss = yes

	logging = file
	log file = /var/log/samba/log.smbd
	max log size = 1000

	# For macOS, and the same on every share: clients keep what they learn of one for all.
	vfs objects = catia fruit streams_xattr
	ea support = yes
	fruit:aapl = yes
	fruit:model = MacSamba
	fruit:encoding = native
	fruit:metadata = stream
	# Not in an extended attribute: those of ext4 hold 4 KiB.
	fruit:resource = file
	fruit:nfs_aces = no
	fruit:zero_file_id = no
	fruit:veto_appledouble = no
	fruit:wipe_intentionally_left_blank_rfork = yes
	fruit:delete_empty_adfiles = yes

	include = {LOCAL}
"""

# Notes what smbd has read, of [global] and of all: what is in force is then known, whatever a run was cut between.
NOTE_FILE = ManagedFile(
    NOTE,
    f"""\
#!/bin/sh
# homelab: notes what smbd was started with, or has read since
set -eu
mkdir -p -m 0755 /run/homelab
{{ sed '/^{_SHARES}$/,$d' {CONF} | sha256sum; sha256sum <{CONF}; }} | cut -d' ' -f1 >{_LOADED}.new
mv -fT {_LOADED}.new {_LOADED}
""",
    mode="0755",
)
RELOAD = f"systemctl reload {UNIT} && {NOTE}"


def shares(nas: Nas) -> dict[str, tuple[Share, Smb]]:
    """The shares that SMB serves, by name."""
    return {name: (share, share.smb) for name, share in nas.shares.items() if share.smb is not None}


def wanted(host: Host, probe: HostProbe) -> bool:
    """Whether this host is to have an smb.conf of ours: for its shares, or because it had one, now without any."""
    return host.storage is not None and (bool(shares(host.storage)) or _whose(probe) == "ours")


def packages(probe: HostProbe) -> tuple[str, ...]:
    """Debian's packages. The modules are only recommended by samba, and part of it since Debian 13."""
    apart = (probe.os_id, probe.os_version) in (
        ("debian", "12"),
        ("raspbian", "12"),
        ("ubuntu", "22.04"),
        ("ubuntu", "24.04"),
    )
    return ("samba", "samba-vfs-modules") if apart else ("samba",)


def questions(home: Home, host: Host) -> Questions:
    """What to ask a NAS about SMB; also one that has no such share any more."""
    if host.storage is None:
        return Questions()
    return Questions(
        paths=(CONF, NOTE, dropin(host).path),
        units=(UNIT, *OLD_UNITS),
        packages=("samba", "samba-vfs-modules"),
        commands=((_STATE, f"{_WHOSE}whose"), (_READ, f"cat {_LOADED}")),
    )


def problems(home: Home, host: Host, probe: HostProbe) -> Iterator[Problem]:
    """A smb.conf that somebody else wrote, and shares whose users could not get in."""
    nas = host.storage
    if nas is None or not shares(nas):
        return
    if _whose(probe) == "foreign":
        found = "was written by somebody else"
        yield Problem(f"{host.name}: {CONF}", found, f"write its shares in the inventory, then move it away ({BEFORE})")
    for name, (share, smb) in shares(nas).items():
        for user in smb.users:
            if not _gets_in(nas, share, smb, user):
                found = f"{user} may not {'read' if smb.read_only else 'write'} in volume {share.volume}"
                remedy = f'write "owner", or "group": "users", in volumes.{share.volume}, and a mode to fit'
                yield Problem(f"{host.name}: shares.{name}.smb.users", found, remedy)


def conf(host: Host) -> ManagedFile:
    """The whole smb.conf; what it replaces is kept once, when it was the package's."""
    nas = host.storage
    parts = [_GLOBAL, _SHARES]
    parts += [_share(nas, name) for name in shares(nas)] if nas else []
    return ManagedFile(CONF, "\n".join(parts) + "\n", check=_CHECK)


def action(host: Host, probe: HostProbe) -> Literal["restart", "reload"] | None:
    """What brings smbd to heed smb.conf. Only a change in [global] ends the sessions of who is connected."""
    text = conf(host).content
    first = text[: text.index(f"{_SHARES}\n")]
    want = [hashlib.sha256(part.encode()).hexdigest() for part in (first, text)]
    has = probe.output.get(_READ, "").split()
    if probe.unit(UNIT).active != "active" or has == want:
        return None if has == want else "restart"
    return "reload" if has[:1] == want[:1] else "restart"


def dropin(host: Host) -> ManagedFile:
    """smbd's wait for its pools, and its note of what it was started with."""
    nas = host.storage
    pools = [nas.volumes[share.volume].pool for share, _ in shares(nas).values()] if nas else []
    return mounts.dropin(UNIT, nas, pools, f"ExecStartPost=-{NOTE}")


def to_disable(probe: HostProbe) -> tuple[str, ...]:
    """NetBIOS' units that are still on."""
    return tuple(unit for unit in OLD_UNITS if _is_on(probe, unit))


def _is_on(probe: HostProbe, unit: str) -> bool:
    state = probe.unit(unit)
    # A package that is installed in this run turns it on.
    return "samba" not in probe.packages or state.enabled == "enabled" or state.active == "active"


def _whose(probe: HostProbe) -> str:
    return probe.output.get(_STATE, "").strip() or "absent"


def _gets_in(nas: Nas, share: Share, smb: Smb, user: str) -> bool:
    """Whether the volume's owner, group and mode let a user do what the share is for."""
    volume = nas.volumes[share.volume]
    mode = int(volume.mode, 8)
    need = 0o5 if smb.read_only else 0o7
    if user == volume.owner:
        return mode >> 6 & need == need
    in_group = _forced(nas, share, smb) or user == users.group(nas, share.volume)
    in_group = in_group or users.shared_group(nas, share.volume) is not None
    return (mode >> 3 if in_group else mode) & need == need


def _forced(nas: Nas, share: Share, smb: Smb) -> str | None:
    """The group that everybody on a share has there, however many groups the volumes have; never root's."""
    group = users.group(nas, share.volume)
    return None if smb.purpose == "private" or group == "root" else group


def _share(nas: Nas, name: str) -> str:
    share, smb = shares(nas)[name]
    volume = nas.volumes[share.volume]
    path, mode = nas.path(share.volume), int(volume.mode, 8)
    if smb.purpose == "private":
        mode = 0o700
    objects = ["catia", "fruit", "streams_xattr"]
    lines = [
        f"path = {path}",
        f"valid users = {' '.join(smb.users)}",
        f"read only = {'yes' if smb.read_only else 'no'}",
        f"browseable = {'no' if smb.purpose == 'private' else 'yes'}",
        f"create mask = {mode & 0o666:04o}",
        f"force create mode = {mode & 0o666:04o}",
        f"directory mask = {mode:04o}",
        f"force directory mode = {mode:04o}",
    ]
    if group := _forced(nas, share, smb):
        lines.append(f"force group = {group}")
    if smb.purpose == "timemachine":
        lines.append("fruit:time machine = yes")
        if volume.quota:
            lines.append(f"fruit:time machine max size = {max(1, volume.quota >> 20)}M")
    if smb.purpose == "multiprotocol" or share.nfs:
        # A client that holds an oplock does not see what NFS writes.
        lines += ["oplocks = no", "level2 oplocks = no"]
    if nas.pools[volume.pool].kind in ("btrfs", "zfs") and smb.purpose != "timemachine":
        objects.append("shadow_copy2")
        if nas.pools[volume.pool].kind == "zfs":
            # What ZFS shows of tank/photos@GMT-... has no @.
            folder, called = f"{path}/.zfs/snapshot", snapshots.FORMAT.lstrip("@")
        else:
            folder, called = f"{nas.mountpoint(volume.pool)}/.snapshots/{share.volume}", snapshots.FORMAT
        lines += [
            f"shadow:snapdir = {folder}",
            f"shadow:basedir = {path}",
            f"shadow:format = {called}",
            "shadow:sort = desc",
        ]
    if smb.recycle:
        # Last, or what is deleted would pass the others by.
        objects.append("recycle")
        lines += [
            "recycle:repository = .recycle/%U",
            f"recycle:directory_mode = {mode:04o}",
            "recycle:subdir_mode = 0700",
            "recycle:keeptree = yes",
            "recycle:versions = yes",
            "recycle:touch_mtime = yes",
            "recycle:exclude = *.tmp ~$* ._*",
            "recycle:exclude_dir = .recycle",
        ]
    lines.append(f"vfs objects = {' '.join(objects)}")
    return "\n".join(["", f"[{name}]", *(f"\t{line}" for line in lines)])
