# Upgrades the packages: asks nothing, keeps configuration files that were changed, removes nothing.
# needrestart may only list: of services with an old library this one is first, and apt would be cut by its own hook.
# No brace or dollar may follow a dollar here: in a unit's command those are systemd's to replace.
export LC_ALL=C DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1 NEEDRESTART_MODE=l
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
umask 022
# No deploy at the same time.
(umask 077; mkdir -p /run/homelab)
exec 9>>/run/homelab/lock
flock -n 9 || { echo "E: a deploy is running on this host" >&2; exit 1; }
apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
  -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
  --with-new-pkgs upgrade </dev/null 9>&-
