"""What runs in the pods of `--deep`, by a real BusyBox: the scripts as the manifests carry them, at other paths."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homelab.health import manifests
from homelab.health.probes import pod
from homelab.health.shape import Json
from tests.sound_shell import assert_sound

BUSYBOX = shutil.which("busybox", path="/bin:/usr/bin:/usr/sbin:/usr/local/bin")
pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="BusyBox is not installed")
NODES = ("s1",)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with BusyBox by each of its names, and what a pod has at other places."""
    (tmp_path / "bin").mkdir()
    subprocess.run([str(BUSYBOX), "--install", "-s", tmp_path / "bin"], check=True)
    for name in ("data", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "resolv.conf").write_text(
        "nameserver 10.43.0.10\nsearch mine.svc.house.lan svc.house.lan house.lan lan\n"
    )
    return tmp_path


def run(box: Path, manifest: Json) -> dict[str, tuple[bool, str]]:
    """What a pod of this manifest tells."""
    command = list(manifest["spec"]["containers"][0]["command"])
    paths = {
        "/dev/termination-log": box / "log",
        "/etc/resolv.conf": box / "resolv.conf",
        "/data/": f"{box / 'data'}/",
        "/tmp/": f"{box / 'tmp'}/",
        "sleep 3": "sleep 0",
        "timeout 6": "timeout 1",
    }
    command[2] = re.sub("|".join(paths), lambda found: str(paths[found[0]]), command[2])
    (box / "log").write_text("")
    done = subprocess.run(
        command, env={"PATH": str(box / "bin")}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    message = {"state": {"terminated": {"exitCode": 0, "message": (box / "log").read_text()}}}
    return dict(pod({**manifest, "status": {"phase": "Succeeded", "containerStatuses": [message]}}).told)


@contextmanager
def web(box: Path, said: str) -> Iterator[str]:
    """BusyBox's own server, as a listener runs it; its address and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = list(manifests.listener("4711", "node-0", "s1", "image", 60)["spec"]["containers"][0]["command"])
    script = command[2].replace("/tmp", str(box / "tmp")).replace(str(manifests.PORT), f"127.0.0.1:{port}")
    server = subprocess.Popen(
        [*command[:2], script, "probe", said, "60"], env={"PATH": str(box / "bin")}, start_new_session=True
    )
    try:
        for _ in range(500):
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            threading.Event().wait(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(10)


class _Dns(socketserver.BaseRequestHandler):
    """Answers A as it is told to; a name that it does not know is none."""

    def handle(self) -> None:
        asked, sock = self.request
        end = asked.index(b"\0", 12) + 5
        name = b".".join(_labels(asked[12:])).decode()
        kind = struct.unpack("!H", asked[end - 4 : end - 2])[0]
        address = self.server.known.get(name)  # type: ignore[attr-defined]
        answer = b""
        if address and kind == 1:
            answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04" + socket.inet_aton(address)
        flags = 0x8580 if address else 0x8583
        sock.sendto(
            asked[:2] + struct.pack("!HHHHH", flags, 1, bool(answer), 0, 0) + asked[12:end] + answer,
            self.client_address,
        )


def _labels(rest: bytes) -> list[bytes]:
    return [] if not rest[0] else [rest[1 : 1 + rest[0]], *_labels(rest[1 + rest[0] :])]


@contextmanager
def dns(**known: str) -> Iterator[str]:
    server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), _Dns)
    server.known = {name.replace("_", "."): address for name, address in known.items()}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asker(*questions: tuple[str, str, str, str]) -> Json:
    return manifests.asker("4711", "ask-0", "s1", "image", questions)


def test_a_pod_asks_the_web_and_dns_at_once(box: Path) -> None:
    right = "10.43.0.1"
    with web(box, "4711/node-0") as site, dns(kubernetes_default_svc_house_lan=right) as names, dns() as empty:
        told = run(
            box,
            asker(
                ("pod:0", "web", site, "4711/node-0"),
                ("pod:1", "web", site, "4711/node-1"),
                ("service:0", "web", "127.0.0.1:9", "4711/node-0"),
                ("dns-pod:0", "dns", names, right),
                ("dns-pod:1", "dns", names, "10.43.0.10"),
                ("dns-pod:2", "dns", empty, right),
                ("dns-pod:3", "dns", "127.0.0.1:9", right),
            ),
        )
    assert {key: ok for key, (ok, _) in told.items()} == {
        "pod:0": True,
        "pod:1": False,
        "service:0": False,
        "dns-pod:0": True,
        "dns-pod:1": False,
        "dns-pod:2": False,
        "dns-pod:3": False,
    }
    assert told["pod:1"][1] == "another one answers there"
    assert told["service:0"][1].endswith("Connection refused")
    assert told["dns-pod:2"][1].endswith("NXDOMAIN")


def test_one_that_takes_connections_and_says_nothing_has_not_answered(box: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        site = f"127.0.0.1:{silent.getsockname()[1]}"
        assert run(box, asker(("pod:0", "web", site, "x"))) == {"pod:0": (False, "no answer within 6 s")}


def test_what_is_written_and_fsynced_is_read_again(box: Path) -> None:
    ok, checksum = run(box, manifests.writer("4711", "volume-write", NODES, "image", "volume"))["write"]
    data = (box / "data" / "homelab-health").read_bytes()
    assert (ok, checksum, len(data)) == (True, hashlib.sha256(data).hexdigest(), 1 << 20)
    read = manifests.reader("4711", "volume-read-0", "s1", "image", "volume", checksum)
    assert run(box, read) == {"read": (True, "")}
    (box / "data" / "homelab-health").write_bytes(data[:-1] + b"x")
    assert run(box, read) == {"read": (False, "it is not what was written")}
    (box / "data" / "homelab-health").unlink()
    ok, said = run(box, read)["read"]
    assert not ok and "No such file" in said


def test_what_cannot_be_written_says_why(box: Path) -> None:
    (box / "data").rmdir()
    ok, said = run(box, manifests.writer("4711", "volume-write", NODES, "image", "volume"))["write"]
    assert not ok and "No such file or directory" in said


@pytest.mark.parametrize(
    "manifest",
    [
        manifests.listener("4711", "node-0", "s1", "image", 60),
        asker(),
        manifests.writer("4711", "volume-write", NODES, "image", "volume"),
        manifests.reader("4711", "volume-read-0", "s1", "image", "volume", "0" * 64),
    ],
    ids=lambda each: str(each["metadata"]["name"]),
)
def test_the_scripts_are_sound(manifest: Json) -> None:
    # Its own arguments name the functions that it calls.
    assert_sound(f"#!/bin/sh\n{manifest['spec']['containers'][0]['command'][2]}", "SC2329", "SC2317")
