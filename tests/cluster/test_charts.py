"""The charts on a real cluster: K3s takes the HelmCharts as they are written, and what Helm makes of each chart works.

K3s's own Helm job needs an image that cannot be had everywhere. Where it can not, its part is skipped by name, and what
Helm renders here, from the very archives that the job would get, is applied by hand.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from homelab.charts import causes, objects
from homelab.charts.objects import Wanted
from homelab.health import role
from homelab.health.codes import CODES
from homelab.health.kinds import BY_NAME
from homelab.model import Home
from homelab.operations import api as apis
from homelab.operations import charts as operations
from homelab.operations.api import Api, ApiError
from homelab.operations.charts import Charts, Gone
from tests.charts_engine import CHARTS, rendered
from tests.cluster.conftest import health_of, until
from tests.cluster.test_pods import IMAGE, fetch
from tests.cluster.test_role import checks, may_only_look, runs_every_check
from tests.sandbox.lab import Lab
from tests.unit.charts import homes

CONTEXT = "homelab-sandbox"
SYSTEM = objects.NAMESPACE
# Not those that a person would choose: what another run has left behind is told apart.
NTFY, READER = "homelab-test-ntfy", "homelab-test-reader"
CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "StorageClass", "PersistentVolume", "Namespace")
# K3s's Helm job gets this long to be where it stays without its image.
DEADLINE = 120


@pytest.fixture(scope="module")
def reached(home: Home, lab: Lab) -> Api:
    """The API as the deploy reaches it."""
    assert home.cluster is not None
    return apis.connect(Path(home.cluster.kubeconfig), CONTEXT)


@pytest.fixture(scope="module")
def made(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """A charts deploy of one release of every chart of ours, and of values for K3s's own."""
    listed: list[dict[str, Any]] = [
        {**homes.NTFY, "name": NTFY, "chart": "ntfy", "namespace": NTFY},
        homes.STORAGE,
        {"name": READER, "chart": "health-reader", "namespace": SYSTEM},
        {"name": "traefik", "values": {"replicas": 1}},
    ]
    assert home.cluster is not None
    known = homes.home(tmp_path_factory.mktemp("charts"), *listed, kubeconfig=home.cluster.kubeconfig)
    secrets = {NTFY: {"users": SecretStr("anna:hash:admin")}}
    return Charts(known, known.servers[0], objects.releases(known, CHARTS), (), secrets)


def apply(reached: Api, made: Charts, wanted: Wanted) -> list[dict[str, Any]]:
    """What of a release differs, and apply it, as the deploy does; raise ApiError when the API refuses."""
    manifest = fitted(reached, made, wanted)
    things = operations._things(made, wanted, manifest)
    missing = reached.get(f"/api/v1/namespaces/{wanted.namespace}") is None
    differing = [each for each in things if missing or reached.differs(each)]
    operations._apply(reached, wanted, differing, missing, (), manifest in differing)
    return differing


def fitted(reached: Api, made: Charts, wanted: Wanted) -> dict[str, Any]:
    """A release's object without what this K3s does not know and can do without."""
    return objects.fitted(definition(reached, made, wanted.manifest["kind"]), wanted.manifest)


def definition(reached: Api, made: Charts, kind: str) -> dict[str, Any]:
    crd = made.definition(reached, kind)
    assert crd is not None
    return crd


