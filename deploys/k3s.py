"""K3s on the machines of the groups k3s_servers and k3s_agents: `pyinfra inventory deploys/k3s.py`."""

from pathlib import Path

from pyinfra import host, local

from homelab.k3s import config, paths, plan, unit
from homelab.k3s.plan import Step
from homelab.operations import artifact, files, kubeconfig, labels, node, systemd, token
from homelab.operations.barrier import barrier
from homelab.operations.cluster import cluster
from homelab.operations.survey import survey

site = survey()
me, probe = site.me, site.probe


def install() -> None:
    """All that a running K3s does not mind, on every node at once."""
    artifact.pushed(
        name=f"Install K3s {k3s.version}",
        artifact=mine.binary,
        path=paths.BINARY,
        current=probe.files.get(paths.BINARY),
        previous=paths.PREVIOUS,
    )
    for link in host.loop(paths.LINKS):
        path = f"/usr/local/bin/{link}"
        files.link(name=f"Link {link} to K3s", path=path, target="k3s", current=probe.files.get(path))
    for path, archive in host.loop(mine.images.items()):
        artifact.pushed(
            name=f"Lay the image archive {archive.asset}",
            artifact=archive,
            path=path,
            current=probe.files.get(path),
            mode="0644",
        )
    for wanted in host.loop(mine.beside(me.role)):
        files.file(name=f"Write {wanted.path}", wanted=wanted, current=probe.files.get(wanted.path))


def lay() -> None:
    """Lay what K3s reads when it starts."""
    for wanted in host.loop(mine.started_with(me.role)):
        write = systemd.unit_file if wanted.path == paths.unit_file(me.role) else files.file
        write(name=f"Write {wanted.path}", wanted=wanted, current=probe.files.get(wanted.path))
    if not k3s.has_registries:
        path = paths.REGISTRIES
        files.absent(name=f"Remove {path}", path=path, current=probe.files.get(path))


def start(together: tuple[Step, ...]) -> None:
    """Lay what K3s reads when it starts, and start it, on all nodes of these steps at once."""
    if step.joins:
        token.tokens(name="Lay the token", cluster=k3s, step=step)
        files.file(name="Say how to join", wanted=config.join(step.via), current=probe.files.get(paths.JOIN))
    lay()
    current = probe.unit(paths.unit(me.role))
    node.started(
        name=f"Start K3s on {plan.told(together)}",
        role=me.role,
        current=current,
        restart=plan.restarts(step, probe, mine.sums(me.role)),
    )


def wait(who: str) -> None:
    """Wait until this node counts as up: a server's own API says so, for an agent its first server's."""
    via = me if me.role == "server" else k3s.plan.first
    node.up(name=f"Wait for {who}", mine=me, via=node.pyinfra_host(via), version=k3s.version)


def remember() -> None:
    """Mark a server that has its share of the cluster, so that it never starts without it."""
    if me.role == "server":
        mark = unit.established()
        files.file(name="Remember that this server has the cluster", wanted=mark, current=probe.files.get(mark.path))


if me.role is not None:
    k3s = cluster(site)
    mine = k3s.wanted[me.name]
    step = k3s.plan.of(me)
    first = me == k3s.plan.first

    local.include(str(Path(__file__).resolve().parent / "base.py"))
    install()
    if step is None:
        # It runs with all of this; on the disk a hand may have changed it since, and the next start would tell.
        lay()
        current = probe.unit(paths.unit(me.role))
        node.started(name="Start K3s at boot", role=me.role, current=current, restart=False)

    # Members that are down need each other to come up, so they start together, and nothing goes on before all are up.
    standing = me.role == "server" and plan.member(probe)
    if standing and k3s.plan.steps:
        if step is not None and step.kind == "revive":
            start(k3s.plan.revive)
        wait("the servers of the cluster")
        remember()

    for turn in host.loop(k3s.plan.servers):
        barrier(name=f"Turn of {turn.host.name}", label=turn.because)
        if me == turn.via:
            node.forgotten(name=f"Forget the old {turn.host.name}", mine=turn.host, needed=turn.forget)
        barrier(name=f"{turn.host.name} may start", label=turn.because)
        if me == turn.host:
            start((turn,))
        # The others wait too: a change of etcd's leader can end a K3s elsewhere, and the next turn needs quorum.
        standing = standing or me == turn.host
        if standing:
            wait(f"every server after the turn of {turn.host.name}")
        if me == turn.host:
            remember()

    barrier(name="Turn of the agents", label="all servers are up")
    for turn in host.loop(k3s.plan.agents):
        if me == turn.via:
            node.forgotten(name=f"Forget the old {turn.host.name}", mine=turn.host, needed=turn.forget)
    barrier(name="Agents may start", label="the cluster has nothing old of them")
    if me.role == "agent" and step is not None:
        start(k3s.plan.agents)
        wait("the agents")

    barrier(name="Every node is started", label="what is left does not depend on the order")
    if first:
        kubeconfig.merged(name=f"Merge the kubeconfig {k3s.kubeconfig}", cluster=k3s)
        kubeconfig.answering(name="See from here that every node is Ready", cluster=k3s, expected=k3s.expected)
        labels.labelled(name="Set labels and taints", cluster=k3s, nodes=k3s.expected)
    if not k3s.plan.steps:
        remember()  # a run that was cut just after its last wait did not come to it
    joined_by = config.join(step.via).content if step and step.joins else probe.text.get(paths.JOIN)
    through = plan.rejoin(k3s.home, me, joined_by)
    if through is not None:
        files.file(
            name=f"Name {through.name} for the day this node is wiped", wanted=config.join(through), current=None
        )
