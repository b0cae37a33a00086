"""What single values of an inventory may be: property tests, and tables of what tools refuse."""

from ipaddress import IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pyinfra.api.arguments import all_argument_meta
from pyinfra.connectors.fake import FakeConnectorData
from pyinfra.connectors.ssh import ConnectorData

from homelab.model import Host, SecretRef, Taint, names, native, ssh
from homelab.model.labels import LabelKey, LabelValue
from homelab.model.names import Timezone
from homelab.model.networks import Cidrs, Network, overlap
from homelab.model.version import K3sVersion, k3s_version

LABEL = TypeAdapter(LabelKey)
VALUE = TypeAdapter(LabelValue)
VERSION = TypeAdapter(K3sVersion)
CIDRS = TypeAdapter(Cidrs)
NETWORK: TypeAdapter[object] = TypeAdapter(Network)
TIMEZONE = TypeAdapter(Timezone)

numbers = st.integers(0, 99)


@given(numbers, numbers, st.integers(1, 9))
def test_every_release_is_a_version(minor: int, patch: int, build: int) -> None:
    tag = f"v1.{minor}.{patch}+k3s{build}"
    assert k3s_version(tag) == tag


@given(st.text())
def test_a_version_is_taken_as_it_stands_or_not_at_all(text: str) -> None:
    try:
        assert VERSION.validate_python(text) == text
    except ValidationError:
        return
    assert text.startswith("v1.")


@pytest.mark.parametrize(
    "text", ["v1.33.4", "1.33.4+k3s1", "v1.33.4+k3s", "v1.33+k3s1", "v1.33.4+k3s1\n", "v1.33.4+rke2r1", "latest", ""]
)
def test_what_is_no_release_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        VERSION.validate_python(text)


@given(st.sampled_from(["env", "file", "command"]), st.text(min_size=1).filter(lambda text: text == text.strip() != ""))
def test_a_reference_survives_its_text(kind: str, where: str) -> None:
    reference = SecretRef.parse(f"{kind}:{where}")
    assert SecretRef.parse(str(reference)) == reference
    assert (reference.kind, reference.where) == (kind, where)


@given(st.text())
def test_what_is_no_reference_is_never_echoed(text: str) -> None:
    try:
        SecretRef.parse(text)
    except ValueError as error:
        assert str(error) == "not a reference to a secret; write env:NAME, file:PATH or command:..."


keys = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(keys, st.one_of(st.just(""), keys), st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]))
def test_a_taint_survives_its_text(key: str, value: str, effect: str) -> None:
    taint = Taint.parse(f"{key}={value}:{effect}")
    assert Taint.parse(str(taint)) == taint


def test_a_taint_may_have_no_value() -> None:
    assert Taint.parse("dedicated:NoSchedule") == Taint("dedicated", "", "NoSchedule")


# From kubelet's own message (k3s-io/k3s#10916) and kubernetes' isKubernetesLabel.
@pytest.mark.parametrize(
    "key",
    [
        "disk",
        "example.org/disk",
        "node.kubernetes.io/disk",
        "gpu.node.kubernetes.io/model",
        "kubelet.kubernetes.io/x",
        "topology.kubernetes.io/zone",
        "kubernetes.io/arch",
        "notkubernetes.io/x",
    ],
)
def test_a_label_kubelet_takes(key: str) -> None:
    assert LABEL.validate_python(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "node-role.kubernetes.io/worker",
        "kubernetes.io/role",
        "k8s.io/x",
        "a.k8s.io/x",
        "storage.kubernetes.io/x",
        "",
        "/x",
        "a/b/c",
        "Upper.org/x",
        "x" * 64,
        "-x",
    ],
)
def test_a_label_kubelet_refuses(key: str) -> None:
    with pytest.raises(ValidationError):
        LABEL.validate_python(key)


@pytest.mark.parametrize("value", ["a b", "x" * 64, "-", True, 1, None])
def test_a_label_value_kubernetes_refuses(value: object) -> None:
    with pytest.raises(ValidationError):
        VALUE.validate_python(value)


networks = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False), st.integers(0, 2**32 - 1), st.integers(8, 30)
)


@given(networks, networks)
def test_overlap_is_mutual_and_means_shared_addresses(one: IPv4Network, other: IPv4Network) -> None:
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, other) == (one.subnet_of(other) or other.subnet_of(one))


@given(networks)
def test_a_network_survives_its_text(network: IPv4Network) -> None:
    assert CIDRS.validate_python(str(network)) == (network,)