def unmake(reached: Api, name: str, path: str) -> None:
    """Take a HelmChart away with what its controller made, also where no job could uninstall it."""
    reached.delete(path)

    def gone_or_stuck() -> bool:
        return reached.get(path) is None or cannot_run(reached, f"delete-{name}")

    until(f"{name} is uninstalled, or its job waits for something known", gone_or_stuck, DEADLINE)
    if reached.get(path) is not None:
        # Without the job's image nothing was installed, and the controller would wait for ever to take that away.
        with suppress(ApiError):
            merge(reached, path, {"metadata": {"finalizers": None}})
    for job in ("install", "delete"):
        reached.delete(f"/apis/batch/v1/namespaces/{SYSTEM}/jobs/helm-{job}-{name}")
    reached.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/helm-{SYSTEM}-{name}")
    reached.delete(f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/helm-{name}")
    for config_map in ("chart-values", "chart-content"):
        reached.delete(f"/api/v1/namespaces/{SYSTEM}/configmaps/{config_map}-{name}")


def cannot_run(reached: Api, job: str) -> bool:
    """Whether a Helm job waits for what is known never to come, its image above all."""
    return any("that means: " in line for line in operations.told_of(reached, job, ""))


def merge(reached: Api, path: str, patch: dict[str, Any]) -> None:
    """Change an object as somebody does who does not ask the deploy."""
    reached._call("PATCH", path, "fieldManager=hand", patch, "application/merge-patch+json")


# HelmCharts, as K3s takes them
#


@pytest.fixture(scope="module")
def applied(reached: Api, made: Charts) -> Iterator[Mapping[str, Wanted]]:
    """Every release applied; all of it is gone afterwards, also where no job could uninstall it."""
    wanted = {each.name: each for each in made.wanted}
    for each in wanted.values():
        assert apply(reached, made, each)
    yield wanted
    for each in wanted.values():
        unmake(reached, each.name, apis.path_of(each.manifest))
    reached.delete(f"/api/v1/namespaces/{NTFY}")


def test_this_k3ss_definitions_know_every_field_that_is_written(reached: Api, made: Charts) -> None:
    for each in made.wanted:
        crd = definition(reached, made, each.manifest["kind"])
        assert objects.unknown_fields(crd, each.manifest) == (), each.name
    assert operations._unfit(made, reached, made.wanted) == []


def test_the_objects_are_taken_as_they_are_written(reached: Api, made: Charts, applied: Mapping[str, Wanted]) -> None:
    for each in applied.values():
        live = reached.get(apis.path_of(each.manifest))
        assert live is not None
        # A newer definition adds its defaults.
        assert fitted(reached, made, each)["spec"].items() <= live["spec"].items(), (
            f"{each.name}: something was dropped"
        )
        assert objects.LABELS.items() <= live["metadata"]["labels"].items()
        assert "homelab" in {one["manager"] for one in live["metadata"]["managedFields"]}


def test_a_second_run_changes_nothing_also_after_the_controller_has_written(
    reached: Api, made: Charts, applied: Mapping[str, Wanted]
) -> None:
    def jobs() -> bool:
        found = {each["metadata"]["name"] for each in reached.items(f"/apis/batch/v1/namespaces/{SYSTEM}/jobs")}
        return {f"helm-install-{name}" for name, each in applied.items() if not each.packaged} <= found

    until("the controller has made a job for each HelmChart", jobs, DEADLINE)
    for each in applied.values():
        assert apply(reached, made, each) == [], each.name


def test_a_hand_edit_is_found_and_set_right(reached: Api, made: Charts, applied: Mapping[str, Wanted]) -> None:
    wanted = applied["nas-storage"]
    path = apis.path_of(wanted.manifest)
    merge(reached, path, {"spec": {"valuesContent": "classes: {}\n"}})
    assert [each["kind"] for each in apply(reached, made, wanted)] == ["HelmChart"]
    assert apply(reached, made, wanted) == []
    live = reached.get(path)
    assert live is not None and fitted(reached, made, wanted)["spec"].items() <= live["spec"].items()


def test_a_field_that_this_k3ss_definition_does_not_list_is_found(
    reached: Api, made: Charts, applied: Mapping[str, Wanted]
) -> None:
    """Whether its API would refuse, drop or only store it: the definition is asked first."""
    wanted = applied[READER]
    more = {**wanted.manifest, "spec": {**wanted.manifest["spec"], "nobodyKnowsThis": "x"}}
    if not (unknown := objects.unknown_fields(definition(reached, made, "HelmChart"), more)):
        pytest.skip("this K3s's definition of HelmCharts lists no fields, so nothing can be told")
    assert unknown == ("nobodyKnowsThis",)


def test_k3ss_job_installs_them_or_says_why_not(reached: Api, applied: Mapping[str, Wanted]) -> None:
    def settled() -> bool:
        return not operations.lack(reached, applied[READER]) or cannot_run(reached, f"install-{READER}")

    until("the job has done its work, or waits for something known", settled, DEADLINE)
    if operations.lack(reached, applied[READER]):
        lines = operations.told_of(reached, f"install-{READER}", operations.lack(reached, applied[READER]))
        assert lines[0].startswith("Helm has not installed it; its job waits, ")
        assert lines[-1].startswith("that means: the image of K3s's Helm job cannot be had")
        pytest.skip(f"not seen: {lines[0]}")


# The deploy itself
#


# A chart of somebody's own, made of what the sandbox has; its claim is not marked to stay.
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .Release.Name }}
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Mi
"""
PAGE = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{{{ .Release.Name }}}}
spec:
  selector:
    matchLabels: &labels
      app.kubernetes.io/instance: {{{{ .Release.Name }}}}
  template:
    metadata:
      labels: *labels
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: page
          image: {IMAGE}
          command: [sh, -c, 'mkdir /tmp/www; echo "$TEXT" >/tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www']
          env:
            - name: TEXT
              value: {{{{ .Values.text | quote }}}}
          readinessProbe:
            httpGet:
              port: 8080
"""
OWN = {
    "Chart.yaml": "apiVersion: v2\nname: own\ndescription: A page\ntype: application\nversion: 0.1.0\n",
    "values.yaml": "text: one\n",
    "values.schema.json": json.dumps(
        {"type": "object", "additionalProperties": False, "properties": {"text": {"type": "string"}}}
    ),
    "README.md": "A page.\n",
    "templates/page.yaml": PAGE,
}
HOLDING = {**OWN, "templates/claim.yaml": CLAIM}


