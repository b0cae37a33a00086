"""One look at a host: the script is run for real on this machine, its answers are read as they were captured."""

from __future__ import annotations

import hashlib
import os
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.k3s import paths
from homelab.probe import FileState, HostProbe, ProbeError, Questions, parse, script, unit_time

CAPTURED = Path(__file__).parents[1] / "data" / "probes"


def ask(questions: Questions) -> HostProbe:
    """This machine, probed through sh."""
    done = subprocess.run(["sh", "-c", script(questions)], capture_output=True, text=True, check=False)
    return parse(done.stdout.split("\n"))


def captured(name: str) -> list[str]:
    return (CAPTURED / name).read_text(encoding="utf-8").splitlines()


def test_the_script_is_a_question_that_any_sh_understands(tmp_path: Path) -> None:
    asked = Questions(("/a b",), ("k3s",), ("apt",), ("kernel.hostname",), ("overlay",), ("/etc/hostname",))
    done = subprocess.run(["sh", "-n"], input=script(asked), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_this_machine_tells_what_it_is() -> None:
    found = ask(Questions(sysctls=("kernel.hostname",)))
    kernel = Path("/proc/sys/kernel/osrelease").read_text(encoding="utf-8").strip()
    assert found.kernel == kernel
    assert found.sysctls == {"kernel.hostname": found.hostname}
    assert found.memory > 0
    assert found.disk_free["/var/lib"] > 0
    assert found.clock is not None
    assert found.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


def test_files_folders_and_links_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "a file's name"
    file.write_text("hello\n", encoding="utf-8")
    file.chmod(0o640)
    link, folder, gone = tmp_path / "link", tmp_path / "folder", tmp_path / "gone"
    link.symlink_to("a|b target")
    folder.mkdir(mode=0o750)
    owner = f"{file.owner()}:{file.group()}"
    found = ask(Questions(paths=(str(file), str(link), str(folder), str(gone)))).files
    assert found.keys() == {str(file), str(link), str(folder)}
    assert found[str(file)] == FileState("file", "0640", owner, hashlib.sha256(b"hello\n").hexdigest(), size=6)
    assert (found[str(link)].kind, found[str(link)].target) == ("link", "a|b target")
    assert (found[str(folder)].kind, found[str(folder)].mode, found[str(folder)].sha256) == ("dir", "0750", None)


def test_text_comes_over_byte_for_byte(tmp_path: Path) -> None:
    file, empty = tmp_path / "config", tmp_path / "empty"
    text = "a\tb\r\nend\t1\netcd_data\tyes\n  trailing  \n\n"
    file.write_text(text, encoding="utf-8", newline="")
    empty.write_text("", encoding="utf-8")
    found = ask(Questions(text=(str(file), str(empty), str(tmp_path / "gone"))))
    assert found.text == {str(file): text, str(empty): ""}
    assert not found.etcd_data


def test_a_value_with_newlines_cannot_pass_for_another_answer(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("nowhere\nend\t1\nk3s_version\tk3s version v9.9.9+k3s1 (x)\netcd_data\tyes")
    found = ask(Questions(paths=(str(link),)))
    assert found.k3s_version == ""
    assert not found.etcd_data
    assert found.files[str(link)].kind == "link"


def test_the_script_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x\n", encoding="utf-8")
    before = (tmp_path / "file").stat()
    done = subprocess.run(
        ["sh", "-c", script(Questions(paths=(str(tmp_path / "file"), str(tmp_path / "gone"))))],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").stat().st_mtime_ns == before.st_mtime_ns


def test_an_answer_cut_anywhere_is_refused() -> None:
    lines = captured("lxc-debian12-fresh.txt")
    for length in range(len(lines)):
        with pytest.raises(ProbeError, match="cut short"):
            parse(lines[:length])


@pytest.mark.parametrize(
    "line",
    ["address\teth0", "address\teth0 10.0.0.999/8", "path\tfile||", "memory\tmuch", "text\t/etc/hosts %%%", "link\tx"],
)
def test_a_garbled_answer_is_refused_and_not_guessed_at(line: str) -> None:
    with pytest.raises(ProbeError, match="garbled"):
        parse([*captured("lxc-debian12-fresh.txt"), line])


@given(st.lists(st.text()))
def test_no_answer_whatever_breaks_the_reader(lines: list[str]) -> None:
    try:
        found = parse([*lines, "end\t1"])
    except ProbeError:
        return
    assert isinstance(found, HostProbe)


@given(st.sampled_from(captured("lxc-debian12-deployed.txt")), st.text())
def test_no_odd_value_breaks_the_reader(line: str, value: str) -> None:
    try:
        found = parse([f"{line.partition('	')[0]}\t{value}", "end\t1"])
    except ProbeError:
        return
    assert isinstance(found, HostProbe)


@pytest.mark.parametrize(
    ("told", "peer"),
    [
        ("192.168.1.5 51234 192.168.1.11 2222", ("192.168.1.5", 2222)),
        ("fe80::1%eth0 51234 fe80::2%eth0 22", ("fe80::1", 22)),
        ("UNKNOWN 65535 UNKNOWN 65535", ("", 0)),
        ("", ("", 0)),
    ],
)
def test_who_asks_is_known_where_it_came_by_a_network(told: str, peer: tuple[str, int]) -> None:
    found = parse([f"ssh_peer\t{told}", "end\t1"])
    assert (found.ssh_peer, found.ssh_port) == peer


def test_a_captured_host_is_read() -> None:
    now = datetime.fromtimestamp(1795346500, UTC)
    found = parse(captured("lxc-debian12-deployed.txt"), now)
    assert (found.os_id, found.os_version, found.arch, found.container) == ("debian", "12", "amd64", "lxc")
    assert found.addresses[ip_address("10.17.77.91")] == "eth0"
    assert found.subnets[ip_address("10.17.77.91")] == ip_network("10.17.77.0/24")
    assert found.gateways == {4: "eth0"} and found.memory_cgroup
    assert found.clock_offset is not None and timedelta(0) < found.clock_offset < timedelta(seconds=5)
    assert (found.ssh_peer, found.ssh_port) == ("10.17.77.1", 22)
    assert found.files["/etc/hostname"].mode == "0755"
    assert found.files["/etc/localtime"].target == "/usr/share/zoneinfo/Etc/UTC"
    assert found.unit("ssh.service").running and found.unit("ssh.service").pid == 83
    assert found.unit("k3s").load == "not-found" and not found.unit("k3s").running
    assert {"kmod", "kmod=30+20221128-1"} <= found.packages
    assert found.listening == {22: "sshd"} == found.reachable
    assert found.text["/etc/hostname"] == "b1\n"


def test_a_k3s_server_is_read() -> None:
    found = parse(
        [
            "k3s_version\tk3s version v1.35.6+k3s1 (4bc2e2c5)",
            f"k3s_started\t{'a' * 64} {paths.BINARY}",
            f"k3s_started\t{'b' * 64} {paths.CONFIG}",
            "etcd_data\tyes",
            "node_password\tyes",
            'listening\t6443 users:(("k3s-server",pid=812,fd=11))',
            "unit\tk3s LoadState=loaded ActiveState=active SubState=running UnitFileState=enabled MainPID=812 "
            "NRestarts=2",
            "end\t1",
        ]
    )
    assert found.k3s_version == "v1.35.6+k3s1"
    assert found.k3s_started == {paths.BINARY: "a" * 64, paths.CONFIG: "b" * 64}
    assert found.etcd_data and not found.sqlite_data and found.node_password
    assert found.listening == {6443: "k3s-server"}
    unit = found.unit(paths.SERVER_UNIT)
    assert (unit.active, unit.pid, unit.restarts) == ("active", 812, 2)


# systemd 249 (Ubuntu 22.04): it refuses every --timestamp but pretty, us, utc and us+utc, and tells nothing then.
SYSTEMCTL_249 = """\
#!/bin/sh
case "$*" in *--timestamp=unix*) echo "Invalid value: unix." >&2; exit 1 ;; esac
printf 'LoadState=loaded\\nActiveState=active\\nMainPID=812\\n\\nLoadState=not-found\\nActiveState=inactive\\n'
"""


def test_units_are_told_by_the_oldest_systemd_too(tmp_path: Path) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(SYSTEMCTL_249, encoding="utf-8")
    systemctl.chmod(0o755)
    asked = script(Questions(units=("k3s", "k3s-agent")))
    around = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False, env=around)
    units = parse(done.stdout.split("\n")).units
    assert (units["k3s"].active, units["k3s"].pid, units["k3s-agent"].load) == ("active", 812, "not-found")


def test_a_units_time_is_utc_and_may_be_none() -> None:
    assert unit_time("Sun 2026-11-22 10:00:00 UTC\n") == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert [unit_time(odd) for odd in ("", "n/a", "Sun 2026-11-22 11:00:00 CET")] == [None, None, None]


@pytest.mark.parametrize(
    ("routes", "gateways"),
    [
        ((), {}),
        (
            ("default_route\tdefault via 10.0.2.2 dev eth0 proto dhcp default via 10.0.0.1 dev wlan0 metric 600",),
            {4: "eth0"},
        ),
        (
            ("default_route\tdefault dev ppp0 scope link", "default_route6\tdefault via fe80::1 dev br0"),
            {4: "ppp0", 6: "br0"},
        ),
        (("default_route\tdefault nexthop via 10.0.0.1 dev eth1 weight 1 nexthop via 10.0.1.1 dev eth2",), {4: "eth1"}),
    ],
)
def test_the_default_routes_interface_is_told_by_family(routes: tuple[str, ...], gateways: dict[int, str]) -> None:
    assert parse([*routes, "end\t1"]).gateways == gateways


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", ""), ("", "")])
def test_architectures_are_named_as_release_assets_are(machine: str, arch: str) -> None:
    assert HostProbe(machine=machine).arch == arch


def test_file_contents_never_show_in_a_representation() -> None:
    assert "s3cret" not in repr(HostProbe(text={"/etc/rancher/k3s/config.yaml": "token: s3cret"}))


def test_questions_join_without_repeating() -> None:
    one, other = Questions(paths=("/a", "/b"), units=("x",)), Questions(paths=("/b", "/c"), packages=("p",))
    assert one | other == Questions(paths=("/a", "/b", "/c"), units=("x",), packages=("p",))


def test_what_commands_print_comes_back_whole_and_none_disturbs_the_next() -> None:
    odd = "printf 'one\\thunter2\\n\\nend\\t1\\n'; cat; exit 3"
    found = ask(Questions(commands=(("odd", odd), ("silent", "echo no >&2; cd /nowhere"), ("last", "echo 100%"))))
    assert found.output == {"odd": "one\thunter2\n\nend\t1\n", "silent": "", "last": "100%\n"}
    assert "hunter2" not in repr(found)
