"""The K3s deploy's decisions for all hosts at once, made from the survey before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pyinfra import logger
from pyinfra.api.command import StringCommand

from homelab import k3s
from homelab.files import ManagedFile
from homelab.k3s import artifacts, config, kubeconfig, paths, token, unit
from homelab.k3s import plan as planning
from homelab.k3s.artifacts import Artifact, ArtifactError
from homelab.k3s.kubeconfig import KubeconfigError
from homelab.k3s.node import Node
from homelab.k3s.plan import Plan
from homelab.k3s.token import Token
from homelab.model import Home, Host, SecretRef
from homelab.operations import artifact, node
from homelab.operations.survey import Survey
from homelab.pyinfra_compat import Refusal, is_dry, unknown
from homelab.settings import SecretError, Settings, resolve_secret


@dataclass(frozen=True)
class Wanted:
    """What one node should have: its files, its binary and its image archives by path."""

    files: tuple[ManagedFile, ...]
    binary: Artifact
    images: Mapping[str, Artifact]

    def started_with(self, role: str) -> tuple[ManagedFile, ...]:
        """The files whose change means a restart: laid in the node's own turn."""
        return tuple(each for each in self.files if each.path in unit.started_with(role))

    def beside(self, role: str) -> tuple[ManagedFile, ...]:
        """The files that a running K3s does not mind."""
        return tuple(each for each in self.files if each.path not in unit.started_with(role))

    def sums(self, role: str) -> dict[str, str]:
        """SHA-256 of what K3s is started with, by path; files that should not be there are left out."""
        sums = {each.path: each.sha256 for each in self.started_with(role)}
        if self.binary.sha256 is not None:
            sums[paths.BINARY] = self.binary.sha256
        return sums


@dataclass
class Cluster:
    """One K3s deploy: the wanted state of each selected node, the order of starts, the tokens if a node needs one.

    `merges` is whether a plan has found that the kubeconfig would be merged anew.
    """

    home: Home
    version: str
    wanted: Mapping[str, Wanted]
    plan: Plan
    nodes: Mapping[str, Node] | None
    server_token: Token | None = field(default=None, repr=False)
    agent_token: Token | None = field(default=None, repr=False)
    merges: bool = False

    @property
    def expected(self) -> tuple[Host, ...]:
        """The nodes that this run must leave up: those it was given, in inventory order."""
        return tuple(host for host in self.home.servers + self.home.agents if host.name in self.wanted)

    @property
    def has_registries(self) -> bool:
        return bool(self.home.cluster and self.home.cluster.registries)

    @property
    def kubeconfig(self) -> Path:
        """The file on the control machine that gets this cluster's entry."""
        assert self.home.cluster is not None
        return Path(self.home.cluster.kubeconfig).expanduser()


def cluster(site: Survey) -> Cluster:
    """The run's K3s deploy; raise Refusal with every problem of every host at once."""
    made: Cluster = site.once("k3s", lambda: _cluster(site))
    return made


def _cluster(site: Survey) -> Cluster:
    home = site.home
    if home.cluster is None:
        raise Refusal(["the inventory has no K3s; write the groups k3s_servers and k3s_agents, and k3s_version"])
    here = [host for host in home.servers + home.agents if host.name in site.probes]
    if not here:
        raise Refusal(["none of the selected hosts is a K3s node; leave out --limit"])
    nodes = _ask(site, here)
    # What the cluster refuses comes first: there is no point in fetching a version that it will not take.
    if refused := planning.refusals(home, site.probes, nodes):
        raise Refusal(refused)
    wanted, problems = _wanted(home, here, site)
    problems += _unmergeable(home, here)
    if problems:
        raise Refusal(problems)
    sums = {host.name: wanted[host.name].sums(host.role or "") for host in here}
    if is_dry():
        _unknown_sums_are_no_drift(site, here, sums)
    plan = planning.plan(home, site.probes, nodes, sums)
    unsafe = planning.restart_refusals(home, plan, nodes, site.probes)
    if unsafe := unsafe + planning.partial_refusals(home, plan, site.probes):
        raise Refusal(unsafe)
    for problem in planning.partial_warnings(home, plan, site.probes):
        logger.warning(f"    {problem}")
    if is_dry() and nodes is None and not plan.steps:
        names = ", ".join(host.name for host in here if host.role == "server")
        unknown(f"{names}: no API answers, so what would change of the nodes is not known; see homelab health")
    made = Cluster(home, home.cluster.version, wanted, plan, nodes)
    if plan.joins:
        made.server_token, made.agent_token = _tokens(site, plan)
    return made


def _unmergeable(home: Home, here: list[Host]) -> list[str]:
    """Why this control machine's kubeconfig cannot be merged into: known before all else, it is not told after it."""
    assert home.cluster is not None
    file = Path(home.cluster.kubeconfig).expanduser()
    try:
        if any(host.role == "server" for host in here):
            kubeconfig.server(kubeconfig.text(file), kubeconfig.context(home.environment))
    except KubeconfigError as error:
        return [f"{file}: {error}"]
    return []


