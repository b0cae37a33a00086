"""The cluster seen from the control machine: its entry in the kubeconfig, and the proof that it answers there."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pyinfra import host, logger, state
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.operation import operation

from homelab.k3s import config, kubeconfig, node, paths
from homelab.k3s.kubeconfig import KubeconfigError
from homelab.k3s.node import Node, Sight
from homelab.model import Home, Host
from homelab.operations import api as apis
from homelab.operations.api import ApiError
from homelab.operations.cluster import Cluster
from homelab.pyinfra_compat import Refusal, conditional, is_dry, unknown

# Ready after a restart takes a kubelet some seconds; every node passed its own gate before.
DEADLINE = 180
# Whoever writes a kubeconfig is at it for a moment.
LOCKED = 10


@operation()
def merged(cluster: Cluster) -> Generator[FunctionCommand, None, None]:
    """Ensure this cluster's entry in the control machine's kubeconfig (0600); all else in it is kept.

    A plan compares as a run does, with what the first server has now, and notes whether the entry would change; where
    that server has none, it is told as not known.
    """
    # Where it is a link, into a folder of dotfiles say, the file behind it is the one that is replaced.
    home, file = cluster.home, cluster.kubeconfig.resolve()
    name = kubeconfig.context(home.environment)
    starts = None if state.is_executing else cluster.plan.of(cluster.plan.first)
    also = "; the cluster itself is deployed" if state.is_executing else ""
    try:
        existing = kubeconfig.text(file)
        known = kubeconfig.server(existing, name)
        _, output = host.run_shell_command(StringCommand(f"cat {paths.KUBECONFIG}"), _sudo=True, _timeout=60)
        fetched = "\n".join(output.stdout_lines)
        # K3s writes it as it starts; and for want of it a run does first what it can do without.
        if not fetched and (starts is not None or not (state.is_executing or is_dry())):
            cluster.merges = known is None or (starts is not None and starts.kind == "initialise")
            wanted = existing
        elif not fetched and not state.is_executing:
            unknown(
                f"{file}: {paths.KUBECONFIG} of {host.name} cannot be read, so whether it would be merged is not known;"
                f" K3s writes that file when it starts"
            )
            return
        else:
            wanted = kubeconfig.merge(existing, fetched, name, _address(home, known))
            cluster.merges = wanted != existing or file.stat().st_mode & 0o777 != 0o600
    except KubeconfigError as error:
        raise Refusal([f"{file}: {error}{also}"]) from error
    except OSError as error:
        raise Refusal([f"{file}: cannot be read ({error.strerror}); mend it{also}"]) from error
    if not cluster.merges:
        if starts is None:
            host.noop(f"{file} has {name}")
            return
        conditional()  # K3s renews its certificates as it starts, where they are near their end
    yield FunctionCommand(merge_into, (cluster.kubeconfig, home, fetched), {})


def _address(home: Home, known: str | None) -> str:
    """The API's address: the one in use while it is a living server's or in tls_san, else the first server's."""
    assert home.cluster is not None
    living = [server for server in home.servers if not server.away]
    fine = {str(server.address) for server in living} | set(home.cluster.tls_san)
    if known is not None and kubeconfig.host_of(known) in fine:
        return known
    return config.url(living[0])


def merge_into(listed: Path, home: Home, fetched: str, deadline: float = LOCKED) -> bool:
    """Merge K3s's own kubeconfig into what the file is by now; False, and told, when that cannot be.

    Another run, or another program, may have written it since it was compared.
    """
    file, name = listed.resolve(), kubeconfig.context(home.environment)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(listed, deadline):
            existing = kubeconfig.text(file)
            wanted = kubeconfig.merge(existing, fetched, name, _address(home, kubeconfig.server(existing, name)))
            return write(file, existing, wanted)
    except KubeconfigError as error:
        logger.error(f"{file}: {error}; the cluster itself is deployed")
    except OSError as error:
        _unwritten(file, error)
    return False


@contextmanager
def _locked(file: Path, deadline: float) -> Iterator[None]:
    """Keep kubectl and other runs from a kubeconfig meanwhile, by a file beside it, under the name that kubectl knows.

    Raise KubeconfigError when somebody else does so to the end. Source: client-go, tools/clientcmd/loader.go, lockFile.
    """
    lock = file.with_name(f"{file.name}.lock")
    end = time.monotonic() + deadline
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > end:
                said = f"is locked by {lock}, as while another program writes it"
                raise KubeconfigError(f"{said}; if none does, rm {lock}, and deploy again") from None
        time.sleep(0.1)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def write(file: Path, existing: str, wanted: str) -> bool:
    """Replace a kubeconfig as a whole, 0600, with a backup of what was there; False, and told, when it cannot be."""
    # pyinfra shows a traceback for what a function raises.
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if existing and existing != wanted:
            _replace(file.with_name(f"{file.name}.homelab-backup"), existing)
        _replace(file, wanted)
    except OSError as error:
        _unwritten(file, error)
        return False
    return True


def _unwritten(file: Path, error: OSError) -> None:
    logger.error(f"{file}: cannot be written ({error}); the cluster itself is deployed")


def _replace(file: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600 from the start
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@operation()
def answering(
    cluster: Cluster, expected: tuple[Host, ...], deadline: float = DEADLINE
) -> Generator[StringCommand, None, None]:
    """Wait until the API, asked from the control machine, shows every expected node up; end the run if it does not.

    A plan that leaves nodes and kubeconfig as they are asks once, and tells as not known what lies behind an API that
    does not answer.
    """
    if state.is_executing:
        _prove(cluster, expected, deadline)
    elif is_dry() and cluster.nodes is not None and not cluster.plan.steps and not cluster.merges:
        nodes, why = outside(cluster.kubeconfig, kubeconfig.context(cluster.home.environment))
        if nodes is None:
            unknown(silent(why))
    yield from ()


def silent(why: str) -> str:
    return f"the cluster's API does not answer from here: {why}"


def _prove(cluster: Cluster, expected: tuple[Host, ...], deadline: float) -> None:
    end = time.monotonic() + deadline
    while True:
        nodes, why = outside(cluster.kubeconfig, kubeconfig.context(cluster.home.environment))
        missing = [f"{mine.name}: {'; '.join(lacks)}" for mine in expected if (lacks := _lacks(cluster, mine, nodes))]
        if nodes is not None and not missing:
            cluster.nodes = nodes
            logger.info(f"{host.print_prefix}{len(expected)} nodes Ready, seen from here")
            if cluster.plan.joins and cluster.plan.first is not None:
                logger.info(
                    f"{host.print_prefix}keep outside the house: {paths.SERVER_TOKEN} and {paths.AGENT_TOKEN} of "
                    f"{cluster.plan.first.name}; without the first no snapshot can ever be restored"
                )
            return
        if time.monotonic() > end:
            raise Refusal(missing if nodes is not None else [silent(why)])
        time.sleep(1)


def _lacks(cluster: Cluster, mine: Host, nodes: Mapping[str, Node] | None) -> list[str]:
    sight = Sight(unit="active", serving=True, node=(nodes or {}).get(mine.name))
    return node.unmet(sight, version=cluster.version, server=mine.role == "server")


def outside(file: Path, context: str) -> tuple[dict[str, Node] | None, str]:
    """The nodes as the API tells them to the control machine through the kubeconfig; else None and why."""
    try:
        listed = apis.connect(file, context).get("/api/v1/nodes") or {}
    except ApiError as error:
        return None, str(error)
    if "items" not in listed:
        return None, "it answers with something else than its nodes"
    return {each.name: each for each in map(node.parse, listed["items"])}, ""