def test_runs_install_upgrade_and_uninstall_and_a_plan_names_a_changed_value(
    home: Home, lab: Lab, reached: Api
) -> None:
    """The deploy as a person runs it, with K3s's own Helm job, or until that is told not to run."""
    own, reader = "homelab-test-own", "homelab-test-run"
    paths = {each: f"{operations._HELMCHARTS}/{each}" for each in (own, reader)}
    deployment = f"/apis/apps/v1/namespaces/{own}/deployments/{own}"
    claim = f"/api/v1/namespaces/{own}/persistentvolumeclaims/{own}"
    account = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{reader}"

    def inventory(*listed: dict[str, Any], files: Mapping[str, str] = OWN) -> Path:
        folder = Path(lab.inventory("charts", append={"group_data/sandbox.py": f"charts = {list(listed)!r}"}))
        charts = folder.parent / "charts"
        charts.unlink()
        shutil.copytree(CHARTS, charts)
        for name, text in files.items():
            (charts / "own" / name).parent.mkdir(parents=True, exist_ok=True)
            (charts / "own" / name).write_text(text, encoding="utf-8")
        return folder

    def text() -> str:
        live = reached.get(deployment)
        assert live is not None
        (container,) = live["spec"]["template"]["spec"]["containers"]
        return str(container["env"][0]["value"])

    reads = {"name": reader, "chart": "health-reader", "namespace": SYSTEM}
    page = {"name": own, "chart": "own", "namespace": own}
    folder = inventory(reads)
    assert home.cluster is not None
    handed_out = Path(f"{home.cluster.kubeconfig}.{reader}")
    try:
        assert f"Apply {reader}: " in planned(lab, folder)
        assert reached.get(paths[reader]) is None, "a plan touches nothing"
        done = lab.deploy("charts", inventory=str(folder))
        assert reached.get(paths[reader]) is not None, done.said
        if done.code and cannot_run(reached, f"install-{reader}"):
            assert done.reasons[0].split(": ", 1)[1].startswith(f"{reader}: Helm has not installed it"), done.said
            assert f"Apply {reader}: " not in planned(lab, folder), "what stands is left alone"
            pytest.skip(f"K3s's Helm job not seen: {done.reasons[0]}")
        assert done.code == 0, done.said
        assert handed_out.stat().st_mode & 0o777 == 0o600
        again = lab.deploy("charts", inventory=str(folder))
        assert (again.code, again.changes) == (0, {}), again.said

        folder = inventory(reads, page, files=HOLDING)
        done = lab.deploy("charts", inventory=str(folder))
        assert done.code == 0, done.said
        assert text() == "one" and reached.get(claim) is not None
        assert planned(lab, folder) == ""

        folder = inventory(reads, {**page, "values": {"text": "two"}})
        assert f"Apply {own}: " in planned(lab, folder) and f"Apply {reader}: " not in planned(lab, folder)
        assert text() == "one", "a plan touches nothing"
        done = lab.deploy("charts", inventory=str(folder))
        assert done.code == 0, done.said
        assert text() == "two" and reached.get(claim) is not None, "what may hold data outlives an upgrade without it"
        assert f"{own}: has PersistentVolumeClaim {own} no longer, which stays" in done.said

        done = lab.deploy("charts", inventory=str(inventory(reads)))
        assert done.code == 0, done.said
        assert reached.get(paths[own]) is None and reached.get(deployment) is None
        assert f"stays: PersistentVolumeClaim {own}/{own}" in done.said
        assert reached.get(claim) is not None

        done = lab.deploy("charts", inventory=str(inventory()))
        assert done.code == 0, done.said
        assert reached.get(paths[reader]) is None and reached.get(account) is None
    finally:
        for name, path in paths.items():
            if reached.get(path) is not None:
                unmake(reached, name, path)
        reached.delete(f"/api/v1/namespaces/{own}")
        handed_out.unlink(missing_ok=True)


