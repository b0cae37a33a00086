"""Which hosts the sandbox has and how each is run."""

import runpy

import pytest

from tests.sandbox import run
from tests.sandbox.hosts import ROOT, Placed, Refused, choose, read_table

VAGRANTFILE = (ROOT / "Vagrantfile").read_text()
HOSTS, SETS = read_table(VAGRANTFILE)

WITH_FLAG = "processor\t: 0\nflags\t\t: fpu vme svm sse2\n"
WITHOUT_FLAG = "processor\t: 0\nflags\t\t: fpu vme sse2 hypervisor\n"


def test_every_row_of_the_table_is_read():
    assert len(HOSTS) == VAGRANTFILE.count('{ name: "')
    assert sorted(SETS) == ["full", "ha", "nfs", "small"]
    assert set().union(*SETS.values()) == set(HOSTS)


def test_addresses_and_macs_are_each_host_s_own():
    assert len({host.address for host in HOSTS.values()}) == len(HOSTS)
    assert len({host.mac for host in HOSTS.values()}) == len(HOSTS)


@pytest.mark.parametrize("chosen", sorted(SETS))
def test_the_inventory_has_the_same_hosts(chosen, monkeypatch):
    monkeypatch.setenv("SANDBOX", chosen)
    inventory = runpy.run_path(str(ROOT / "inventory" / "sandbox.py"))
    listed = {
        name: (group, data["address"], data["ssh_hostname"])
        for group in ("k3s_servers", "k3s_agents", "nas")
        for name, data in inventory[group]
    }
    assert listed == {name: (HOSTS[name].group, HOSTS[name].address, HOSTS[name].address) for name in SETS[chosen]}


def test_a_set_that_is_none_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("SANDBOX", "tiny")
    assert run.main(["sandbox"]) == 1
    assert capsys.readouterr().err == "sandbox: SANDBOX=tiny: no such set; write one of small, ha, full, nfs\n"


def placed(names, env, cpuinfo=WITHOUT_FLAG, kvm=True):
    return {one.host.name: one for one in choose(names, HOSTS, env, cpuinfo, kvm)}


def test_hardware_virtualisation_runs_everything_from_public_boxes():
    result = placed(SETS["full"], {"CI": "true"}, WITH_FLAG)
    assert set(result.values()) == {Placed(HOSTS[name], "libvirt") for name in SETS["full"]}
    assert not any(one.built for one in result.values())


def test_a_kvm_device_without_the_processor_s_flag_is_not_believed():
    assert placed(("s1",), {"CI": "true"}, WITHOUT_FLAG, kvm=True)["s1"].provider == "lxc"


def test_the_flag_without_the_device_is_not_enough():
    assert placed(("s1",), {"CI": "true"}, WITH_FLAG, kvm=False)["s1"].provider == "lxc"


@pytest.mark.parametrize("env", [{"CI": "true"}, {"SANDBOX_PROVIDER": "lxc"}])
def test_containers_for_k3s_and_emulation_for_what_needs_its_own_kernel(env):
    result = placed(SETS["full"], env)
    assert {name for name, one in result.items() if one.provider == "lxc"} == {"s1", "s2", "s3", "a1"}
    assert {name for name, one in result.items() if one.emulated} == {"a2", "nas"}
    assert all(one.built for one in result.values())


@pytest.mark.parametrize("env", [{}, {"CI": "false"}, {"CI": ""}])
def test_containers_are_only_made_when_asked_for(env):
    with pytest.raises(Refused, match="write SANDBOX_PROVIDER=lxc") as refusal:
        placed(SETS["small"], env)
    assert "\n" not in str(refusal.value)


def test_libvirt_can_be_asked_for_without_hardware_virtualisation():
    assert all(one.emulated for one in placed(SETS["small"], {"SANDBOX_PROVIDER": "libvirt"}).values())


def test_virtualbox_runs_everything_when_asked_for():
    result = placed(SETS["small"], {"SANDBOX_PROVIDER": "virtualbox", "CI": "true"})
    assert {one.provider for one in result.values()} == {"virtualbox"}


def test_an_unknown_provider_is_refused_by_name():
    with pytest.raises(Refused, match=r"SANDBOX_PROVIDER=hyperv: .* libvirt, virtualbox, lxc"):
        placed(SETS["small"], {"SANDBOX_PROVIDER": "hyperv"})
