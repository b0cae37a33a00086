"""Every check, in the order in which they are shown. A check is a function from a snapshot to findings of one code.

To add one: a row in `codes.py`, `check_<claim>(snapshot)` in the file of its noun, a line here, and in `causes.py` what
its findings may follow from. It is called only when all that its row needs was read; it reads the snapshot alone, takes
the time from `snapshot.now` and its limits from `snapshot.thresholds`, and never raises, whatever the objects are like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from homelab.health.checks import (
    addons,
    admission,
    balancers,
    budgets,
    certificates,
    control_plane,
    deep,
    etcd,
    events,
    gateways,
    ingresses,
    jobs,
    nfs,
    nodes,
    pods,
    policies,
    room,
    scaling,
    services,
    storage,
    workloads,
)
from homelab.health.report import Finding
from homelab.health.snapshot import Snapshot

Check = Callable[[Snapshot], Iterator[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("CTRL001", control_plane.check_ready),
    ("CTRL002", control_plane.check_latency),
    ("CTRL003", control_plane.check_version_skew),
    ("CTRL004", control_plane.check_versions_mixed),
    ("CTRL005", control_plane.check_supported),
    ("CTRL006", control_plane.check_clock),
    ("CTRL007", control_plane.check_namespaces_go),
    ("CTRL008", control_plane.check_api_services),
    ("CTRL009", control_plane.check_leaders),
    ("CTRL010", control_plane.check_servers),
    ("CTRL011", admission.check_webhooks),
    ("CTRL012", events.check_warnings),
    ("CERT001", certificates.check_serving),
    ("CERT002", certificates.check_client),
    ("CERT003", certificates.check_node_certificates),
    ("CERT004", certificates.check_issued),
    ("ETCD001", etcd.check_quorum),
    ("ETCD002", etcd.check_voters),
    ("ETCD003", etcd.check_odd),
    ("ETCD004", etcd.check_snapshot_age),
    ("ETCD005", etcd.check_snapshot_failed),
    ("ETCD006", etcd.check_snapshot_place),
    ("ETCD007", etcd.check_database),
    ("NODE001", nodes.check_ready),
    ("NODE002", nodes.check_pressure),
    ("NODE003", nodes.check_network),
    ("NODE004", nodes.check_conditions),
    ("NODE005", nodes.check_lease),
    ("NODE006", nodes.check_cordoned),
    ("NODE007", nodes.check_clock),
    ("NODE008", nodes.check_expected),
    ("NODE009", nodes.check_unexpected),
    ("NODE010", nodes.check_nodes_go),
    ("NODE011", nodes.check_flapping),
    ("NODE012", room.check_memory_use),
    ("NODE013", room.check_cpu_use),
    ("NODE014", room.check_pod_count),
    ("NODE015", room.check_spare),
    ("NODE016", room.check_disks),
    ("POD001", pods.check_crash_loop),
    ("POD002", pods.check_image),
    ("POD003", pods.check_start),
    ("POD004", pods.check_scheduled),
    ("POD005", pods.check_creating),
    ("POD006", pods.check_pod_ready),
    ("POD007", pods.check_failed),
    ("POD008", pods.check_memory),
    ("POD009", pods.check_restarts),
    ("POD010", pods.check_pods_go),
    ("WORK001", workloads.check_deployments),
    ("WORK002", workloads.check_rollouts),
    ("WORK003", workloads.check_observed),
    ("WORK004", workloads.check_statefulsets),
    ("WORK005", workloads.check_daemonsets),
    ("WORK006", workloads.check_creation),
    ("WORK007", jobs.check_failed),
    ("WORK008", jobs.check_long),
    ("WORK009", budgets.check_budgets),
    ("WORK010", jobs.check_suspended),
    ("WORK011", scaling.check_autoscalers),
    ("WORK012", scaling.check_quotas),
    ("WORK013", jobs.check_due),
    ("STOR001", storage.check_pending),
    ("STOR002", storage.check_go),
    ("STOR003", storage.check_lost),
    ("STOR004", storage.check_default),
    ("STOR005", storage.check_kept),
    ("STOR006", storage.check_reachable),
    ("STOR007", nfs.check_servers),
    ("STOR008", storage.check_room),
    ("NET001", balancers.check_address),
    ("NET002", services.check_endpoints),
    ("NET003", services.check_ports),
    ("NET004", ingresses.check_class),
    ("NET005", ingresses.check_backends),
    ("NET006", gateways.check_gateways),
    ("NET007", gateways.check_routes),
    ("NET008", policies.check_policies),
    ("ADDON001", addons.check_dns),
    ("ADDON002", addons.check_there),
    ("ADDON003", addons.check_charts),
    ("ADDON004", addons.check_manifests),
)

# Of what was tried out on request.
DEEP_CHECKS: tuple[tuple[str, Check], ...] = (
    ("DEEP001", deep.check_dns),
    ("DEEP002", deep.check_network),
    ("DEEP003", deep.check_services),
    ("DEEP004", deep.check_volume),
    ("DEEP005", deep.check_shared),
)

ALL_CHECKS = (*CHECKS, *DEEP_CHECKS)