def planned(lab: Lab, folder: Path) -> str:
    """The operations by which a deploy of the charts would change something, as `homelab plan` tells them; in lines."""
    done = lab.plan("charts", inventory=str(folder))
    assert done.code in (0, 2), done.said
    return "\n".join(name for name, hosts in done.changes.items() if hosts)


#
# What Helm makes of the charts
#


def placed(each: dict[str, Any], namespace: str) -> dict[str, Any]:
    """An object with the namespace that Helm would give it."""
    if each["kind"] in CLUSTER_WIDE:
        return each
    return {**each, "metadata": {"namespace": namespace, **each["metadata"]}}


def test_classes_of_the_nas_are_applied_changed_and_removed(reached: Api) -> None:
    def classes(**given: dict[str, Any]) -> list[dict[str, Any]]:
        return rendered("nas-storage", {"classes": given}, namespace=SYSTEM)

    nas = {"server": "10.17.77.31", "path": "/srv/tank/kube"}
    (first,) = classes(**{"homelab-test": nas})
    try:
        reached.apply(first)
        assert not reached.differs(first)
        live = reached.get(apis.path_of(first))
        assert live is not None and live["mountOptions"][:2] == ["nfsvers=4.2", "hard"]
        more = classes(**{"homelab-test": nas, "homelab-test-2": {**nas, "path": "/srv/tank/more"}})
        for each in more:
            reached.apply(each)
        assert reached.get(apis.path_of(more[1])) is not None
        (moved,) = classes(**{"homelab-test": {**nas, "path": "/srv/tank/other"}})
        with pytest.raises(ApiError) as refused:
            reached.apply(moved)
        assert causes.cause([str(refused.value)]).startswith("a StorageClass cannot be changed"), refused.value
    finally:
        for name in ("homelab-test", "homelab-test-2"):
            reached.delete(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    assert reached.get(apis.path_of(first)) is None


STAND_IN = """
mkdir -p /var/lib/ntfy/www/v1; cd /var/lib/ntfy
echo start >>starts; echo healthy >www/v1/health
{ if touch /written 2>/dev/null; then echo -n 'root filesystem writable, '; fi
  echo "uid $(id -u), starts $(wc -l <starts), users $NTFY_AUTH_USERS, at $NTFY_BASE_URL"; } >www/index.html
exec httpd -f -p 8080 -h www
"""


def standing_in(each: dict[str, Any]) -> dict[str, Any]:
    """ntfy's Deployment with busybox's web server in its place: the image alone, and what it is started with."""
    if each["kind"] == "Deployment":
        (container,) = each["spec"]["template"]["spec"]["containers"]
        container |= {"image": IMAGE, "command": ["sh", "-c", STAND_IN]}
        del container["args"]
    return each


@pytest.fixture(scope="module")
def place(home: Home, lab: Lab, reached: Api) -> Iterator[str]:
    """A namespace, and a volume on the agent's disk for its claim: ntfy's own would need a provisioner's image."""
    namespace, node, folder = "homelab-test-served", home.agents[0].name, "/var/lib/homelab-test-ntfy"
    lab.ssh(node, f"rm -rf {folder}; mkdir -m 0755 {folder}")
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "storageClassName": namespace,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }
    reached.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    reached.apply(volume)
    yield namespace
    reached.delete(f"/api/v1/namespaces/{namespace}")
    until("the namespace is gone", lambda: reached.get(f"/api/v1/namespaces/{namespace}") is None)
    reached.delete(apis.path_of(volume))
    lab.ssh(node, f"rm -rf {folder}")


