"""From when on something counts: every number that a check compares with, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Thresholds:
    """The limits of the checks. `_warning` and `_critical` are the two steps of one limit."""

    # A single small read, Kubernetes' own objective being 1 s.
    latency_warning: timedelta = timedelta(seconds=0.5)
    latency_critical: timedelta = timedelta(seconds=2)
    # Clocks apart; the Date header has whole seconds, so nothing below two can be told.
    skew_warning: timedelta = timedelta(seconds=2)
    skew_critical: timedelta = timedelta(seconds=30)
    # The newest Kubernetes minor that this release knows of; the newest three are supported upstream.
    newest_minor: int = 37
    supported_minors: int = 3

    # Until a certificate ends. K3s renews its own when it starts, from 90 (later 120) days before on.
    certificate_warning: timedelta = timedelta(days=30)
    certificate_critical: timedelta = timedelta(days=7)
    # K3s tells of its nodes' certificates every 30 minutes; what it has not told again is over.
    certificate_told: timedelta = timedelta(minutes=35)
    # cert-manager has its first certificate within minutes, even where a name in DNS has to spread for it.
    certificate_issue: timedelta = timedelta(minutes=15)
    # It begins to renew a third of the lifetime before the end, and tries again each hour.
    certificate_renewal: timedelta = timedelta(days=1)
    # The API server looks at the servers behind it every 30 s; those start with the cluster.
    api_service: timedelta = timedelta(minutes=5)
    # Who leads renews every 2 s and is replaced after 15 s.
    leader: timedelta = timedelta(seconds=60)

    # K3s promotes a new member of etcd within seconds, and gives up on one that makes no progress after 5 minutes.
    etcd_learner: timedelta = timedelta(minutes=10)
    # A cluster that grows or has a server replaced has an even number for a while.
    etcd_even: timedelta = timedelta(hours=1)
    # K3s takes a snapshot at 00:00 and 12:00. Where the plan is a wider one, 1.5 and 3 times its pause.
    etcd_snapshot_warning: timedelta = timedelta(hours=18)
    etcd_snapshot_critical: timedelta = timedelta(hours=36)
    # Percent of its quota. Beyond that etcd takes no more writes.
    etcd_database_warning: int = 80
    etcd_database_critical: int = 95
    # How long an API server may take to write to its datastore, and percent of its writes that may take longer. etcd's
    # own advice is 25 ms for 99 %; who leads is deposed when it cannot renew its lease for 10 s.
    datastore_write_warning: timedelta = timedelta(seconds=0.5)
    datastore_write_critical: timedelta = timedelta(seconds=1)
    datastore_slow: int = 5

    # What Kubernetes warned of so often, the last time within this; it keeps warnings for an hour.
    event_window: timedelta = timedelta(minutes=30)
    event_times: int = 5

    node_not_ready: timedelta = timedelta(seconds=120)
    # The kubelet renews its lease every 10 s; the control plane gives up after 40 s, 50 s from Kubernetes 1.32.
    lease_warning: timedelta = timedelta(seconds=25)
    lease_critical: timedelta = timedelta(seconds=40)
    # A node that stays Ready with a lease older than this is alive with a clock that is behind.
    lease_clock: timedelta = timedelta(seconds=120)
    cordoned: timedelta = timedelta(hours=24)
    # Within this a node has been not Ready, and is again.
    node_flapping: timedelta = timedelta(minutes=15)
    # Percent of what a node can give its pods: in use (memory, CPU), and of the number of pods that it takes.
    node_use: int = 90
    node_pods: int = 90
    # The kubelet removes images from 85 % on, and pods when 10 % are left, 5 % under K3s.
    node_disk: int = 90

    # A workload may be short of replicas for this long.
    unavailable: timedelta = timedelta(minutes=5)
    # A pod gets this long to start, to become ready or to be told why not.
    pod_start: timedelta = timedelta(minutes=5)
    unschedulable_warning: timedelta = timedelta(minutes=1)
    unschedulable_critical: timedelta = timedelta(minutes=5)
    # The longest pause between two starts of a crashing container is five minutes.
    crash_window: timedelta = timedelta(minutes=10)
    crash_restarts: int = 3
    restart_window: timedelta = timedelta(hours=1)
    failed_window: timedelta = timedelta(hours=24)
    oom_window: timedelta = timedelta(hours=24)
    # Beyond the object's own grace period.
    terminating: timedelta = timedelta(minutes=5)

    # A rollout whose workload tells no deadline of its own; Deployments' default.
    rollout: timedelta = timedelta(seconds=600)
    observed: timedelta = timedelta(minutes=5)
    # At its most for this long an autoscaler is too small, not busy for a moment.
    autoscaler: timedelta = timedelta(minutes=15)
    # Percent of what a namespace's quota gives.
    quota: int = 90
    job_active: timedelta = timedelta(hours=12)
    # A CronJob is late after twice the longest pause of its schedule, and never sooner than this.
    cron_late: timedelta = timedelta(hours=1)

    # DNS is missed at once; a pod of it that is started again is back within this.
    dns: timedelta = timedelta(minutes=1)
    # An address for a Service, a controller that takes an Ingress, a Service that an Ingress written before it names.
    network: timedelta = timedelta(minutes=2)
    # Charts are installed, and what they bring started, within this of the cluster's first start.
    addon: timedelta = timedelta(minutes=10)

    # Percent in use of a volume's bytes or inodes.
    volume_use_warning: int = 85
    volume_use_critical: int = 97
    pvc_pending: timedelta = timedelta(minutes=2)
