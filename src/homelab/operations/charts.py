"""The charts deploy: releases applied through the API, waited for, and taken away when they are no longer listed."""

from __future__ import annotations

import base64
import shlex
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import SecretStr
from pyinfra import host, logger, state
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.operation import operation

from homelab.charts import archive, objects
from homelab.charts import state as found
from homelab.charts.objects import NAMESPACE, Wanted
from homelab.k3s import kubeconfig
from homelab.k3s.kubeconfig import KubeconfigError
from homelab.model import Home, Host, storage_classes
from homelab.model.chart_folder import ChartError, Dependency
from homelab.operations import api as apis
from homelab.operations.api import Api, ApiError
from homelab.operations.cluster import Cluster
from homelab.operations.kubeconfig import silent, write
from homelab.operations.survey import Survey
from homelab.pyinfra_compat import Refusal, charts_folder, conditional, is_dry, unknown
from homelab.settings import SecretError, Settings, resolve_secret

# The job's image, the chart and the workloads' images may all have to be fetched.
DEADLINE = 300
# K3s may just have started: until it has made its own definitions.
STARTING = 60
READER = "health-reader"

_HELMCHARTS = f"/apis/{objects.API}/namespaces/{NAMESPACE}/helmcharts"
_CONFIGS = f"/apis/{objects.API}/namespaces/{NAMESPACE}/helmchartconfigs"
# What Helm writes on all that it makes.
_RELEASE, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_OURS = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dhomelab"


@dataclass(frozen=True)
class Gone:
    """A release of ours that is no longer listed.

    `packaged`: only its values were ours; `leaving`: it is being uninstalled; `left`: of it there is only our Secret.
    """

    name: str
    namespace: str
    chart: str = ""
    packaged: bool = False
    leaving: bool = False
    left: bool = False