def test_ntfys_own_templates_serve_a_pod_through_change_and_removal(
    place: str, home: Home, lab: Lab, reached: Api
) -> None:
    """The image is a stand-in; Deployment, Service, claim, Ingress, rights and probes are the chart's own."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ntfy-homelab", "namespace": place},
        "stringData": {"users": "anna"},
    }
    reached.apply(secret)
    values = {"hostname": "one.home.arpa", "storage": {"class": place}}

    def release(**more: Any) -> list[dict[str, Any]]:
        made = rendered("ntfy", {**values, **more}, namespace=place, release="ntfy")
        return [standing_in(placed(each, place)) for each in made]

    def why() -> str:
        pods = reached.items(f"/api/v1/namespaces/{place}/pods")
        return yaml.safe_dump([each.get("status") for each in pods])

    def served(wanted: str) -> None:
        def ready() -> bool:
            live = reached.get(f"/apis/apps/v1/namespaces/{place}/deployments/ntfy")
            return operations.found.unready(live) == ""

        until("ntfy's Deployment is up", ready, told=why)
        service = reached.get(f"/api/v1/namespaces/{place}/services/ntfy")
        assert service is not None
        said: list[str] = []

        def answered() -> bool:
            # A Service that has just been made, or whose pod was replaced, may still refuse.
            with suppress(AssertionError, IndexError):
                said[:] = [fetch(lab, home.servers[0].name, service["spec"]["clusterIP"])]
            return said == [wanted]

        until(f"served is: {wanted}", answered, 60, told=lambda: f"it is: {said}")

    for each in release():
        reached.apply(each)
    served("uid 10001, starts 1, users anna, at https://one.home.arpa")
    assert [each["kind"] for each in release() if reached.differs(each)] == []

    for each in release(hostname="two.home.arpa"):
        reached.apply(each)
    served("uid 10001, starts 2, users anna, at https://two.home.arpa")
    ingress = reached.get(f"/apis/networking.k8s.io/v1/namespaces/{place}/ingresses/ntfy")
    assert ingress is not None and ingress["spec"]["rules"][0]["host"] == "two.home.arpa"

    # As Helm does: all but what its policy keeps.
    kept = [each for each in release() if "helm.sh/resource-policy" in each["metadata"].get("annotations", {})]
    assert [each["kind"] for each in kept] == ["PersistentVolumeClaim"]
    for each in release():
        if each not in kept:
            reached.delete(apis.path_of(each))
    pods = f"/api/v1/namespaces/{place}/pods"
    until("its pods are gone", lambda: not reached.items(pods))
    assert operations.stays(reached, Gone("ntfy", place))[0] == f"PersistentVolumeClaim {place}/ntfy"
    for each in release():
        reached.apply(each)
    served("uid 10001, starts 3, users anna, at https://one.home.arpa")


# health with exactly the reader's rights
#


@pytest.fixture(scope="module")
def account(home: Home, reached: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig that the deploy hands out for a health-reader, whose objects are as Helm renders them."""
    assert home.cluster is not None
    listed = {"name": READER, "chart": "health-reader", "namespace": SYSTEM}
    known = homes.home(tmp_path_factory.mktemp("reader"), listed, kubeconfig=home.cluster.kubeconfig)
    (wanted,) = objects.releases(known, CHARTS)
    deploy = Charts(known, known.servers[0], (wanted,), (), {})
    parts = [placed(each, SYSTEM) for each in rendered("health-reader", {}, namespace=SYSTEM, release=READER)]
    for each in parts:
        reached.apply(each)
    assert not [each["kind"] for each in parts if reached.differs(each)]

    def given() -> str:
        try:
            return operations.reader(deploy, reached, wanted)
        except ApiError:
            return ""

    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    assert operations.write(path, "", str(until("the account has a token", given)))
    assert path.stat().st_mode & 0o777 == 0o600
    yield path
    for each in reversed(parts):
        reached.delete(apis.path_of(each))
    assert not [each["kind"] for each in parts if reached.get(apis.path_of(each)) is not None]


