"""K3s on every node: files, unit, process, ports, and that no token is where others can read it."""

from __future__ import annotations

import json
from secrets import token_hex

import pytest

from homelab.k3s import config, image_paths, node, paths, unit
from tests.hosts.inventory import hosts

testinfra_hosts = hosts("server", "agent")

KUBECTL = f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG}"


def test_unit_is_ours_enabled_and_running(host, mine):
    assert host.file(paths.unit_file(mine.role)).content_string == unit.unit(mine.role).content
    service = host.service(paths.unit(mine.role))
    assert service.is_enabled
    assert service.is_running


def test_only_the_unit_of_its_role_exists(host, mine):
    other = "agent" if mine.role == "server" else "server"
    assert not host.file(paths.unit_file(other)).exists


def test_configuration_is_rendered_from_the_inventory(host, mine, home):
    wanted = config.config(home, mine)
    assert host.file(paths.CONFIG).content_string == wanted.content


def test_secrets_are_readable_by_root_only(host, mine):
    secret = [paths.CONFIG, paths.JOIN, paths.REGISTRATION, paths.TOKEN]
    secret += [paths.AGENT_TOKEN, paths.KUBECONFIG, paths.SERVER_TOKEN] if mine.role == "server" else []
    for path in secret:
        file = host.file(path)
        assert (path, file.user, file.group, file.mode) == (path, "root", "root", 0o600)


def test_programs_are_root_s_and_executable(host, mine):
    for path in (paths.BINARY, paths.KILLALL, paths.uninstall(mine.role), paths.PRESTART):
        file = host.file(path)
        assert (path, file.user, file.mode) == (path, "root", 0o755)
    for name in paths.LINKS:
        assert host.file(f"/usr/local/bin/{name}").linked_to == paths.BINARY


def test_running_process_has_what_lies_on_disk(host, mine):
    noted = dict(line.split()[::-1] for line in host.file(paths.STARTED).content_string.splitlines())
    assert set(noted) <= set(unit.started_with(mine.role))
    for path in unit.started_with(mine.role):
        file = host.file(path)
        assert noted.get(path) == (file.sha256sum if file.exists else None)


def test_binary_is_the_inventory_s_version(host, home):
    assert host.check_output(f"{paths.BINARY} --version").split()[2] == home.cluster.version


def test_ports_are_open_as_the_role_needs(host, mine):
    assert host.socket("tcp://10250").is_listening or host.socket("tcp://0.0.0.0:10250").is_listening
    if mine.role == "server":
        assert host.socket("tcp://6443").is_listening
        assert host.socket(f"tcp://{mine.address}:2379").is_listening
        assert host.socket(f"tcp://{mine.address}:2380").is_listening
    else:
        assert not host.socket("tcp://6443").is_listening


def test_image_archives_are_there(host, home):
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[host.check_output("uname -m")]
    for path in image_paths(home, arch):
        assert host.file(path).is_file


def test_no_upload_is_left_behind(host):
    assert host.check_output("find /home /root /usr/local/bin -xdev -name '.*homelab-*' 2>/dev/null || true") == ""


@pytest.fixture(scope="module")
def secrets(host, mine) -> list[str]:
    """The passwords of this node's tokens."""
    files = [paths.TOKEN] + ([paths.AGENT_TOKEN] if mine.role == "server" else [])
    found = [host.file(path).content_string.strip().rpartition(":")[2] for path in files]
    assert all(len(each) >= 12 for each in found), "a token this short would be found by chance"
    return found


def test_no_token_in_argv_or_environment(host, secrets):
    # The environment of a process is its owner's alone, but what is in it tends to end up in logs.
    seen = host.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").stdout
    assert seen
    assert not [True for secret in secrets if secret in seen]


def test_no_token_in_units_or_journal(host, mine, secrets):
    # The pattern goes through a file: on a command line it would itself be in argv.
    seen = host.check_output("cat /etc/systemd/system/k3s* /etc/default/* 2>/dev/null; true")
    seen += host.check_output("journalctl --no-pager -o cat -b")
    assert len(seen) > 1000
    assert not [True for secret in secrets if secret in seen]


def test_no_token_in_a_file_that_others_can_read(host, secrets):
    # A word of no worth, where others can read it, proves that the search finds what is there.
    decoy, word, needles = "/var/tmp/homelab-decoy", token_hex(32), f"{paths.TOKEN}.needles"
    tokens = f"cat {paths.TOKEN} {paths.AGENT_TOKEN} 2>/dev/null | sed 's/.*://'"
    try:
        host.check_output(f"echo {word} >{decoy}; chmod 0644 {decoy}")
        host.check_output(f"umask 077; {{ {tokens}; echo {word}; }} >{needles}")
        assert host.file(needles).content_string.split() == [*secrets, word]
        listing = host.run(
            "find /etc /var /tmp /run /home /usr/local -xdev -type f -perm /0044 -size -2M -newermt 2020-01-01 -print0"
            f" | xargs -0 grep -lFf {needles}"
        ).stdout
    finally:
        host.check_output(f"rm -f {needles}")
    # A file is only readable by others if they can get to it.
    reachable = [
        path for path in listing.splitlines() if host.run(f"setpriv --reuid=65534 --clear-groups cat {path}").rc == 0
    ]
    host.check_output(f"rm -f {decoy}")
    assert reachable == [decoy]


def test_nodes_are_exactly_the_inventory_s(host, mine, home):
    if mine != next(each for each in home.servers if not each.away):
        pytest.skip("asked once, on the first server")
    listed = json.loads(host.check_output(f"{KUBECTL} get --raw /api/v1/nodes"))
    nodes = {each.name: each for each in map(node.parse, listed["items"])}
    assert sorted(nodes) == sorted(each.name for each in home.servers + home.agents)
    for each in home.servers + home.agents:
        if not each.away:
            assert nodes[each.name].ready, each.name
            assert nodes[each.name].version == home.cluster.version
            assert nodes[each.name].etcd == (each.role == "server")
            assert str(each.address) in nodes[each.name].addresses
            assert {**nodes[each.name].labels, **each.labels} == nodes[each.name].labels