@dataclass
class Charts:
    """One charts deploy: what is wanted, what is to go, and who carries it out.

    `k3s` is the K3s deploy earlier in this run, which may change what the cluster knows; `asked`, whether the API could
    be asked when the run began: not before K3s has made or revived the cluster; `silent`, why it does not answer.
    """

    home: Home
    first: Host
    wanted: tuple[Wanted, ...]
    gone: tuple[Gone, ...]
    secrets: Mapping[str, Mapping[str, SecretStr]] = field(repr=False)
    k3s: Cluster | None = None
    asked: bool = False
    silent: str = ""
    _reached: tuple[str, Api] | None = field(default=None, init=False, repr=False)
    _definitions: dict[tuple[str, bool], dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    @property
    def kubeconfig(self) -> Path:
        assert self.home.cluster is not None
        return Path(self.home.cluster.kubeconfig).expanduser()

    @property
    def context(self) -> str:
        return kubeconfig.context(self.home.environment)

    @property
    def readers(self) -> tuple[Wanted, ...]:
        """The releases whose account is handed out as a kubeconfig."""
        return tuple(each for each in self.wanted if each.chart == READER)

    def reader_file(self, release: str) -> Path:
        """Where the kubeconfig of a reader is written."""
        return self.kubeconfig.with_name(f"{self.kubeconfig.name}.{release}")

    def api(self) -> Api | None:
        """The cluster's API; None when this control machine has not met the cluster yet.

        Connected to anew only when the kubeconfig has changed, as by a K3s that this very run has installed.
        Raise Refusal when the kubeconfig cannot be read, ApiError when its entry leads nowhere.
        """
        try:
            text = kubeconfig.text(self.kubeconfig)
            if self._reached is None or self._reached[0] != text:
                if kubeconfig.server(text, self.context) is None:
                    return None
                self._reached = text, apis.connect(self.kubeconfig, self.context)
                self._definitions.clear()
            return self._reached[1]
        except KubeconfigError as error:
            raise Refusal([f"{self.kubeconfig}: {error}"]) from None

    def reached(self) -> Api:
        """The API where it has to be there; raise Refusal when it is not."""
        try:
            api = self.api()
        except ApiError as error:
            raise Refusal([error]) from None
        if api is None:
            raise Refusal([_unmet(self)])
        return api

    def definition(self, api: Api, kind: str, deadline: float = 0) -> dict[str, Any] | None:
        """What defines a kind, waited for; None when there is no such one. Asked once, and once K3s is deployed again.

        Raise ApiError when the API cannot be asked.
        """
        key = (kind, self.k3s is not None and state.is_executing)
        end = time.monotonic() + deadline
        while key not in self._definitions:
            if (crd := api.get(f"{found.DEFINITIONS}/{kind.lower()}s.helm.cattle.io")) is not None:
                self._definitions[key] = crd
            elif time.monotonic() >= end:
                return None
            else:
                time.sleep(1)
        return self._definitions[key]


def charts(site: Survey) -> Charts:
    """The run's charts deploy; raise Refusal with all that is wrong at once, before anything is touched."""
    made: Charts = site.once("charts", lambda: _charts(site.home, _first(site), charts_folder(), site.plans.get("k3s")))
    return made


def _first(site: Survey) -> Host:
    servers = [host for host in site.home.servers if host.name in site.probes]
    if not servers:
        raise Refusal(["none of the selected hosts is a K3s server; leave out --limit"])
    return servers[0]


def _charts(home: Home, first: Host, folder: Path, k3s: Cluster | None = None) -> Charts:
    if home.cluster is None or home.cluster.charts is None:
        raise Refusal(['the inventory lists no charts; write charts = [{"name": "ntfy", ...}] in group_data'])
    archives, problems = _archives(objects.dependencies(home, folder))
    try:
        wanted = objects.releases(home, folder, archives)
    except ChartError as error:
        raise Refusal([*problems, error]) from None
    secrets = {}
    for release in wanted:
        held = {}
        for key, reference in release.secrets.items():
            try:
                held[key] = resolve_secret(reference, base=Path.cwd())
            except SecretError as error:
                problems.append(f"charts: {release.name}.secrets.{key}: {error}")
        secrets[release.name] = held
    made = Charts(home, first, wanted, (), secrets, k3s)
    try:
        api = made.api()
        if api is not None:
            problems += _unfit(made, api, wanted)
            made.gone, unclaimed = _gone(api, wanted, home.environment)
            problems += _needed(api, made.gone)
            problems += _not_kept(api, made.gone)
            made.asked = True
            for line in unclaimed:
                logger.warning(f"    {line}")
        elif k3s is None:
            problems.append(_unmet(made))
    except ApiError as error:
        # A cluster that is down is not kept down by what would run on it, nor by an entry that K3s's deploy mends.
        made.silent = silent(str(error))
        if k3s is None:
            problems.append(f"{made.silent}; see homelab health")
        else:
            logger.info("    the cluster's API does not answer yet: what is no longer listed stays until the next run")
    if problems:
        raise Refusal(problems)
    return made


def _archives(listed: Iterable[Dependency]) -> tuple[dict[Dependency, bytes], list[str]]:
    """The archives of these charts that the artifact cache has, and what is wrong with others there."""
    folder = Settings.read().artifacts / "charts"
    archives, problems = {}, []
    for each in listed:
        try:
            if (kept := archive.kept(folder, each)) is not None:
                archives[each] = kept
        except ChartError as error:
            problems.append(str(error))
    return archives, problems


def _unmet(charts: Charts) -> str:
    return f"{charts.kubeconfig}: has no context {charts.context}; run deploys/k3s.py first"


def _unfit(charts: Charts, api: Api, wanted: tuple[Wanted, ...]) -> list[str]:
    """What this cluster would not take, by its definitions of the kinds, or what is there and is somebody else's."""
    problems = []
    for kind in sorted({each.manifest["kind"] for each in wanted}):
        crd = charts.definition(api, kind)
        if crd is None:
            problems.append(_unknown(kind))
            continue
        for each in (each for each in wanted if each.manifest["kind"] == kind):
            if unknown := objects.unknown_fields(crd, each.manifest):
                problems.append(f"{each.name}: this K3s's {kind} does not know {', '.join(unknown)}; upgrade K3s")
            live = api.get(apis.path_of(each.manifest))
            if live is None:
                if not each.packaged and _history(api, each.name, each.namespace):
                    found = f"{each.name}: a Helm release of that name is in {each.namespace} and not this toolkit's"
                    problems.append(f"{found}; helm uninstall it, or give the release another name")
            elif not objects.LABELS.items() <= (live["metadata"].get("labels") or {}).items():
                found = f"{each.name}: {kind} {NAMESPACE}/{each.name} is there and not this toolkit's"
                problems.append(f"{found}; delete it, or give the release another name")
            elif (theirs := objects.environment(live)) not in ("", charts.home.environment):
                found = f"{each.name}: {kind} {NAMESPACE}/{each.name} is of the inventory {theirs}"
                remedy = f"if this one is to have it: {_claim(kind, each.name, charts.home.environment)}"
                problems.append(f"{found}; leave it out here, or, {remedy}")
            elif "deletionTimestamp" in live["metadata"]:
                found = f"{each.name}: is still being uninstalled by the job helm-delete-{each.name}"
                problems.append(f"{found}; see its pod in {NAMESPACE}, and deploy again when it is done")
            else:
                problems += _moved(objects.as_there(each, live), live["spec"])
            # Where it does not say, a failed upgrade is answered by uninstalling after all (helm-controller 0.17).
            if not each.packaged and api.get(f"{_CONFIGS}/{each.name}") is not None:
                found = f"{each.name}: HelmChartConfig {NAMESPACE}/{each.name} is there and overrules the inventory"
                problems.append(f"{found}; write its values into the inventory, and delete it")
    return problems


def _unknown(kind: str) -> str:
    return f"this cluster has no {kind}; take disable-helm-controller out of server_config"


def _moved(wanted: Wanted, live: Mapping[str, Any]) -> list[str]:
    """Why a release cannot become this one: Helm would install a second, and leave the first behind."""
    problems = []
    for key, word in (("targetNamespace", "in namespace"), ("chart", "of chart")):
        has, mine = live.get(key), wanted.manifest["spec"].get(key)
        if has and has != mine:
            remedy = "take it out of the list, deploy, put it back and deploy again"
            problems.append(f"{wanted.name}: is {word} {has}, and a release cannot become one {word} {mine}; {remedy}")
    return problems


def _claim(kind: str, name: str, environment: str) -> str:
    """The command by which somebody says that a release is this inventory's."""
    mark = shlex.quote(f"{objects.ENVIRONMENT}={environment}")
    return f"kubectl -n {NAMESPACE} annotate --overwrite {kind.lower()} {name} {mark}"


def _gone(api: Api, wanted: tuple[Wanted, ...], environment: str) -> tuple[tuple[Gone, ...], list[str]]:
    """What this inventory no longer lists, and a line for each of which nothing tells that it ever did: that stays.

    Of what another inventory lists nothing is said.
    """
    listed = {(each.manifest["kind"], each.name) for each in wanted}
    found, unclaimed = [], []
    known = {(each.name, each.namespace) for each in wanted if not each.packaged}
    for kind, path in (("HelmChart", _HELMCHARTS), ("HelmChartConfig", _CONFIGS)):
        for each in api.items(path, _OURS):
            name, whose = each["metadata"]["name"], objects.environment(each)
            if (kind, name) in listed:
                continue
            target = each["spec"].get("targetNamespace") or NAMESPACE
            if kind == "HelmChart":
                known.add((name, target))
            if whose == environment:
                leaving = "deletionTimestamp" in each["metadata"]
                found.append(Gone(name, target, each["spec"].get("chart", ""), kind == "HelmChartConfig", leaving))
            elif not whose:
                said = f"{name}: is not listed and does not tell which inventory did, so it stays"
                unclaimed.append(f"{said}; if this one did: {_claim(kind, name, environment)}, and deploy again")
    # An uninstall that outlasted its run leaves the Secret: nobody was there any more to take it away.
    for each in api.items("/api/v1/secrets", f"{_OURS}%2C{quote(objects.RELEASE_LABEL, safe='')}"):
        metadata, whose = each["metadata"], objects.environment(each)
        name, release, namespace = metadata["name"], metadata["labels"][objects.RELEASE_LABEL], metadata["namespace"]
        if (release, namespace) in known or name != objects.secret_name(release):
            continue
        if whose == environment:
            found.append(Gone(release, namespace, left=True))
        elif not whose:
            said = f"{release}: is gone, and its Secret does not tell which inventory listed it, so that stays"
            unclaimed.append(f"{said}; if none is about to: kubectl -n {namespace} delete secret {name}")
    return tuple(sorted(found, key=lambda each: each.name)), unclaimed


def _needed(api: Api, gone: tuple[Gone, ...]) -> list[str]:
    """Why a release cannot be taken away: without their driver, volumes could neither be mounted nor let go."""
    driver = next((each.name for each in gone if each.chart == storage_classes.DRIVER), None)
    if driver is None:
        return []
    volumes = [
        each["spec"].get("claimRef") or {}
        for each in api.items("/api/v1/persistentvolumes")
        if (each["spec"].get("csi") or {}).get("driver") == storage_classes.PROVISIONER
    ]
    claims = sorted(f"{claim.get('namespace')}/{claim.get('name')}" for claim in volumes)
    if not claims:
        return []
    return [f"{driver}: claims still have volumes of it ({', '.join(claims)}); delete those first, the folders stay"]


def _not_kept(api: Api, gone: tuple[Gone, ...]) -> list[str]:
    """Why a release cannot be taken away: what of it may hold data would go with it, as Helm's record has it."""
    problems = []
    for each in gone:
        if each.packaged or each.leaving or each.left:
            continue
        knowingly = f"if that may go, kubectl -n {NAMESPACE} delete helmchart {each.name}"
        annotated = f"the annotation {found.POLICY}: {found.KEEP} in its chart or by its values"
        try:
            for what, whom in _going(api, each):
                problems.append(
                    f"{each.name}: {what} would be deleted with it; put it back in the list, give {whom} {annotated}, "
                    f"deploy, and then take it out; or, {knowingly}"
                )
        except found.UnreadableError as error:
            problems.append(f"{each.name}: {error}, so what would go with it cannot be told; {knowingly}")
    return problems


def _going(api: Api, gone: Gone) -> Iterator[tuple[str, str]]:
    """What may hold data and would go with a release, and which object of it would have to be kept for that.

    Raise UnreadableError when that cannot be told.
    """
    for record in _compared(api, gone.name, gone.namespace)[:1]:
        yield from ((one.said, "that") for one in found.holding(record, gone.namespace) if not one.kept)
        for owner in _owners(api, record, gone.namespace):
            for claim in () if owner.kept else owner.claims:
                yield f"PersistentVolumeClaim {owner.namespace}/{claim}, which {owner.said} owns,", "the owner"


def _owners(api: Api, record: found.Recorded, namespace: str) -> tuple[found.Owner, ...]:
    """What of a release would take live claims along."""
    claims = [claim for at in sorted(found.namespaces(record, namespace)) for claim in api.items(found.claims(at))]
    return found.owners(record, namespace, claims)


def _history(api: Api, release: str, namespace: str) -> list[dict[str, Any]]:
    """The Secrets in which Helm keeps a release, one for each revision."""
    return api.items(f"{_namespace(namespace)}/secrets", f"labelSelector=owner%3Dhelm%2Cname%3D{release}")


def _recorded(api: Api, release: str, namespace: str) -> found.Recorded | None:
    return found.recorded(_history(api, release, namespace))


def _compared(api: Api, release: str, namespace: str) -> tuple[found.Recorded, ...]:
    """The records that Helm goes by, the newest first; none of a release that it does not know.

    Raise UnreadableError when it has records, and none of them can be read here.
    """
    history = _history(api, release, namespace)
    records = found.compared(history)
    if history and not records:
        raise found.UnreadableError("what Helm keeps of it cannot be read")
    return records


# Operations, on the one host that carries them: they run here, against the API
#


@operation()
def applied(charts: Charts, wanted: Wanted) -> Generator[FunctionCommand, None, None]:
    """Ensure a release's namespace, Secret and HelmChart or HelmChartConfig; a dry run asks the API what differs.

    Where K3s has yet to make the cluster answer, a plan tells it as what comes after that.
    """
    if not state.is_executing and not charts.asked:
        yield _later(charts)
        return
    api = charts.reached()
    try:
        definition = charts.definition(api, wanted.manifest["kind"], STARTING if state.is_executing else 0)
        if definition is None:
            raise Refusal([_unknown(wanted.manifest["kind"])])
        # What was not there when the run began could not be asked then.
        if state.is_executing and (problems := _unfit(charts, api, (wanted,))):
            raise Refusal(problems)
        live = api.get(apis.path_of(wanted.manifest)) if wanted.fetched else None
        manifest = objects.fitted(definition, (objects.as_there(wanted, live) if live else wanted).manifest)
        things = _things(charts, wanted, manifest)
        missing = api.get(_namespace(wanted.namespace)) is None
        differing = [each for each in things if (missing and each is not manifest) or api.differs(each)]
        # Helm's job is not run again for what was taken away by hand after it.
        job = "" if manifest in differing else _done_in_vain(api, wanted)
        # A password that is described no more is not left in the cluster.
        stale = _secret(wanted.namespace, wanted.name) if len(things) == 1 and not wanted.packaged else ""
        stale = stale if stale and api.get(stale) is not None else ""
    except ApiError as error:
        raise Refusal([f"{wanted.name}: {error}"]) from None
    if not (differing or missing or stale or job):
        host.noop(f"{wanted.name} is {wanted.said}")
        return
    # With either, Helm's job runs.
    helms = manifest in differing or bool(job)
    act = partial(_apply, api, wanted, differing, missing, (stale, job), helms)
    yield FunctionCommand(_carried_out, (wanted.name, act), {})


def _later(charts: Charts) -> FunctionCommand:
    """What a plan cannot compare yet. Where nothing of K3s would change, no deploy makes the API answer."""
    if charts.silent and charts.k3s is not None and not charts.k3s.plan.steps and not charts.k3s.merges and is_dry():
        unknown(charts.silent)
    conditional()
    return FunctionCommand(_carried_out, (), {})


def _done_in_vain(api: Api, wanted: Wanted) -> str:
    """The job that installed a release which is, all the same, not as wanted; "" where there is none or it is at it."""
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/helm-install-{wanted.name}"
    conditions = ((api.get(path) or {}).get("status") or {}).get("conditions") or ()
    complete = any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)
    if not complete or not found.installed(wanted, _recorded(api, wanted.name, wanted.namespace)):
        return ""
    return path


