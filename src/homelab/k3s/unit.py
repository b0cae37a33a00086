"""The systemd unit of a node and the scripts beside it: before the start, stop everything, take K3s away."""

from __future__ import annotations

from homelab.files import ManagedFile
from homelab.k3s import paths

# What matters of upstream's unit: KillMode=process keeps containers over a restart; the start has no time limit, since
# certificates on a slow disk take minutes; br_netfilter and overlay may be built in, so their failure is no error.
_UNIT = """\
# Written by homelab; a change here is put back by the next deploy. Drop-ins in {name}.service.d are yours.
[Unit]
Description=K3s {role}
Documentation=https://docs.k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStartPre={prestart} {role}
ExecStart={binary} {role}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s

[Install]
WantedBy=multi-user.target
"""

# Each start notes what it was started with, so that a deploy can tell "the file changed" from "the process has it".
_PRESTART = """\
#!/bin/sh
# Written by homelab. Run by systemd before K3s starts: $1 is server or agent.
set -eu
if [ "$1" = server ] && [ -e {established} ] && [ ! -d {data}/server/db/etcd/member ]; then
  echo "this server belonged to a cluster and its data in {data} is gone: not starting, that would begin a second" \\
    "cluster; mount the disk, or run {uninstall} and deploy again to rejoin" >&2
  exit 1
fi
mkdir -p -m 0700 /run/homelab
for file in {started_with}; do
  if [ -e "$file" ]; then sha256sum "$file"; fi
done >{started}.new
mv -f {started}.new {started}
"""

_KILLALL = """\
#!/bin/sh
# Written by homelab. Stop K3s, every container it runs, and take its mounts and interfaces away. Data stays.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
for service in /etc/systemd/system/k3s*.service; do
  [ -s "$service" ] && systemctl stop "$(basename "$service")"
done

# The shims are K3s's children no longer (KillMode=process): they are known by the path of their binary.
descendants() {
  for child in $(ps -e -o ppid= -o pid= | awk -v parent="$1" '$1 == parent {print $2}'); do
    echo "$child"; descendants "$child"
  done
}
shims=$(ps -e -o pid= -o args= | awk '$2 ~ "^%(data)s/data/[^/]*/bin/containerd-shim" {print $1}')
victims=
for shim in $shims; do victims="$victims $shim $(descendants "$shim")"; done
# shellcheck disable=SC2086
[ -n "$victims" ] && kill -9 $victims 2>/dev/null

# Deepest mounts first. The data directory itself may be a disk of its own: only what lies below is taken away.
for prefix in /run/k3s %(data)s/agent /var/lib/kubelet/pods /var/lib/kubelet/plugins /run/netns/cni-; do
  awk -v prefix="$prefix" 'index($5, prefix) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r mount; do
    umount "$mount" 2>/dev/null || umount -l "$mount"
  done
done
for namespace in $(ip netns list 2>/dev/null | awk '/^cni-/ {print $1}'); do ip netns delete "$namespace"; done
for link in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
  ip link show "$link" >/dev/null 2>&1 && ip link delete "$link"
done
for link in $(ip -o link show master cni0 2>/dev/null | awk -F'[ @:]+' '{print $2}'); do ip link delete "$link"; done
rm -rf /var/lib/cni

# K3s's own rules only, the rest as it stands. The host may have no iptables of its own: K3s brings one.
PATH=$PATH:$(echo %(data)s/data/*/bin/aux | tr ' ' :)
for tables in iptables ip6tables; do
  command -v "$tables-save" >/dev/null && "$tables-save" | grep -Ev 'KUBE-|CNI-|flannel|cali-' | "$tables-restore"
done
exit 0
"""

_UNINSTALL = """\
#!/bin/sh
# Written by homelab. Take K3s off this host. Volumes of the local-path provisioner and mounted disks are kept.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
%(killall)s || exit 1
# What is still mounted there may be a share or a disk of someone's: removing a folder would empty it.
left=$(awk '$5 ~ "^(%(data)s|/var/lib/kubelet|/run/k3s)/" && $5 !~ "^%(data)s/storage" {print $5}' /proc/self/mountinfo)
if [ -n "$left" ]; then
  echo "K3s is stopped and nothing was removed, since there are still mounts: $(echo "$left" | tr '\n' ' ')" >&2
  exit 1
fi
systemctl disable %(name)s 2>/dev/null
rm -f %(unit)s
systemctl daemon-reload
systemctl reset-failed %(name)s 2>/dev/null
for link in %(links)s; do
  [ "$(readlink "/usr/local/bin/$link")" = k3s ] && rm -f "/usr/local/bin/$link"
done
if [ -d %(data)s/storage ] && [ -n "$(ls -A %(data)s/storage)" ]; then
  echo "kept: %(data)s/storage holds volumes" >&2
  find %(data)s -xdev -mindepth 1 -maxdepth 1 ! -name storage -exec rm -rf --one-file-system {} +
else
  rm -rf --one-file-system %(data)s
fi
rm -rf --one-file-system /etc/rancher/k3s /etc/rancher/node /run/k3s /run/flannel /var/lib/kubelet
rm -f /run/homelab/k3s.started
rm -f %(binary)s %(previous)s %(killall)s %(prestart)s "$0"
exit 0
"""


def unit(role: str) -> ManagedFile:
    """The unit, with upstream's names so that other tools find it."""
    text = _UNIT.format(name=paths.unit(role), role=role, prestart=paths.PRESTART, binary=paths.BINARY)
    return ManagedFile(paths.unit_file(role), text)


def started_with(role: str) -> tuple[str, ...]:
    """The files that a running K3s was started with: a change in one of them means a restart."""
    return (paths.BINARY, paths.unit_file(role), paths.CONFIG, paths.REGISTRIES)


def prestart(role: str) -> ManagedFile:
    text = _PRESTART.format(
        established=paths.ESTABLISHED,
        data=paths.DATA,
        uninstall=paths.uninstall(role),
        started=paths.STARTED,
        started_with=" ".join(started_with(role)),
    )
    return ManagedFile(paths.PRESTART, text, mode="0755")


def killall() -> ManagedFile:
    return ManagedFile(paths.KILLALL, _KILLALL.replace("%(data)s", paths.DATA), mode="0755")


def uninstall(role: str) -> ManagedFile:
    text = _UNINSTALL
    for key, value in {
        "killall": paths.KILLALL,
        "name": paths.unit(role),
        "unit": paths.unit_file(role),
        "links": " ".join(paths.LINKS),
        "data": paths.DATA,
        "binary": paths.BINARY,
        "previous": paths.PREVIOUS,
        "prestart": paths.PRESTART,
    }.items():
        text = text.replace(f"%({key})s", value)
    return ManagedFile(paths.uninstall(role), text, mode="0755")


def established() -> ManagedFile:
    """The mark of a server that has its share of the cluster: without its data it must not start as if it were new."""
    return ManagedFile(paths.ESTABLISHED, "Written by homelab when this server had joined its cluster.\n", mode="0600")
