"""Modules and settings: what K3s needs, never less than somebody else asked for, nothing host-wide in a container."""

from dataclasses import replace

from homelab.host import kernel
from tests.probes import captured, home, machine, node


def test_a_node_forwards_and_sees_bridged_packets():
    wanted = kernel.sysctls(home(), node(), machine())
    assert wanted["net.ipv4.ip_forward"] == "1"
    assert wanted["net.bridge.bridge-nf-call-iptables"] == "1"


def test_what_is_no_node_is_left_alone():
    assert kernel.modules(node(role=None)) == ()
    assert kernel.sysctls(home(), node(role=None), machine()) == {}


def test_a_larger_limit_is_not_lowered():
    probe = machine(sysctls={"fs.inotify.max_user_watches": "1000000", "fs.inotify.max_user_instances": "128"})
    wanted = kernel.sysctls(home(), node(), probe)
    assert wanted["fs.inotify.max_user_watches"] == "1000000"
    assert wanted["fs.inotify.max_user_instances"] == "1024"


def test_a_container_sets_only_its_own_network():
    wanted = kernel.sysctls(home(), node(), captured())
    assert wanted
    assert all(key.startswith("net.") for key in wanted)


def test_a_container_s_machine_is_named_with_what_it_lacks():
    lacking = kernel.unset_sysctls(home(), node(), captured())
    assert lacking == {
        "fs.inotify.max_user_instances=1024": "128",
        "fs.inotify.max_user_watches=524288": captured().sysctls["fs.inotify.max_user_watches"],
    }


def test_no_ipv6_forwarding_without_ipv6_pods():
    # With forwarding a kernel ignores router advertisements, and the host would lose its IPv6 route.
    assert not any("ipv6" in key for key in kernel.sysctls(home(), node(), machine()))


def test_ipv6_pods_keep_the_host_s_own_route():
    known = home(cluster_cidr="10.42.0.0/16,fd00:42::/56", service_cidr="10.43.0.0/16,fd00:43::/112")
    wanted = kernel.sysctls(known, node(), machine())
    assert wanted["net.ipv6.conf.all.forwarding"] == "1"
    assert wanted["net.ipv6.conf.eth0.accept_ra"] == "2"


def test_protected_kernel_defaults_are_set_before_the_kubelet_demands_them():
    strict = node(server_config={"protect-kernel-defaults": True})
    assert kernel.sysctls(home(strict), strict, machine())["vm.overcommit_memory"] == "1"
    assert "vm.overcommit_memory" not in kernel.sysctls(home(), node(), machine())


def test_a_kernel_without_bridge_filtering_gets_no_setting_of_it():
    probe = machine(missing_modules=frozenset({"br_netfilter"}))
    assert not any("bridge" in key for key in kernel.sysctls(home(), node(), probe))
    assert kernel.modules_file(node(), probe).content == "# homelab: for K3s\noverlay\nvxlan\n"


def test_drift_is_what_the_kernel_has_otherwise():
    wanted = {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"}
    probe = replace(machine(), sysctls={"net.ipv4.ip_forward": "0"})
    assert kernel.drift(wanted, probe) == {"net.ipv4.ip_forward": "1"}
