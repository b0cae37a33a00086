"""Judging an inventory: a gallery of wrong ones, each with its expected lines beside it, and of right ones."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from homelab.description import prove_secrets
from homelab.model import Home, InventoryError, SecretRef, Taint, load

DATA = Path(__file__).parents[2] / "data" / "inventories"
INVALID = sorted((DATA / "invalid").glob("*.py"))
VALID = sorted((DATA / "valid").glob("*.py"))


def refused(path: Path, cwd: Path | None = None) -> list[str]:
    with pytest.raises(InventoryError) as refusal:
        home = load(path, cwd or path.parent)
        prove_secrets(home, path.parent)
    return str(refusal.value).splitlines()


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_a_wrong_inventory_is_refused_with_place_and_remedy(path: Path) -> None:
    assert refused(path) == path.with_suffix(".txt").read_text().splitlines()


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_no_refusal_tells_a_secret_or_where_this_machine_keeps_things(path: Path) -> None:
    text = "\n".join(refused(path))
    assert "hunter2" not in text
    assert str(DATA) not in text


def test_the_gallery_is_whole() -> None:
    assert {path.stem for path in INVALID} == {path.stem for path in (DATA / "invalid").glob("*.txt")}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_right_inventory_is_taken(path: Path) -> None:
    assert load(path, path.parent).environment == path.stem


def everything() -> Home:
    return load(DATA / "valid" / "everything.py", DATA)


def test_every_key_arrives_in_the_model() -> None:
    home = everything()
    assert [host.name for host in home.hosts] == ["s1", "a1", "nas"]
    assert [host.name for host in home.servers] == ["s1"]
    assert [host.name for host in home.agents] == ["a1"]
    assert [host.name for host in home.nas] == ["nas"]
    s1 = home.host("s1")
    assert str(s1.address) == "192.0.2.11"
    assert s1.interface == "eth0"
    assert s1.server_config == {"node-external-ip": "198.51.100.7"}
    assert s1.ssh["ssh_hostname"] == "s1.home.arpa"
    cluster = home.cluster
    assert cluster is not None
    assert cluster.version == "v1.34.9-rc1+k3s1"
    assert str(cluster.token) == "env:K3S_TOKEN"
    assert cluster.agent_token == SecretRef("command", "pass show k3s/agent")
    assert cluster.cluster_cidr == (ip_network("10.100.0.0/16"),)
    assert cluster.service_cidr == (ip_network("10.101.0.0/16"),)
    assert cluster.tls_san == ("k3s.home.arpa", "192.0.2.10")
    assert cluster.server_config == {"disable": ["traefik"], "brand-new-flag-of-next-year": True}
    assert cluster.agent_config == {"kubelet-arg": ["max-pods=100"]}
    assert cluster.registries == {
        "configs": {"registry.home.arpa": {"auth": {"username": "me", "password": SecretRef("env", "REGISTRY")}}}
    }
    assert cluster.kubeconfig == "~/.kube/home"
    assert home.base.timezone == "America/Argentina/Buenos_Aires"
    assert home.base.unattended_upgrades is False
    assert home.base.networks["lan"] == ip_network("192.0.2.0/24")


def test_a_hosts_labels_and_taints_are_merged_over_the_shared_ones() -> None:
    home = everything()
    assert home.host("s1").labels == {"house": "old", "disk": "ssd"}
    assert home.host("a1").labels == {"house": "old", "disk": "any"}
    assert [str(taint) for taint in home.host("s1").taints] == [
        "house=old:PreferNoSchedule",
        "storage=yes:NoSchedule",
    ]
    assert home.host("a1").taints == (Taint("house", "old", "PreferNoSchedule"),)


def test_a_host_can_be_server_and_nas() -> None:
    (host,) = load(DATA / "valid" / "server-is-the-nas-too.py", DATA).hosts
    assert (host.role, host.nas) == ("server", True)


def test_a_home_without_k3s_has_no_cluster() -> None:
    assert load(DATA / "valid" / "only-a-nas.py", DATA).cluster is None


def test_group_data_of_the_inventory_wins_over_a_groups_inline_data() -> None:
    home = load(DATA / "valid" / "groups-with-inline-data.py", DATA)
    assert home.host("s1").ssh == {"ssh_user": "pi"}
    assert home.host("s1").labels == {"rack": "attic"}


def test_a_syntax_error_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.write_text("\nk3s_servers = [(]\n")
    (line,) = refused(path)
    assert line.startswith("home.py:2: SyntaxError: ")


def test_an_error_in_group_data_names_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "inventory" / "group_data").mkdir(parents=True)
    path = tmp_path / "inventory" / "home.py"
    path.write_text("k3s_servers = []\n")
    (tmp_path / "inventory" / "group_data" / "all.py").write_text("\n\nfails = 1 / 0\n")
    assert refused(path) == ["inventory/group_data/all.py:3: ZeroDivisionError: division by zero; correct that line"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('timezone: "Europe/Berlin"', "home.py:2: `timezone: ...` sets nothing; write timezone = ..."),
        ("k3s_agents: [a]", "home.py:2: `k3s_agents: ...` sets nothing; write k3s_agents = ..."),
        (
            'nas = [("nas", {pools: {}})]',
            "home.py:2: NameError: name 'pools' is not defined; if it is text, write it in quotes: \"pools\"",
        ),
        ('nas = [("nas", {"away": true})]', "home.py:2: NameError: name 'true' is not defined; write True"),
        (
            '_ssh = {}\nnas = [("nas", {**_shh})]',
            "home.py:3: NameError: name '_shh' is not defined; did you mean _ssh?",
        ),
        (
            'nas = [("a", {})\n("b", {})]',
            "home.py:2: TypeError: 'tuple' object is not callable; perhaps you missed a comma?",
        ),
    ],
)
def test_a_slip_in_python_is_one_line_with_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str, told: str
) -> None:
    path = tmp_path / "home.py"
    path.write_text(f"\n{written}\n")
    assert refused(path) == [told]
    assert capsys.readouterr().err == ""


def test_a_comma_that_is_missing_is_looked_for_on_the_line_above_too(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.write_text('nas = [("a", {\n"address": "192.0.2.1"\n"interface": "eth0"})]\n')
    (line,) = refused(path)
    assert line.startswith("home.py:3: SyntaxError: invalid syntax")
    assert line.endswith("; correct that line, or the one above if it lacks a comma")


def test_files_that_cannot_be_read_are_told_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    path = tmp_path / "home.py"
    path.write_bytes(b"# caf\xe9\n")
    (tmp_path / "group_data" / "all.py").write_text("timezone: Europe/Berlin\nntp_servers: []\n")
    assert refused(path) == [
        "home.py: is not UTF-8; save it as UTF-8",
        "group_data/all.py:1: `timezone: ...` sets nothing; write timezone = ...",
        "group_data/all.py:2: `ntp_servers: ...` sets nothing; write ntp_servers = ...",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"\xef\xbb\xbfnas = []\n",
            "home.py: begins with a byte order mark, which is invisible; save it as UTF-8 without one",
        ),
        # In Python before 3.11.4 a ValueError, without a line.
        (b"nas = []\0\n", "cannot contain null bytes; "),
        (b"nas = " + b"-" * 100_000 + b"1\n", "home.py: Python cannot read it: "),
        (b"raise BaseException('no')\n", "home.py:1: BaseException: no; correct that line"),
    ],
)
def test_a_file_that_python_does_not_take_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "home.py"
    path.write_bytes(content)
    (line,) = refused(path)
    assert said in line and ": ;" not in line


def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.symlink_to(path)
    assert refused(path) == ["home.py: Too many levels of symbolic links; write the file, or name another"]


def test_a_value_that_cannot_be_spelled_is_told_by_its_type(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.write_text('nas = [("n", {"address": 10**5000, "interface": 10**5000})]\n')
    assert refused(path) == [
        'home.py: nas[0] n.address: <int> is not an IP address; write one, "192.168.1.11"',
        'home.py: nas[0] n.interface: <int> is not an interface\'s name; write one as `ip link` shows it, "eth0"',
    ]


def test_a_network_of_an_inventory_without_any_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.write_text(
        'nas = [("nas", {"address": "192.0.2.31", "disks": {"d": {"id": "serial:A1"}},'
        ' "pools": {"p": {"kind": "btrfs", "level": "single", "disks": ["d"]}}, "volumes": {"v": {"pool": "p"}},'
        ' "shares": {"s": {"volume": "v", "nfs": {"clients": ["lan"]}}}})]\n'
    )
    assert refused(path) == [
        "home.py: nas[0] nas.shares.s.nfs.clients[0]: 'lan' is no host and none of networks; "
        'write networks = {"lan": "192.168.1.0/24"} in group_data, or one of nas'
    ]


def test_a_missing_version_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.write_text('k3s_servers = [("s1", {"address": "192.0.2.11"})]\n')
    (line,) = refused(path, tmp_path)
    assert line.startswith("group_data/all.py: k3s_version: is missing; write k3s_version =")


def test_group_data_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "home.py"
    path.write_text('nas = [("nas", {"address": "192.0.2.11"})]\n')
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "k3s_server.py").write_text("")
    assert refused(path, tmp_path) == [
        "group_data/k3s_server.py: no group k3s_server, so nobody reads it; did you mean k3s_servers?"
    ]


def test_what_an_inventory_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "home.py"
    path.write_text('print("hello")\nnas = [("nas", {"address": "192.0.2.11"})]\n')
    load(path, tmp_path)
    assert capsys.readouterr().out == ""


def test_the_model_cannot_be_changed() -> None:
    host = everything().host("s1")
    with pytest.raises(ValueError, match="frozen"):
        host.name = "s2"  # type: ignore[misc]