def _unknown_sums_are_no_drift(site: Survey, here: list[Host], sums: dict[str, dict[str, str]]) -> None:
    # A dry run does not fetch, so the hash of a binary may not be known yet.
    for host in here:
        running = site.probes[host.name].k3s_started.get(paths.BINARY)
        if running is not None:
            sums[host.name].setdefault(paths.BINARY, running)


def _ask(site: Survey, here: list[Host]) -> dict[str, Node] | None:
    for host in here:
        probe = site.probes[host.name]
        if host.role == "server" and planning.member(probe) and probe.unit(paths.SERVER_UNIT).active == "active":
            found = node.nodes(node.pyinfra_host(host))
            if found is not None:
                return found
    return None


def _wanted(home: Home, here: list[Host], site: Survey) -> tuple[dict[str, Wanted], list[str]]:
    assert home.cluster is not None
    folder = Settings.read().artifacts
    problems: dict[str, str] = {}
    wanted = {}

    # Once an architecture, not once a host: what cannot be had costs its time-out and its line.
    @cache
    def asset(arch: str, name: str, path: str) -> Artifact | None:
        laid = any(path in site.probes[host.name].files for host in here)
        try:
            return artifact.ready(folder, version, arch, name, laid)
        except ArtifactError as error:
            problems[str(error)] = str(error)
            return None

    version = home.cluster.version
    registries: ManagedFile | None = None
    try:
        if home.cluster.registries:
            registries = config.registries(_resolved(home.cluster.registries))
    except SecretError as error:
        problems[str(error)] = f"registries: {error}"
    for host in here:
        role, arch = host.role or "", site.probes[host.name].arch
        files = [
            unit.unit(role),
            unit.prestart(role),
            unit.killall(),
            unit.uninstall(role),
            config.config(home, host),
            config.registration(host),
        ]
        if registries is not None:
            files.append(registries)
        binary = asset(arch, artifacts.binary(arch), paths.BINARY)
        archives = {f"{paths.IMAGES}/{name}": name for name in k3s.image_assets(home, arch)}
        images = {path: asset(arch, name, path) for path, name in archives.items()}
        if binary is not None:
            found = {path: each for path, each in images.items() if each is not None}
            wanted[host.name] = Wanted(tuple(files), binary, found)
    return wanted, list(problems.values())


def _resolved(value: Any) -> Any:
    if isinstance(value, SecretRef):
        return _secret(value).get_secret_value()
    if isinstance(value, Mapping):
        return {key: _resolved(each) for key, each in value.items()}
    return [_resolved(each) for each in value] if isinstance(value, list | tuple) else value


def _secret(reference: SecretRef) -> SecretStr:
    return resolve_secret(reference, base=Path.cwd())


# Tokens
#


def _tokens(site: Survey, plan: Plan) -> tuple[Token, Token]:
    """The server's and the agents' token: read back where a server has them, else from the secret, else generated.

    The planner has refused already where a server that is not here could have the cluster's.
    """
    assert site.home.cluster is not None
    found: dict[str, Token] = {}
    holders = [plan.first] if plan.first is not None else []
    holders += [host for host in site.home.servers if host.name in site.probes and host not in holders]
    for host in holders:
        probe = site.probes[host.name]
        # K3s's own copy first: it is what the cluster was made with.
        for path, name in (
            (paths.SERVER_TOKEN, "server"),
            (paths.TOKEN, "server"),
            (paths.AGENT_TOKEN, "agent"),
        ):
            if name not in found and path in probe.files and probe.files[path].size:
                found[name] = read_token(host, path)
    problems = []
    for name, reference in (("server", site.home.cluster.token), ("agent", site.home.cluster.agent_token)):
        key = "k3s_token" if name == "server" else "k3s_agent_token"
        if reference is None:
            continue
        try:
            given = token.parse(_secret(reference).get_secret_value())
        except (SecretError, ValueError) as error:
            problems.append(f"{key}: {error}; correct the secret")
            continue
        if name in found and found[name].password != given.password:
            problems.append(
                f"{key}: is not the cluster's token; changing tokens is not supported yet, put the old one back"
            )
        found.setdefault(name, given)
    if problems:
        raise Refusal(problems)
    begins = any(step.kind == "initialise" for step in plan.steps)
    for name in ("server", "agent"):
        if name not in found:
            # A cluster that lives has one: another would lock everyone out who joins with it.
            if not begins:
                raise Refusal([f"no server here has the cluster's {name} token; put it back from the recovery kit"])
            found[name] = token.generate()
            word = "would be" if is_dry() else "was"
            logger.info(f"    a new {name} token {word} generated; it is kept on the nodes only")
    return found["server"], found["agent"]


def read_token(mine: Host, path: str) -> Token:
    """A token from a host's file; raise Refusal when it is not one. The command's output is shown nowhere."""
    theirs = node.pyinfra_host(mine)
    ok, output = theirs.run_shell_command(StringCommand(f"cat {path}"), _sudo=True, _timeout=60)
    try:
        return token.parse("\n".join(output.stdout_lines) if ok else "")
    except ValueError as error:
        raise Refusal(
            [f"{mine.name}: {path} {error}; put the cluster's token back there from the recovery kit"]
        ) from None
