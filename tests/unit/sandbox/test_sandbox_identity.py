"""The seed that makes a box one particular host."""

import tarfile

import pytest

from tests.sandbox import identity
from tests.sandbox.hosts import Host, Placed

S1 = Host("s1", "10.17.77.11", "k3s_servers", False, 2048, 0)
NAS = Host("nas", "10.17.77.31", "nas", True, 1536, 6)


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "SANDBOX", tmp_path / ".sandbox")
    identity.ensure_user_key()
    return tmp_path / "state"


def seed(placed, state):
    identity.renew(placed, state)
    with tarfile.open(identity.seed_path(placed.host, state)) as archive:
        return {
            entry.name: (entry, file.read().decode() if (file := archive.extractfile(entry)) else "")
            for entry in archive.getmembers()
        }


def test_private_keys_are_readable_to_their_owner_only(state):
    files = seed(Placed(S1, "lxc"), state)
    assert files["etc/ssh/ssh_host_ed25519_key"][0].mode == 0o600
    assert files["home/vagrant/.ssh/authorized_keys"][0].uid == 1000
    assert identity.seed_path(S1, state).stat().st_mode & 0o777 == 0o600
    assert identity.private_key().stat().st_mode & 0o777 == 0o600


def test_the_mark_comes_last_since_it_says_that_all_is_there(state):
    assert list(seed(Placed(NAS, "libvirt", emulated=True), state))[-1] == "etc/homelab-sandbox"


def test_every_making_gives_new_keys_and_a_new_mark(state):
    first, second = (seed(Placed(S1, "lxc"), state) for _ in range(2))
    for name in ("etc/ssh/ssh_host_ed25519_key", "etc/homelab-sandbox", "etc/machine-id"):
        assert first[name][1] != second[name][1]


def test_the_default_route_is_the_sandbox_network_s(state):
    files = seed(Placed(NAS, "libvirt", emulated=True), state)
    text = files["etc/network/interfaces"][1]
    assert "iface eth1 inet static\n    address 10.17.77.31/24\n    gateway 10.17.77.1\n" in text
    assert "routers" not in files["etc/dhcp/dhclient.conf"][1]


def test_known_hosts_has_the_keys_that_the_seed_carries(state):
    files = seed(Placed(S1, "lxc"), state)
    identity.write_client_files([S1])
    known = (identity.SANDBOX / "known_hosts").read_text()
    kind, key, _ = files["etc/ssh/ssh_host_ed25519_key.pub"][1].split()
    assert f"10.17.77.11,s1 {kind} {key}\n" in known
    assert "StrictHostKeyChecking yes" in (identity.SANDBOX / "ssh_config").read_text()
