# Tells what `homelab patch` asks of a host, a `key<TAB>value` line each. $lists says which package lists to go by:
# refresh (as apt-get update), private (the same in a copy, so that nothing is changed) or none (and no packages).
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
say() { printf '%s\t%s\n' "$1" "$(printf %s "$2" | tr '\n\t' '  ')"; }
each() { while IFS= read -r line; do say "$1" "$line"; done; }

# Containers share their host's boot id, so the time at which the first process started counts as well.
say boot "$(cat /proc/sys/kernel/random/boot_id) $(cut -d' ' -f22 /proc/1/stat)"
say kernel "$(uname -r)"
# Debian writes /run/reboot-required only with unattended-upgrades; so a newer kernel of the running one's flavour counts
# as well. Kernels are in /boot, on a Raspberry Pi's older system only their modules tell them.
newer=
if ! systemd-detect-virt --quiet --container; then
  running=$(uname -r)
  # 6.1.0-30-amd64, 6.8.0-45-generic, 6.12.38+deb13-amd64, 6.6.31+rpt-rpi-v8: what is left are the words of the flavour.
  flavour() { sed 's/^[0-9][0-9.]*\(+[a-z0-9.~]*\)*\(-[0-9][0-9a-z.~]*\)\{0,1\}//'; }
  there() { for path; do [ ! -e "$path" ] || printf '%s\n' "$path"; done; }
  kernels=$(there /boot/vmlinuz-* | sed 's|.*/vmlinuz-||')
  [ -n "$kernels" ] || kernels=$(there /lib/modules/*/kernel | sed 's|/kernel$||; s|.*/||')
  mine=$(printf '%s\n' "$running" | flavour)
  newest=$(
    printf '%s\n' "$running" "$kernels" | while IFS= read -r kernel; do
      [ "$(printf '%s\n' "$kernel" | flavour)" != "$mine" ] || printf '%s\n' "$kernel"
    done | sort -V | tail -n 1
  )
  [ "$newest" = "$running" ] || newer=linux-image-$newest
fi
if [ -e /run/reboot-required ] || [ -n "$newer" ]; then
  say reboot required
  { cat /run/reboot-required.pkgs 2>/dev/null; printf '%s\n' "$newer"; } | sed '/^$/d' | sort -u | each because
fi
system=$(systemctl is-system-running 2>/dev/null)
if [ "$system" = starting ]; then
  # systemctl(1): it is until the job queue becomes idle for the first time. A backup that the host was off for is begun at
  # boot and takes hours, and nothing waits for it; where it is all that is left in the queue, the host has started.
  jobs=$(systemctl list-jobs --plain --no-legend 2>/dev/null | awk 'NF == 4 {print $2}')
  if [ -n "$jobs" ] && ! printf '%s\n' "$jobs" | grep -qvE '^homelab-(backup|scrub|snapshot|sync)@'; then system=running; fi
fi
say system "$system"
systemctl list-units --failed --plain --no-legend 2>/dev/null | cut -d' ' -f1 | each failed
# Work on the disks that a reboot would cut.
systemctl list-units --type=service --state=activating --plain --no-legend \
  'homelab-backup@*' 'homelab-scrub@*' 'homelab-snapshot@*' 'homelab-sync@*' 2>/dev/null | cut -d' ' -f1 | each busy
for unit in k3s k3s-agent; do
  [ "$(systemctl show -p LoadState --value $unit 2>/dev/null)" = loaded ] || continue
  say unit "$(systemctl show -p ActiveState --value $unit) $(systemctl show -p Job --value $unit)"
  say started "$(TZ=UTC systemctl show -p ExecMainStartTimestamp --value $unit)"
done
# What is mounted at boot has a unit that something wants; what containers and people mount has none, and does not come
# back, and what is mounted on demand (noauto, x-systemd.automount) nobody wants. A snap's mounts change with its version.
# Without --all those that are not mounted are left out; one whose condition does not hold is not meant to be.
mounts=$(
  systemctl show --all -p LoadState,ActiveState,FragmentPath,Where,RequiredBy,WantedBy \
    -p ConditionResult,ConditionTimestampMonotonic '*.mount' 2>/dev/null | awk '
    BEGIN {RS = ""; FS = "\n"}
    {split("", told); for (i = 1; i <= NF; i++) {at = index($i, "="); told[substr($i, 1, at - 1)] = substr($i, at + 1)}}
    told["LoadState"] != "loaded" || !told["FragmentPath"] {next}
    !(told["RequiredBy"] || told["WantedBy"]) || told["Where"] ~ "^/(dev|proc|run|snap|sys)(/|$)" {next}
    told["ActiveState"] == "active" {print "mount " told["Where"]; next}
    told["ActiveState"] == "activating" {next}
    told["ConditionResult"] == "no" && told["ConditionTimestampMonotonic"] + 0 {next}
    {print "unmounted " told["Where"]}' | sort
)
printf '%s\n' "$mounts" | sed -n 's/^mount //p' | each mount
printf '%s\n' "$mounts" | sed -n 's/^unmounted //p' | each unmounted
# From the kernel's table: looking at a mount whose server is gone would hang.
awk '$3 ~ /^(nfs|nfs4|cifs)$/ {print $1 " " $2}' /proc/self/mounts | each remote
cat /proc/fs/nfsd/clients/*/info 2>/dev/null | sed -n 's/^address: "\(.*\):[0-9]*"$/\1/p' | sort -u | each client
# Services that run a program or library which an upgrade has replaced, as their old files are still mapped. What pods and
# other containers map is of their images, and what sessions do ends with them.
if [ "$lists" = none ]; then
  grep -lE '^[^ ]+ r-xp .* /(usr/|lib|s?bin/).* \(deleted\)$' /proc/[0-9]*/maps 2>/dev/null | while IFS= read -r maps; do
    sed -nE 's,^[^/]*/system\.slice/([^/]*\.slice/)*([^/]*\.service)(/.*)?$,\2,p' "${maps%/maps}/cgroup" 2>/dev/null
  done | sort -u | each old
fi
if [ -e /run/homelab/lock ] && ! flock -n /run/homelab/lock true; then say locked "a deploy is running"; fi

if [ "$lists" != none ]; then
  set -- -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300
  if [ "$lists" = private ]; then
    scratch=$(mktemp -d /var/tmp/homelab-patch.XXXXXX)
    trap 'rm -rf "$scratch"' EXIT
    cp -a /var/lib/apt/lists "$scratch/" || say broken "no room in /var/tmp for a copy of the package lists"
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