def _things(charts: Charts, wanted: Wanted, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    held = charts.secrets.get(wanted.name) or {}
    # The Secret first: pods of the release start with it.
    secrets = [objects.secret(wanted, {key: value.get_secret_value() for key, value in held.items()})] if held else []
    return [*secrets, manifest]


def _namespace(name: str) -> str:
    return f"/api/v1/namespaces/{name}"


def _secret(namespace: str, release: str) -> str:
    return f"{_namespace(namespace)}/secrets/{objects.secret_name(release)}"


def _apply(
    api: Api, wanted: Wanted, differing: list[dict[str, Any]], missing: bool, rid: Iterable[str], helms: bool
) -> None:
    if helms:
        _keep(api, wanted.name, wanted.namespace)
    if missing:
        api.create(
            "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted.namespace}}
        )
    for each in differing:
        api.apply(each)
    for path in filter(None, rid):
        api.delete(path)


def _keep(api: Api, release: str, namespace: str) -> None:
    """Have what may hold data stay where a release's next version, or its next values, no longer have it."""
    try:
        records = _compared(api, release, namespace)
        holding = {each.path: each.said for record in records for each in found.holding(record, namespace)}
        owners = {each.said: each for record in records for each in _owners(api, record, namespace)}
    except found.UnreadableError as error:
        raise Refusal(
            [f"{release}: {error}, so what an upgrade would delete cannot be told; see helm history"]
        ) from None
    for each in owners.values():
        if (path := api.find(each.version, each.kind, each.namespace, each.name)) is not None:
            holding[path] = each.said
    for path, said in holding.items():
        live = api.get(path)
        # To the letter: for an upgrade Helm heeds spaces and case, other than for an uninstall (see `found.Holding`).
        if live is not None and (live["metadata"].get("annotations") or {}).get(found.POLICY) != found.KEEP:
            api.annotate(path, {found.POLICY: found.KEEP})
            logger.info(f"{host.print_prefix}{release}: {said} is annotated to stay, {found.POLICY}: {found.KEEP}")


def _carried_out(name: str, act: Callable[[], None]) -> bool:
    # pyinfra shows a traceback for what a function raises.
    try:
        act()
    except ApiError as error:
        Refusal([f"{name}: {error}"]).show()
        return False
    except Refusal as refusal:
        refusal.show()
        return False
    return True


@operation()
def up(charts: Charts, deadline: float = DEADLINE) -> Generator[StringCommand, None, None]:
    """Wait until every release is as wanted and its workloads are up; end the run with why where one is not."""
    if state.is_executing:
        _prove(charts.reached(), charts.wanted, deadline)
    yield from ()


def _prove(api: Api, wanted: tuple[Wanted, ...], deadline: float) -> None:
    end = time.monotonic() + deadline
    while wanted:
        lacking, up = {}, []
        try:
            for each in wanted:
                record = _recorded(api, each.name, each.namespace)
                lacks = _lacks(api, each, record)
                if lacks or record is None:
                    lacking[each.name] = lacks
                else:
                    up.append((each, record))
        except ApiError as error:
            lacking[""] = str(error)
        if not lacking:
            logger.info(f"{host.print_prefix}{len(wanted)} releases up: {', '.join(each.said for each in wanted)}")
            for line in _left_over(api, up):
                logger.info(f"{host.print_prefix}{line}")
            return
        if time.monotonic() > end:
            lines = [f"{error}; see homelab health" for name, error in lacking.items() if not name]
            for each in wanted:
                lines += [f"{each.name}: {line}" for line in _why(api, each, lacking.get(each.name, ""))]
            raise Refusal(lines)
        time.sleep(2)


def _left_over(api: Api, up: Iterable[tuple[Wanted, found.Recorded]]) -> Iterator[str]:
    """The claims that a release had before, which hold what they held, and which neither a pod nor the release mounts.

    What cannot be read is left out: the releases are up, and the next run tells it.
    """
    for each, record in up:
        with suppress(ApiError, found.UnreadableError):
            keep = {one.path for one in found.holding(record, each.namespace)}
            claims = found.claims(each.namespace)
            theirs = [claim["metadata"] for claim in api.items(claims) if _helms(claim, each.name, each.namespace)]
            theirs = [metadata for metadata in theirs if f"{claims}/{metadata['name']}" not in keep]
            # A release may mount by its values what it made before.
            mounted = _mounted(api, each.namespace) if theirs else frozenset[str]()
            mounted |= found.mounts(record)
            for name in (metadata["name"] for metadata in theirs):
                if name not in mounted:
                    remedy = f"if it may go: kubectl -n {each.namespace} delete pvc {name}"
                    yield f"{each.name}: has PersistentVolumeClaim {name} no longer, which stays; {remedy}"


def _helms(thing: Mapping[str, Any], release: str, namespace: str, *, labelled: bool = False) -> bool:
    """Whether Helm made a thing for this release, and not for one of the same name in another namespace.

    `labelled`: or it is only labelled as that one's, as the claims of a StatefulSet are.
    """
    notes, labels = thing["metadata"].get("annotations") or {}, thing["metadata"].get("labels") or {}
    named = {notes.get(_RELEASE), *([labels.get("app.kubernetes.io/instance")] if labelled else [])}
    return release in named and notes.get(_RELEASE_NAMESPACE, namespace) == namespace


def _mounted(api: Api, namespace: str) -> frozenset[str]:
    """The claims that pods of a namespace have among their volumes."""
    volumes = [
        volume
        for pod in api.items(f"{_namespace(namespace)}/pods")
        for volume in (pod.get("spec") or {}).get("volumes") or ()
    ]
    return frozenset((volume.get("persistentVolumeClaim") or {}).get("claimName", "") for volume in volumes)


def _why(api: Api, wanted: Wanted, lacks: str) -> tuple[str, ...]:
    """Why a release lacks something, in lines; none where it lacks nothing."""
    if not lacks:
        return ()
    if not lacks.startswith(found.HELMS):
        # Helm's job did its work: what it said of that does not tell why a workload is not up.
        return found.why(lacks, (), ())
    return told_of(api, f"install-{wanted.name}", lacks)


def lack(api: Api, wanted: Wanted) -> str:
    """What a release lacks to be up; "" when it is. Raise ApiError when the API cannot be asked."""
    return _lacks(api, wanted, _recorded(api, wanted.name, wanted.namespace))


def _lacks(api: Api, wanted: Wanted, record: found.Recorded | None) -> str:
    if lacks := found.installed(wanted, record):
        return lacks
    assert record is not None
    try:
        workloads = found.workloads(record, wanted.namespace)
    except found.UnreadableError as error:
        return str(error)
    for resource, namespace, name in workloads:
        if why := found.unready(api.get(f"/apis/apps/v1/namespaces/{namespace}/{resource}/{name}")):
            pods = api.items(
                f"{_namespace(namespace)}/pods", f"labelSelector=app.kubernetes.io%2Finstance%3D{wanted.name}"
            )
            held = found.waiting(pods)
            return f"{resource[:-1]} {namespace}/{name}: {why}" + (f"; {held}" if held else "")
    return ""


def told_of(api: Api, job: str, reason: str) -> tuple[str, ...]:
    """Why Helm's job did not do its work, in lines."""
    try:
        pods = api.items(f"{_namespace(NAMESPACE)}/pods", f"labelSelector=job-name%3Dhelm-{job}")
        newest = sorted(pods, key=lambda each: each["metadata"].get("creationTimestamp") or "")
        log = api.log(NAMESPACE, newest[-1]["metadata"]["name"], 20) if newest else []
    except ApiError as error:
        return reason, str(error)
    return found.why(reason, pods, log)


@operation()
def uninstalled(charts: Charts, gone: Gone, deadline: float = DEADLINE) -> Generator[FunctionCommand, None, None]:
    """Take a release away that is no longer listed; what may hold data stays, and is told."""
    yield FunctionCommand(_carried_out, (gone.name, partial(_uninstall, charts, gone, deadline)), {})


def _uninstall(charts: Charts, gone: Gone, deadline: float) -> None:
    api = charts.reached()
    # Somebody may have thought long before they confirmed the plan.
    path = f"{_CONFIGS if gone.packaged else _HELMCHARTS}/{gone.name}"
    live = api.get(_secret(gone.namespace, gone.name) if gone.left else path)
    if live is not None and (theirs := objects.environment(live)) != charts.home.environment:
        whose = f"of the inventory {theirs}" if theirs else "nobody's by its annotation"
        raise Refusal([f"{gone.name}: is {whose} by now, and stays; deploy again"])
    if gone.left:
        _uninstalled_whole(api, gone)
        api.delete(_secret(gone.namespace, gone.name))
        return
    if problems := [*_needed(api, (gone,)), *_not_kept(api, (gone,))]:
        raise Refusal(problems)
    if gone.packaged:
        # K3s's own goes on, as its values have it.
        _keep(api, gone.name, gone.namespace)
    api.delete(path)
    end = time.monotonic() + deadline
    while api.get(path) is not None:
        if time.monotonic() > end:
            told = told_of(api, f"delete-{gone.name}", "Helm has not uninstalled it")
            raise Refusal(f"{gone.name}: {line}" for line in told)
        time.sleep(2)
    if gone.packaged:
        return
    _uninstalled_whole(api, gone)
    api.delete(_secret(gone.namespace, gone.name))
    left = stays(api, gone)
    if (file := charts.reader_file(gone.name)).exists():
        left.append(f"{file}, which opens nothing any more")
    for line in left:
        logger.info(f"{host.print_prefix}{gone.name}: stays: {line}")


def _uninstalled_whole(api: Api, gone: Gone) -> None:
    """Raise Refusal where Helm still has a release: its job takes no notice of an uninstall that fails.

    Source: k3s-io/klipper-helm, entry; k3s-io/helm-controller, OnRemove.
    """
    if _history(api, gone.name, gone.namespace):
        remedy = f"run helm -n {gone.namespace} uninstall {gone.name}, and deploy again"
        raise Refusal([f"{gone.name}: K3s has let go of it, and Helm has not uninstalled it whole; {remedy}"])


def stays(api: Api, gone: Gone) -> list[str]:
    """What an uninstalled release leaves behind: its claims, its namespace, its definitions."""

    def its(path: str) -> Iterator[str]:
        things = (each for each in api.items(path) if _helms(each, gone.name, gone.namespace, labelled=True))
        return (each["metadata"]["name"] for each in things)

    lines = [f"PersistentVolumeClaim {gone.namespace}/{name}" for name in its(found.claims(gone.namespace))]
    lines += [f"CustomResourceDefinition {name}" for name in its(found.DEFINITIONS)]
    return [*lines, f"namespace {gone.namespace}"]


# The reader's kubeconfig
#


@operation()
def handed_out(charts: Charts, wanted: Wanted) -> Generator[FunctionCommand, None, None]:
    """Ensure the kubeconfig of a health-reader beside the merged one, 0600.

    To a plan, one whose account has no token yet is written: the release is about to make it.
    """
    file = charts.reader_file(wanted.name)
    if not state.is_executing and not charts.asked:
        yield _later(charts)
        return
    api = charts.reached()
    try:
        if not state.is_executing and not _token(api, wanted):
            yield FunctionCommand(_carried_out, (), {})
            return
        text = reader(charts, api, wanted)
        existing = kubeconfig.text(file)
        writes = text != existing or file.stat().st_mode & 0o777 != 0o600
    except (ApiError, KubeconfigError, OSError) as error:
        also = "; the release itself is up" if state.is_executing else ""
        raise Refusal([f"{file}: {error}{also}"]) from None
    if not writes:
        host.noop(f"{file} is the account's")
        return
    yield FunctionCommand(write, (file, "", text), {})


def _token(api: Api, wanted: Wanted) -> str:
    """The token of a reader's account; "" while it has none."""
    held = api.get(f"{_namespace(wanted.namespace)}/secrets/{wanted.name}-token")
    return base64.b64decode(((held or {}).get("data") or {}).get("token") or "").decode()


def reader(charts: Charts, api: Api, wanted: Wanted) -> str:
    """The kubeconfig of a health-reader's account. Raise ApiError when it has no token yet, or cannot be read.

    Its context has the merged one's name, by which `homelab health` knows the inventory.
    """
    token = _token(api, wanted)
    if not token:
        raise ApiError(f"the account {wanted.namespace}/{wanted.name} has no token yet; deploy again")
    cluster = kubeconfig.cluster(kubeconfig.text(charts.kubeconfig), charts.context)
    if cluster is None:
        raise ApiError(f"{charts.kubeconfig} has no cluster {charts.context}; run deploys/k3s.py")
    entry = {"cluster": charts.context, "user": wanted.name}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": charts.context, "cluster": dict(cluster)}],
            "users": [{"name": wanted.name, "user": {"token": token}}],
            "contexts": [{"name": charts.context, "context": entry}],
            "current-context": charts.context,
        },
        sort_keys=False,
    )