def test_a_pair_of_networks_is_a_comma_pair_or_a_list() -> None:
    pair = (ip_network("10.42.0.0/16"), ip_network("2001:db8:42::/56"))
    assert CIDRS.validate_python("10.42.0.0/16, 2001:db8:42::/56") == pair
    assert CIDRS.validate_python(["10.42.0.0/16", "2001:db8:42::/56"]) == pair


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ("10.100.0.0", 'write one with its prefix, "10.100.0.0/16"'),
        ("172.20.8.0", 'write one with its prefix, "172.20.8.0/24"'),
        ("10.100.0.7", "write one with its prefix that nothing else has"),
        ("10.100.0.0/x", "write one with its prefix that nothing else has"),
        (10, "write one with its prefix that nothing else has, or a pair for dual-stack"),
    ],
)
def test_no_network_is_suggested_to_the_cluster_that_something_else_may_have(value: object, remedy: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CIDRS.validate_python(value)
    (error,) = refused.value.errors()
    assert error["msg"].partition("; ")[2] == remedy


@pytest.mark.parametrize("value", ["192.168.0.0", "192.168.5.0", "10.0.0.0"])
def test_no_more_is_suggested_to_be_let_in_than_was_written(value: str) -> None:
    """With 16 all the home's networks would be one's, and guests on another of them reach what is for that one."""
    with pytest.raises(ValidationError) as refused:
        NETWORK.validate_python(value)
    (error,) = refused.value.errors()
    assert error["msg"].partition("; ")[2] == f'write one with its prefix, "{value}/24"'


def test_networks_of_two_families_do_not_overlap() -> None:
    assert not overlap(ip_network("0.0.0.0/0"), ip_network("::/0"))


@given(st.sampled_from(sorted(native.AGENT_KEYS | native.SERVER_ONLY_KEYS)), st.data())
def test_a_slip_in_a_native_key_never_passes_in_silence(key: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key) - 1))
    known = native.AGENT_KEYS | native.SERVER_ONLY_KEYS
    for slip in (key[:at] + key[at + 1 :], key[:at] + "x" + key[at:], key[:at] + "x" + key[at + 1 :]):
        if slip and slip not in known:
            assert native.check_key(slip, "server", of_one_host=False)


@pytest.mark.parametrize(
    ("ports", "within"),
    [
        ("30000-32767", True),
        ("30000+2767", True),
        ("31000-31999", True),
        ("32767", True),
        ("30000-32768", False),
        ("30000+2768", False),
        ("29999-30001", False),
        ("32767-30000", False),
        ("80", False),
        ("31000-", False),
        ("", False),
        ("-31000", False),
        ("30000-32767,80", False),
    ],
)
def test_node_ports_that_the_firewall_closes_are_known_however_they_are_written(ports: str, within: bool) -> None:
    assert native.within_node_ports(ports) is within


def test_native_keys_are_in_one_table_only() -> None:
    assert not native.AGENT_KEYS & native.SERVER_ONLY_KEYS
    known = native.AGENT_KEYS | native.SERVER_ONLY_KEYS
    assert known >= native.CLUSTER_WIDE
    assert set(native.SECRET) <= known
    assert not native.CLUSTER_WIDE & (set(native.OWNED) | set(native.SECRET))
    # Two that are no flags of today's K3s, yet would do harm.
    assert set(native.OWNED) - known == {"config", "cluster-secret"}


@pytest.mark.parametrize("key", ["flannel-backend", "disable", "kubelet-arg", "kubelet-arg+", "etcd-arg", "debug"])
def test_native_keys_pass_through(key: str) -> None:
    assert native.check_key(key, "server", of_one_host=False) is None


def test_what_the_leading_server_alone_heeds_is_the_same_on_all() -> None:
    # K3s since July 2026 (k3s-io/k3s#14300): the Helm controller runs on whichever server leads.
    key = "helm-controller-arg"
    assert native.check_key(key, "server", of_one_host=True) == (
        "must be the same on all servers",
        "write it in server_config in group_data",
    )
    assert native.check_key(key, "agent", of_one_host=False) == (
        "is a server's key, which an agent ignores",
        "write it in server_config",
    )
    assert native.check_key("helm-controler-arg", "server", of_one_host=False)


def test_connection_keys_are_pyinfras() -> None:
    assert set(ssh.SSH_KEYS) == set(ConnectorData.__annotations__)
    assert set(ssh.FAKE_KEYS) == {key for key in FakeConnectorData.__annotations__ if key.startswith("fake_")}


def test_arguments_are_pyinfras() -> None:
    assert set(all_argument_meta) - {"name"} == ssh.ARGUMENTS


def test_a_host_can_be_made_by_hand() -> None:
    host = Host.model_validate(
        {"name": "s1", "role": "server", "address": "192.0.2.11", "taints": ["gpu=yes:NoSchedule"]}
    )
    assert str(host.taints[0]) == "gpu=yes:NoSchedule"
    assert host.inventory_name == "s1"


@pytest.mark.parametrize("text", ["Europe/Berln", "europe/berlin", "Europe"])
def test_a_misspelt_time_zone_is_refused_before_a_host_would(text: str) -> None:
    with pytest.raises(ValidationError, match=r"did you mean|write one"):
        TIMEZONE.validate_python(text)


def test_a_machine_that_knows_no_time_zones_leaves_them_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(names, "ZoneInfo", unknown)
    monkeypatch.setattr(names, "available_timezones", set)
    assert TIMEZONE.validate_python("Europe/Berlin") == "Europe/Berlin"