def test_with_the_readers_rights_every_check_runs(account: Path, lab: Lab, home: Home) -> None:
    runs_every_check(account, lab, home)


def test_with_the_readers_rights_nothing_is_written_and_no_secret_read(account: Path) -> None:
    may_only_look(account, SYSTEM, f"{READER}-token")


def needed_groups(reached: Api) -> set[str]:
    """The API groups in which this cluster serves something that a check cannot do without."""
    listed = reached.get("/apis") or {}
    served = frozenset(one["groupVersion"] for group in listed["groups"] for one in group["versions"])
    found = set()
    for name in {each for row in CODES.values() for each in row.needs} & set(BY_NAME):
        for path in BY_NAME[name].paths("", served):
            # Of an aggregated API whose server is down nothing is lost.
            with suppress(ApiError):
                if reached.get(path, "limit=1") is not None:
                    found.add(path.split("/")[2] if path.startswith("/apis/") else "")
                    break
    return found


def test_without_any_one_rule_something_is_skipped_and_said(account: Path, lab: Lab, reached: Api) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{READER}"
    _, before = checks(lab, account)
    wanted = needed_groups(reached)
    try:
        for number, rule in enumerate(role.rules()):
            if not set(rule.get("apiGroups", ())) & wanted:
                continue
            less = role.rules()[:number] + role.rules()[number + 1 :]
            merge(reached, path, {"rules": less})

            def told(rule: dict[str, list[str]] = rule) -> bool:
                done = health_of(lab, account, "--format", "json")
                after = {each["code"]: each for each in json.loads(done.stdout)["checks"]} if done.stdout else {}
                lost = [
                    each["reason"]
                    for name, each in after.items()
                    if each["status"] in ("skipped", "failed") and before[name][0] not in ("skipped", "failed")
                ]
                return any("forbidden" in why or "may not be read" in why for why in lost)

            until(f"less is seen without {rule}", told, 60)
    finally:
        merge(reached, path, {"rules": role.rules()})
    until("all is seen again", lambda: checks(lab, account)[1].keys() == before.keys(), 60)
