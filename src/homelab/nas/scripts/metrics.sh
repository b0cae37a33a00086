# shellcheck shell=sh
# shellcheck disable=SC2154
# What homelab-watch sees as metrics, in one file for node_exporter's textfile collector. The watch sources it.

# Name, type and meaning of each, which README.md shows; a name that is not here is never published.
metrics_known() {
  cat <<'TABLE'
homelab_watch_last_run_timestamp_seconds gauge When the watch looked last; everything else is as old.
homelab_findings gauge How many troubles the watch knows, by level.
homelab_finding gauge 1 for each trouble that the watch knows, by its key.
homelab_pool_mounted gauge 1 while the pool is mounted and by its sentinel the right one.
homelab_pool_size_bytes gauge What the pool holds when it is full.
homelab_pool_free_bytes gauge What may still be written to the pool.
homelab_md_active gauge 1 while the array runs.
homelab_md_missing_disks gauge Disks that the array lacks.
homelab_md_syncing gauge 1 while the array is rebuilt or synchronised for the first time.
homelab_md_mismatches gauge Sectors on which the disks did not agree at the last check.
homelab_md_check_started_timestamp_seconds gauge When reading the arrays whole was begun last.
homelab_btrfs_missing_disks gauge Disks that the btrfs pool lacks.
homelab_btrfs_errors gauge Errors that the disks of a btrfs pool have had, until they are reset.
homelab_btrfs_mixed_profiles gauge Kinds of data that a btrfs pool keeps in more than one way.
homelab_zfs_online gauge 1 while the ZFS pool has all that it should have.
homelab_zfs_missing_disks gauge Disks of the ZFS pool that are missing or faulted, spares and caches among them.
homelab_zfs_resilvering gauge 1 while a disk of the ZFS pool is being rebuilt.
homelab_zfs_errors gauge Errors that the disks of a ZFS pool have had, until they are cleared.
homelab_zfs_damaged gauge Files and other pieces of data of the ZFS pool of which no disk has a good copy.
homelab_job_last_run_timestamp_seconds gauge When the job ran last.
homelab_job_last_good_timestamp_seconds gauge When the job ended well last; 0 for never.
homelab_job_ok gauge 0 when the last run of the job failed.
homelab_snapshot_count gauge Snapshots that there are of the volume.
homelab_snapshot_deleted gauge Snapshots that the last run deleted.
homelab_scrub_repaired gauge Errors that the last scrub repaired.
homelab_scrub_repaired_bytes gauge Bytes that the last scrub of a ZFS pool repaired.
homelab_scrub_uncorrectable gauge Blocks that the last scrub could not repair.
homelab_sync_added gauge Files that the last sync of a snapraid pool took in as new.
homelab_sync_updated gauge Files that the last sync took in as changed.
homelab_sync_removed gauge Files that the last sync let go of.
homelab_snapraid_bad gauge Blocks of a snapraid pool that are damaged.
homelab_snapraid_unsynced gauge Blocks of a snapraid pool that its parity does not protect yet.
homelab_check_part gauge Which part of the repository was read last.
homelab_restore_compared gauge Files that the last restore test brought back and found equal.
homelab_restore_changed gauge Files of the last restore test that had changed since their backup.
homelab_recycle_deleted gauge Files that the last run took from recycle bins for good.
homelab_alert_undelivered gauge Alerts that wait for somebody to take them.
homelab_smart_healthy gauge 1 when the disk's SMART says that it is sound.
homelab_smart_temperature_celsius gauge The disk's temperature.
homelab_smart_asked_timestamp_seconds gauge When the disk was asked last; one that nobody uses is left asleep.
homelab_ups_on_battery gauge 1 while the power is out.
homelab_ups_low_battery gauge 1 while the UPS says that its battery is low.
homelab_ups_charge_ratio gauge How full the battery is, 0 to 1.
homelab_ups_load_ratio gauge What hangs on the UPS, of what it can carry.
homelab_ups_runtime_seconds gauge How long the battery would last.
TABLE
}

# metric NAME VALUE [LABEL VALUE]...: a sample; what is no number is none.
metric() {
  case $2 in '' | *[!0-9.]* | *.*.*) return 0 ;; esac
  sample=$1 number=$2 labels=
  shift 2
  while [ $# -gt 1 ]; do
    labels="$labels${labels:+,}$1=\"$(printf %s "$2" | sed 's/\\/\\\\/g; s/"/\\"/g')\""
    shift 2
  done
  printf '%s\t%s%s %s\n' "$sample" "$sample" "${labels:+{$labels\}}" "$number" >>"$work/samples"
}

# Of each job its times and whatever numbers it noted.
metrics_of_jobs() {
  for status in "$var"/status/*-*; do
    [ -f "$status" ] || continue
    job=${status##*/}
    name=${job#*-} job=${job%%-*}
    # What it noted is of the look before this one.
    [ "$job" != watch ] || continue
    while IFS='=' read -r key value; do
      case $key in
        time) metric homelab_job_last_run_timestamp_seconds "$value" job "$job" name "$name" ;;
        good) metric homelab_job_last_good_timestamp_seconds "$value" job "$job" name "$name" ;;
        result)
          [ "$value" = failed ] && value=0 || value=1
          metric homelab_job_ok "$value" job "$job" name "$name"
          ;;
        message) ;;
        *) metric "homelab_${job}_$key" "$value" name "$name" ;;
      esac
    done <"$status"
  done
}

# What was sampled, with the meaning of each metric once.
metrics_published() {
  metrics=$root/var/lib/prometheus/node-exporter
  [ -d "$metrics" ] || metrics=$var/metrics
  touch "$work/samples"
  metrics_known | awk -F '\t' '
    known {
      split($0, word, " ")
      name[++n] = word[1]
      type[n] = word[2]
      help[n] = substr($0, length(word[1]) + length(word[2]) + 3)
      next
    }
    { lines[$1] = lines[$1] $2 "\n" }
    END {
      for (i = 1; i <= n; i++) if (name[i] in lines)
        printf "# HELP %s %s\n# TYPE %s %s\n%s", name[i], help[i], name[i], type[i], lines[name[i]]
    }' known=1 - known='' "$work/samples" | replace "$metrics/homelab.prom"
}
