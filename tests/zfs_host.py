"""A NAS in a folder whose pool `tank` is ZFS: stand-ins for zfs and zpool, which say what the real ones say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from homelab.model.nas import Nas
from tests.nas_host import UUID, NasHost, nas

# Made after what `zpool status -p` of OpenZFS 2.1.11 prints (print_status_config in its zpool_main.c), a file each.
STATUS = Path(__file__).parent / "data" / "zpool-status"

# zfs with its snapshots in a file, a line each: name, mark, value, source, holds, clones. Only what the scripts ask is
# known, to the letter; all else fails.
_ZFS = r"""
at=$HOMELAB_ROOT/zfs-snapshots tab=$(printf '\t')
echo "zfs $*" >>"$HOMELAB_ROOT/zfs-asked"
row() { awk -F '\t' -v name="$1" '$1 == name' "$at"; }
case "$*" in
  "get -H -d 1 -t snapshot -o name,value,source homelab:snapshot "*)
    awk -F '\t' -v set="${10}" -v mark="$9" '
      index($1, set "@") == 1 && $2 == mark {print $1 "\t" $3 "\t" $4}
      index($1, set "@") == 1 && $2 != mark {print $1 "\t-\t-"}' "$at" ;;
  "get -Hp -o property,value userrefs,clones "*)
    [ -n "$(row "$6")" ] || exit 1
    row "$6" | awk -F '\t' '{print "userrefs\t" $5; print "clones\t" $6}' ;;
  "get -H -o value,source homelab:backup "*)
    [ -n "$(row "$6")" ] || { echo "cannot open '$6': dataset does not exist" >&2; exit 1; }
    row "$6" | awk -F '\t' '$2 == "homelab:backup" {print $3 "\t" $4; next} {print "-\t-"}' ;;
  "list -Hp -d 0 -o name,used,available") cat "$HOMELAB_ROOT/zpool-room" ;;
  "list -H -o name -t snapshot -r tank") cut -f 1 "$at" ;;
  "list -H -o name -t filesystem,volume -r "*) cat "$HOMELAB_ROOT/zfs-datasets" 2>/dev/null || echo "$8" ;;
  "snapshot -o "*)
    mark=$3
    shift 3
    for name; do
      [ ! -e "$HOMELAB_ROOT/zfs-refuses" ] || ! grep -qx "${name%%@*}" "$HOMELAB_ROOT/zfs-refuses" || exit 1
      [ -z "$(row "$name")" ] || { echo "cannot create snapshot '$name': dataset already exists" >&2; exit 1; }
    done
    for name; do printf '%s\t%s\t%s\tlocal\t0\t-\n' "$name" "${mark%%=*}" "${mark#*=}" >>"$at"; done ;;
  "destroy "*@*)
    [ -n "$(row "$2")" ] && [ "$(row "$2" | cut -f 5)" = 0 ] || { echo "cannot destroy snapshot $2" >&2; exit 1; }
    awk -F '\t' -v name="$2" '$1 != name' "$at" >"$at.new" && mv "$at.new" "$at" ;;
  *) echo "zfs stand-in: $*" >&2; exit 64 ;;
esac
"""


def zfs_nas(**values: Any) -> Nas:
    """A pool `tank` of ZFS with the volumes `media` and `photos`; and what is said."""
    pool = {"kind": "zfs", "level": "mirror", "disks": ["d1", "d2"]}
    volumes = {"media": {"pool": "tank"}, "photos": {"pool": "tank"}}
    return nas(**{"pools": {"tank": pool}, "volumes": volumes, **values})


class ZfsHost(NasHost):
    """The folder; its volumes are mounted as datasets while `mounted` names them."""

    def __init__(self, root: Path, **values: Any):
        self.described = zfs_nas(**values)
        super().__init__(root, self.described)
        self.write("/var/lib/homelab/pools/tank", f"kind=zfs\nfilesystem_uuid={UUID}\n")
        self.write("/zfs-snapshots", "")
        self.path("/sys/module/zfs").mkdir(parents=True)
        self.mounted()
        self.fake("zfs", _ZFS)
        self.fake("modinfo", ":")
        # The last question to zpool was answered.
        self.fake("systemctl", "case $* in *homelab-zfs-look.service) exit 3 ;; esac")
        self.fake("systemd-run", 'while [ "${1#--}" != "$1" ]; do shift; done; "$@" &')
        self.kernel("ONLINE")
        self.status_of("sound")

    def mounted(self, *without: str) -> None:
        """All volumes are mounted, without those that are named."""
        lines = []
        for each in ("tank", *(f"tank/{name}" for name in self.described.volumes if name not in without)):
            at = self.path(f"/srv/{each}")
            lines.append(f"29 1 0:46 / {at} rw,noatime shared:1 - zfs {each} rw,xattr,posixacl\n")
        self.write("/proc/self/mountinfo", "".join(lines))

    def status_of(self, name: str, used: int = 10, available: int = 90) -> None:
        """`zpool status` says what the file of that name has; used and available are GiB."""
        self.write("/zpool-status", (STATUS / f"{name}.txt").read_text())
        self.write("/zpool-room", f"tank\t{used * 2**30}\t{available * 2**30}\n")
        self.fake("zpool", 'echo "zpool $*" >>"$HOMELAB_ROOT/zfs-asked"; cat "$HOMELAB_ROOT/zpool-status"')

    def kernel(self, state: str) -> None:
        """The kernel's own word for the pool's state."""
        self.write("/proc/spl/kstat/zfs/tank/state", f"{state}\n")

    def snapshot(self, name: str, mark: str = "homelab:snapshot", source: str = "local", **more: str) -> None:
        """A snapshot that is there already; `holds` and `clones` are what keeps it."""
        row = (name, mark, "yes", source, more.get("holds", "0"), more.get("clones", "-"))
        with self.path("/zfs-snapshots").open("a") as file:
            file.write("\t".join(row) + "\n")

    def snapshots(self) -> list[str]:
        """The names of all that are there."""
        return [line.partition("\t")[0] for line in self.path("/zfs-snapshots").read_text().splitlines()]
