"""`homelab patch`: over the home of the inventory, with Ansible and the cluster's kubeconfig."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from pydantic import SecretStr

from homelab.ansible import inventory as inventories
from homelab.ansible.runner import Ansible
from homelab.health import ClusterUnreachable, Report, Snapshot, expected, read_snapshot, run_checks
from homelab.health import settings as health_settings
from homelab.health.checks import CHECKS
from homelab.k3s import kubeconfig
from homelab.k3s.kubeconfig import KubeconfigError
from homelab.model import Home
from homelab.patch import cluster as clusters
from homelab.patch.by_ansible import PLAYBOOK, AnsibleHosts
from homelab.patch.cluster import Servers
from homelab.patch.hosts import own_boot
from homelab.patch.lease import Lease
from homelab.patch.order import order
from homelab.patch.pace import Pace
from homelab.patch.rolling import Rolling
from homelab.patch.summary import Summary
from homelab.progress import say
from homelab.settings import Settings
from homelab.signals import between_steps


class PatchError(Exception):
    """Patching cannot be begun: one line for each reason."""


def run(
    folder: Path, home: Home, *, dry_run: bool = False, within: float = 600.0, password: SecretStr | None = None
) -> Summary:
    """Patch the home of an inventory folder, or say what would be done; progress goes to stderr.

    Raise PatchError when it cannot be begun.
    """
    hosts = order(home)
    if problems := list(inventories.problems(hosts)):
        raise PatchError("\n".join(map(str, problems)))
    if not hosts:
        raise PatchError("every host is marked away: True; nothing is left to do")
    playbook = folder.parent / PLAYBOOK
    if not playbook.is_file():
        raise PatchError(f"{playbook}: is not there; take it from the toolkit's repository")
    ansible = Ansible(inventories.inventory(hosts, folder.parent), password)
    for host in home.hosts:
        if host.away:
            _tell(host.name, "away: it is counted, but left alone")
    with (
        _alone(home),
        _reached(home) as (servers, lease),
        between_steps(_interrupted) as stopped,
    ):
        # Hosts without a cluster have no cordons to mistake for one's own, and each lets one upgrade at a time.
        alone, confirm = (lease.held, lease.confirm) if lease else (nullcontext, lambda: None)
        rolling = Rolling(
            home,
            AnsibleHosts(ansible, playbook),
            clusters.cluster(servers, say) if servers else None,
            _health(home, servers) if servers else _nothing,
            Pace(told=_tell, within=within, stop=stopped, confirm=confirm),
            alone,
            own_boot(),
        )
        try:
            return rolling.plan() if dry_run else rolling.run()
        except (ClusterUnreachable, clusters.ClusterError) as error:
            raise PatchError(str(error)) from None


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """One run at a time from this machine, dry ones too; over a cluster the lease sees to all machines."""
    path = Settings.read().artifacts.parent / f"patch-{home.environment}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise PatchError(f"{path}: {error.strerror}; make its folder writable") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PatchError(f"{home.environment}: is being patched from here already; wait for its end") from None
        yield


@contextmanager
def _reached(home: Home) -> Iterator[tuple[Servers, Lease] | tuple[None, None]]:
    """The cluster's servers, and the right to patch it, which has connections of its own; neither without a cluster."""
    if home.cluster is None:
        yield None, None
        return
    file, context = Path(home.cluster.kubeconfig).expanduser(), kubeconfig.context(home.environment)
    try:
        if kubeconfig.server(kubeconfig.text(file), context) is None:
            raise PatchError(f"{file}: has no context {context}; run deploys/k3s.py from here, which writes it")
    except KubeconfigError as error:
        raise PatchError(f"{file}: {error}") from None
    with _servers(home, file, context) as servers, _servers(home, file, context) as own:
        yield servers, Lease(clusters.cluster(own, say), told=say)


def _servers(home: Home, file: Path, context: str) -> closing[Servers]:
    try:
        return closing(Servers.of(home, str(file), context))
    except ClusterUnreachable as error:
        raise PatchError(f"{error}; or run deploys/k3s.py, which writes it") from None


def _nothing() -> tuple[Report, Snapshot]:
    raise AssertionError("a home without a cluster has no health to read")


def _health(home: Home, servers: Servers) -> Callable[[], tuple[Report, Snapshot]]:
    """How the cluster's health is read: all checks, the home's nodes expected, with the settings that health has."""
    assert home.cluster is not None
    path, context = home.cluster.kubeconfig, kubeconfig.context(home.environment)
    known = expected.of(home, home.environment)
    try:
        file = health_settings.find()
        own = health_settings.read(file) if file else health_settings.Settings()
    except health_settings.SettingsWrong as error:
        raise PatchError(str(error)) from None

    def look() -> tuple[Report, Snapshot]:
        snapshot = _read(path, context, servers).expecting(known)
        report = run_checks(
            snapshot,
            own.thresholds,
            checks=[(code, check) for code, check in CHECKS if code not in own.off],
            severities=own.severities,
            suppressions=own.suppressions,
        )
        return report, snapshot

    return look


def _read(path: str, context: str, servers: Servers) -> Snapshot:
    """From the first server that can be reached. Raise ClusterUnreachable when none can."""
    failed: ClusterUnreachable | None = None
    for url in servers.urls:
        try:
            return read_snapshot(path, context, server=url)
        except ClusterUnreachable as error:
            failed = error
    assert failed is not None
    raise failed


def _tell(host: str, words: str) -> None:
    say(f"{host}: {words}" if host else words)


def _interrupted() -> None:
    say("interrupted: stopping after this step; Ctrl-C again cuts it")
