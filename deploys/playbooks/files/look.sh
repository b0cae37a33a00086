# Tells what `homelab patch` asks of a host, a `key<TAB>value` line each. $lists says which package lists to go by:
# refresh (as apt-get update), private (the same in a copy, so that nothing is changed) or none (and no packages).
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
say() { printf '%s\t%s\n' "$1" "$(printf %s "$2" | tr '\n\t' '  ')"; }
each() { while IFS= read -r line; do say "$1" "$line"; done; }

# Containers share their host's boot id, so the time at which the first process started counts as well.
say boot "$(cat /proc/sys/kernel/random/boot_id) $(cut -d' ' -f22 /proc/1/stat)"
say kernel "$(uname -r)"
if [ -e /run/reboot-required ]; then
  say reboot required
  sort -u /run/reboot-required.pkgs 2>/dev/null | each because
fi
say system "$(systemctl is-system-running 2>/dev/null)"
systemctl list-units --failed --plain --no-legend 2>/dev/null | cut -d' ' -f1 | each failed
# Work on the disks that a reboot would cut.
systemctl list-units --type=service --state=activating --plain --no-legend \
  'homelab-backup@*' 'homelab-scrub@*' 'homelab-snapshot@*' 'homelab-sync@*' 2>/dev/null | cut -d' ' -f1 | each busy
for unit in k3s k3s-agent; do
  [ "$(systemctl show -p LoadState --value $unit 2>/dev/null)" = loaded ] || continue
  say unit "$(systemctl show -p ActiveState --value $unit) $(systemctl show -p Job --value $unit)"
  say started "$(systemctl show --timestamp=unix -p ExecMainStartTimestamp --value $unit | tr -d @)"
done
# What is mounted at boot has a unit of its own; what containers and people mount has none, and does not come back.
systemctl show -p ActiveState,FragmentPath,Where '*.mount' 2>/dev/null | awk '
  BEGIN {RS = ""; FS = "\n"}
  {split("", told); for (i = 1; i <= NF; i++) {at = index($i, "="); told[substr($i, 1, at - 1)] = substr($i, at + 1)}}
  told["ActiveState"] == "active" && told["FragmentPath"] && told["Where"] !~ "^/(dev|proc|run|sys)(/|$)" {
    print told["Where"]
  }' | sort | each mount
# From the kernel's table: looking at a mount whose server is gone would hang.
awk '$3 ~ /^(nfs|nfs4|cifs)$/ {print $1 " " $2}' /proc/self/mounts | each remote
cat /proc/fs/nfsd/clients/*/info 2>/dev/null | sed -n 's/^address: "\(.*\):[0-9]*"$/\1/p' | sort -u | each client
if [ -e /run/homelab/lock ] && ! flock -n /run/homelab/lock true; then say locked "a deploy is running"; fi

if [ "$lists" != none ]; then
  set -- -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300
  if [ "$lists" = private ]; then
    scratch=$(mktemp -d /var/tmp/homelab-patch.XXXXXX)
    cp -a /var/lib/apt/lists "$scratch/" || say broken "no room in /var/tmp for a copy of the package lists"
    trap 'rm -rf "$scratch"' EXIT
    set -- "$@" -o APT::Sandbox::User=root -o "Dir::State::lists=$scratch/lists" \
      -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  fi
  # apt keeps the last lists, and exit 0, for an archive that does not answer.
  tries=0
  while :; do
    said=$(apt-get "$@" -o APT::Update::Error-Mode=any -q update 2>&1 </dev/null) && break
    tries=$((tries + 1))
    case "$said" in *"Could not get lock"*) [ $tries -lt 60 ] && sleep 5 && continue ;; esac
    say broken "apt-get update: $(printf '%s\n' "$said" | grep '^[EW]: ' | head -n 3)"
    break
  done
  said=$(apt-get "$@" -q check 2>&1 </dev/null) ||
    say broken "apt-get check: $(printf '%s\n' "$said" | grep '^E: ' | head -n 3)"
  # Not dpkg --audit, which holds it against a package that it has no checksums.
  half=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | sed -n 's/ \(half\|unpacked\|triggers\).*//p')
  [ -z "$half" ] || say broken "dpkg: half installed: $half"
  if said=$(apt-get "$@" -q -s -V --with-new-pkgs upgrade 2>&1 </dev/null); then
    printf '%s\n' "$said" | sed -n 's/^Inst //p' | each upgrade
    printf '%s\n' "$said" |
      awk '/kept back:$/ {on = 1; next} /^[^ ]/ {on = 0} on && NF {print $1}' | each kept
  else
    say broken "apt-get upgrade: $(printf '%s\n' "$said" | grep '^E: ' | head -n 3)"
  fi
fi
say end .
