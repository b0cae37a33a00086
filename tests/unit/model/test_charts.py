"""What of `charts` is refused, all of it at once and with what to write instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from homelab.model import InventoryError, chart_folder, load, values_schema
from homelab.model.chart_folder import ChartError
from tests.unit.charts.homes import CHARTS, NTFY, READER, STORAGE, home, write

PLACE = "inventory/group_data/sandbox.py: charts"


def refused(tmp_path: Path, charts: object, **shared: Any) -> list[str]:
    with pytest.raises(InventoryError) as told:
        load(write(tmp_path, charts, **shared), tmp_path)
    return [line.removeprefix(PLACE) for line in str(told.value).splitlines()]


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    cluster = home(tmp_path, NTFY, STORAGE, READER, {"name": "traefik", "values": {"replicas": 2}}).cluster
    assert cluster is not None and cluster.charts is not None
    assert [(each.name, each.of, each.runs_in) for each in cluster.charts] == [
        ("ntfy", "ntfy", "ntfy"),
        ("nas-storage", "nas-storage", "kube-system"),
        ("health-reader", "health-reader", "kube-system"),
        ("traefik", "traefik", "kube-system"),
    ]
    assert str(cluster.charts[0].secrets["users"]) == "env:NTFY_USERS"


def test_no_list_is_not_an_empty_one(tmp_path: Path) -> None:
    path = write(tmp_path, [])
    assert load(path, tmp_path).cluster.charts == ()
    shared = path.parent / "group_data" / "sandbox.py"
    shared.write_text(shared.read_text().replace("charts = []\n", ""))
    assert load(path, tmp_path).cluster.charts is None


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    wrong = [
        {"name": "ntfy", "values": {"hostnme": "x", "image": {"tag": 3}}},
        {**NTFY, "namespace": "elsewhere"},
        {"name": "grafana"},
        {"name": "ntfi", "secrets": {"users": "env:X"}},
        {"name": "Ntfy"},
        {"name": "other", "chart": "ntfy", "secrets": {"users": "hunter2"}},
    ]
    assert sorted(refused(tmp_path, wrong)) == [
        '[0].secrets.users: is missing, and ntfy does not start without it; write "users": "env:NAME", a reference',
        "[0].values.hostnme: unknown key; did you mean hostname?",
        '[0].values.image.tag: 3 is of the wrong type; write a string, "..."',
        "[1].name: release ntfy is also charts[0]; give each release its own name, whatever its namespace",
        "[2]: no chart 'grafana' in charts/; write one of health-reader, nas-storage, ntfy",
        "[3]: no chart 'ntfi' in charts/; did you mean ntfy?",
        "[4].name: 'Ntfy' is not a release's name; write one, \"ntfy\"",
        "[5].secrets.users: a secret in clear; write env:NAME, file:PATH or command:...",
    ]


@pytest.mark.parametrize("charts", ["ntfy", {"ntfy": {}}, [["ntfy"]], [None], [{}], 3])
def test_what_is_no_list_of_releases_is_a_line(tmp_path: Path, charts: object) -> None:
    with pytest.raises(InventoryError) as told:
        load(write(tmp_path, charts), tmp_path)
    assert all(line.startswith(PLACE) for line in str(told.value).splitlines())


def test_a_password_has_no_place_in_values(tmp_path: Path) -> None:
    values = {"dashboard": [{"adminPassword": "hunter2"}], "existingSecret": "mine", "apiKey": "", "token": "hunter2"}
    named = {"name": "DB_PASSWORD", "value": "hunter2"}
    kept = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "traefik-homelab", "key": "db"}}}
    values |= {"env": [named, kept, {"name": "LEVEL", "value": "info"}, {"name": "OLD_TOKEN", "value": ""}]}
    told = refused(tmp_path, [{"name": "traefik", "values": values}])
    assert told == [
        "[0].values.dashboard[0].adminPassword: a secret in clear; write it in secrets, as env:NAME",
        "[0].values.token: a secret in clear; write it in secrets, as env:NAME",
        "[0].values.env[0].value: a secret in clear; write it in secrets, as env:NAME",
    ]


def test_k3ss_own_chart_takes_values_alone_and_has_to_be_there(tmp_path: Path) -> None:
    told = refused(
        tmp_path,
        [{"name": "traefik", "namespace": "web", "chart": "ntfy", "secrets": {"a": "env:A"}}],
        server_config={"disable": ["traefik"]},
    )
    assert [line.partition(";")[0] for line in told] == [
        "[0].name: K3s's own traefik is disabled in server_config",
        "[0].chart: traefik is K3s's own release, of which only values are yours",
        "[0].namespace: traefik is K3s's own release, of which only values are yours",
        "[0].secrets: traefik is K3s's own release, of which only values are yours",
    ]


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ({"nas": {}}, "nas.share: is missing; write one of the NAS's shares, over NFS"),
        ({"nas": {"share": "kbe"}}, "nas.share: 'kbe' is no share of a NAS over NFS; did you mean kube?"),
        ({"nas": {"share": "kube", "server": "x"}}, "nas.server: is made of the share; write"),
        ({"nas": {"share": "open"}}, "nas.share: open is open to lan, who would reach every pod's files; write \"clie"),
        ({"nas": {"share": "some"}}, "nas.share: some is closed to a1, so pods there would wait for ever; write"),
        ({"nas": {"share": "read"}}, "nas.share: read is read-only; leave read_only out of it"),
        ({"nas": {"share": "read"}}, "nas.share: read has squash root, and the driver makes each pod's folder as root"),
        (
            {"a": {"share": "kube"}, "b": {"share": "kube"}},
            "b.share: 'kube' is class a's; write a share for each class",
        ),
        (
            {"a": {"share": "kube", "default": True}, "b": {"share": "more", "default": True}},
            "b.default: a is the default too; leave it out of one",
        ),
        ({"nas": {"share": "kube", "onDelete": "delete"}}, "nas.onDelete: unknown key; "),
        ({"Bad Name": {"share": "kube"}}, "Bad Name: is no name of a StorageClass; write lower-case letters"),
        ({"-nas": {"share": "kube"}}, "-nas: is no name of a StorageClass; "),
        ({"-nas": {"share": "kube"}, "b": {"share": "more", "x": 1}}, "b.x: unknown key; "),
        (
            {"nas": {"share": "kube", "default": True}},
            "nas.default: there would be two, for at each start K3s makes its local-path the default again; "
            'leave it out, or write "local-storage" in server_config\'s disable',
        ),
    ],
)
def test_a_class_that_cannot_be(tmp_path: Path, classes: dict[str, Any], says: str) -> None:
    told = refused(tmp_path, [{**STORAGE, "values": {"classes": classes}}])
    assert any(line.startswith(f"[0].values.classes.{says}") for line in told), told


def test_a_client_may_be_written_by_its_address(tmp_path: Path) -> None:
    assert home(tmp_path, {**STORAGE, "values": {"classes": {"more": {"share": "more"}}}}).cluster


def test_a_driver_comes_once(tmp_path: Path) -> None:
    second = {"name": "more-storage", "chart": "nas-storage", "values": {"classes": {"more": {"share": "more"}}}}
    assert refused(tmp_path, [STORAGE, second]) == [
        "[1]: brings the release csi-driver-nfs along, which charts[0] has already; write one of them"
    ]


def test_a_database_is_refused_on_the_nas(tmp_path: Path) -> None:
    on_it = {**NTFY, "values": {"storage": {"class": "nas"}}}
    assert refused(tmp_path, [STORAGE, on_it]) == [
        "[1].values.storage.class: ntfy keeps SQLite, which NFS can corrupt, and nas is of the NAS; "
        "write another class, local-path say"
    ]
    by_default = {**STORAGE, "values": {"classes": {"nas": {"share": "kube", "default": True}}}}
    without = {"server_config": {"disable": "traefik,local-storage"}}
    assert refused(tmp_path, [NTFY, by_default], **without) == [
        "[0].values: ntfy keeps SQLite, which NFS can corrupt, and nas is the default class; "
        "name another class in storage.class, one of the nodes' own disks say"
    ]
    assert home(tmp_path, {**NTFY, "values": {"storage": {"class": "disk"}}}, by_default, **without).cluster


def test_what_does_not_reach_a_chart_that_is_only_a_dependency_is_told(tmp_path: Path) -> None:
    chart = {
        "name": "plain",
        "version": "0.1.0",
        "dependencies": [{"name": "upstream", "version": "1.2.3", "repository": "https://charts.example.org"}],
    }
    folder = tmp_path / "charts" / "plain"
    folder.mkdir(parents=True)
    (folder / "Chart.yaml").write_text(json.dumps(chart))
    assert refused(tmp_path, [{"name": "plain", "values": {"replicas": 2, "upstream": "x", "image": {}}}]) == [
        '[0].values.upstream: is of the wrong type; write a dict, {"key": value}',
        "[0].values.image: is not heeded, for the chart is that of its dependency; write it below upstream",
        "[0].values.replicas: is not heeded, for the chart is that of its dependency; write it below upstream",
    ]
    assert home(tmp_path, {"name": "plain", "values": {"upstream": None}}).cluster


def test_a_dependencys_values_are_a_dict_and_said_to_be_none_once(tmp_path: Path) -> None:
    values = {**STORAGE["values"], "csi-driver-nfs": "x"}
    assert refused(tmp_path, [{**STORAGE, "values": values}]) == [
        '[0].values.csi-driver-nfs: is of the wrong type; write a dict, {"key": value}'
    ]


def test_a_value_that_is_no_number_to_helm_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, [])
    shared = path.parent / "group_data" / "sandbox.py"
    text = 'charts = [{"name": "ntfy", "values": {"a": [float("nan")]}}]'
    shared.write_text(shared.read_text().replace("charts = []", text))
    with pytest.raises(InventoryError, match=r"charts\[0\].values: a\[0\] is nan, which is no number to Helm; write a"):
        load(path, tmp_path)


# A chart's folder
#


def test_our_charts_can_be_read() -> None:
    assert chart_folder.names(CHARTS) == ("health-reader", "nas-storage", "ntfy")
    ntfy = chart_folder.read(CHARTS / "ntfy")
    assert (ntfy.secrets, ntfy.database, ntfy.dependency) == (("users",), "SQLite", None)
    driver = chart_folder.read(CHARTS / "nas-storage").dependency
    assert driver is not None and (driver.name, driver.version) == ("csi-driver-nfs", "4.13.4")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda chart: chart | {"name": "other"}, "Chart.yaml names 'other'; write name: ntfy"),
        (lambda chart: {"name": "ntfy"}, "Chart.yaml has no version; write version: 0.1.0"),
        (
            lambda chart: chart | {"dependencies": [{"name": "a", "version": "^1.2", "repository": "https://x"}]},
            "a: '^1.2' is no one version; pin it, version: 4.13.4",
        ),
        (lambda chart: chart | {"dependencies": [{}, {}]}, "has more than one dependency; write a chart for each"),
        (
            lambda chart: chart | {"dependencies": [{}]},
            "has a dependency without a name; write name, version and repository",
        ),
        (
            lambda chart: chart | {"dependencies": [{"name": "a", "version": "1.2.3", "repository": "file://../a"}]},
            "a: 'file://../a' is nothing that a cluster can fetch from; write its https://",
        ),
        (
            lambda chart: chart | {"dependencies": [{"name": "a", "version": "1.2.3", "alias": "b"}]},
            "a: alias of a dependency is not heeded; leave it out",
        ),
        (lambda chart: chart | {"annotations": ["x"]}, "Chart.yaml's annotations are no mapping; mend them"),
        (lambda chart: ["x"], "Chart.yaml is no mapping; mend it"),
        (
            lambda chart: chart | {"version": "0.1.0+local"},
            "Chart.yaml's version '0.1.0+local' is none of three numbers; write version: 0.1.0",
        ),
        (
            lambda chart: chart | {"version": 1.0},
            "Chart.yaml's version 1.0 is none of three numbers; write version: 0.1.0",
        ),
        (
            lambda chart: chart | {"dependencies": [{"name": "image", "version": "1.2.3", "repository": "https://x"}]},
            "values.yaml's image is no mapping; write that chart's values below it",
        ),
    ],
)
def test_a_chart_that_cannot_be_applied_as_it_is(tmp_path: Path, change: Any, says: str) -> None:
    shutil.copytree(CHARTS / "ntfy", tmp_path / "ntfy")
    chart = {"name": "ntfy", "version": "0.1.0"}
    (tmp_path / "ntfy" / "Chart.yaml").write_text(json.dumps(change(chart)))
    (tmp_path / "ntfy" / "values.yaml").write_text("image: text\n")
    with pytest.raises(ChartError) as told:
        chart_folder.read(tmp_path / "ntfy")
    assert str(told.value) == says


@pytest.mark.parametrize("text", ["since: 2024-13-02\n", "many: !!int x\n", "on: !!bool x\n", "[" * 1000])
def test_what_yaml_does_not_read_is_one_line(tmp_path: Path, text: str) -> None:
    shutil.copytree(CHARTS / "ntfy", tmp_path / "ntfy")
    (tmp_path / "ntfy" / "values.yaml").write_text(text)
    with pytest.raises(ChartError, match=r"^values\.yaml cannot be read \(.+\); mend it$"):
        chart_folder.read(tmp_path / "ntfy")


@pytest.mark.parametrize("text", ["since: 2024-01-02\n", "many: .inf\n", "{a: 1, 2: b}\n"])
def test_what_is_not_json_has_to_be_quoted(tmp_path: Path, text: str) -> None:
    shutil.copytree(CHARTS / "ntfy", tmp_path / "ntfy")
    (tmp_path / "ntfy" / "values.yaml").write_text(text)
    with pytest.raises(ChartError, match=r"values\.yaml has what is not JSON, a date say; quote it, or mend it"):
        chart_folder.read(tmp_path / "ntfy")


@pytest.mark.parametrize(
    "schema",
    [
        {"required": True},
        {"required": [1]},
        {"properties": []},
        {"enum": None},
        {"minimum": "1", "maximum": [1]},
        {"minimum": True},
        {"type": 5},
        {"type": [{}]},
        {"pattern": 5},
        {"items": [{"type": "string"}]},
        {"additionalProperties": "no"},
    ],
)
@pytest.mark.parametrize("value", [{"a": 1}, 0, "x", [1], None])
def test_what_no_schema_says_is_helms_to_judge(schema: Any, value: object) -> None:
    assert list(values_schema.wrong(value, schema)) == []


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"type": ["string", "null"]}, None, []),
        ({"type": ["string", "null"]}, 1, ["1 is of the wrong type"]),
        ({"type": "string"}, {"password": "hunter2"}, ["is of the wrong type"]),
        ({"type": "integer"}, True, ["True is of the wrong type"]),
        ({"maximum": 3}, 4, ["4 is too large"]),
        ({"items": {"type": "string"}}, ["a", 1], ["1 is of the wrong type"]),
        ({"anyOf": [{"type": "string"}], "type": "what"}, 1, []),
        ({"pattern": "(?<name>x"}, "y", []),
        (True, 1, []),
    ],
)
def test_values_are_held_against_a_schema(schema: Any, value: object, found: list[str]) -> None:
    assert [each for _, each, _ in values_schema.wrong(value, schema)] == found


def test_without_the_controller_nothing_would_be_installed(tmp_path: Path) -> None:
    assert refused(tmp_path, [READER], server_config={"disable-helm-controller": True}) == [
        ": server_config disables K3s's Helm controller, which installs them; take that out of it"
    ]


@pytest.mark.parametrize("name", chart_folder.names(CHARTS))
def test_our_schemas_keep_to_the_keywords_that_are_judged_here(name: str) -> None:
    """Whatever Helm refuses on the cluster has to be refused before: so no keyword may be passed over here."""

    def keywords(schema: dict[str, Any]) -> set[str]:
        inner = [*schema.get("properties", {}).values()]
        inner += [schema[key] for key in ("additionalProperties", "items") if isinstance(schema.get(key), dict)]
        return set(schema).union(*map(keywords, inner))

    schema = json.loads((CHARTS / name / "values.schema.json").read_text())
    judged = {
        "type",
        "properties",
        "additionalProperties",
        "required",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "items",
    }
    assert keywords(schema) - {"$schema"} <= judged
    assert schema["additionalProperties"] is False
