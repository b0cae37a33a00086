"""Alerts: sent for real, to a mail server, an ntfy and a webhook on this machine; kept while nobody takes them."""

from __future__ import annotations

import base64
import json
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from homelab.nas import alerts
from homelab.probe import HostProbe
from tests.nas_host import NasHost, nas


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as takes a message; with a certificate also STARTTLS (RFC 3207) and AUTH PLAIN."""

    def handle(self) -> None:
        server, tls = self.server, self.server.tls  # type: ignore[attr-defined]

        def say(*lines: str) -> None:
            for number, line in enumerate(lines, 1):
                mark = " " if number == len(lines) else "-"
                self.wfile.write(f"{line[:3]}{mark}{line[4:]}\r\n".encode())

        say("220 mail")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            server.heard.append((isinstance(self.connection, ssl.SSLSocket), line))  # type: ignore[attr-defined]
            if verb == "EHLO" and tls and not isinstance(self.connection, ssl.SSLSocket):
                say("250 mail", "250 STARTTLS")
                continue
            if verb == "EHLO" and tls:
                say("250 mail", "250 AUTH PLAIN")
                continue
            if verb == "STARTTLS":
                say("220 go on")
                self.connection = tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
                continue
            if verb == "AUTH":
                say("334 ")
                server.login = (isinstance(self.connection, ssl.SSLSocket), self.rfile.readline())  # type: ignore[attr-defined]
                say("235 welcome")
                continue
            if verb == "DATA":
                say("354 go on")
                lines = []
                while (text := self.rfile.readline()) != b".\r\n":
                    lines.append(text)
                server.taken.append(b"".join(lines).decode())  # type: ignore[attr-defined]
            elif verb == "QUIT":
                say("221 bye")
                return
            say("250 so be it")


class Web(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.taken.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Takers:
    """A mail server and a web server on ports of their own, which can be away for a while."""

    def __init__(self) -> None:
        if not shutil.which("curl"):
            pytest.skip("curl is not installed")
        self.servers: list[Any] = [
            socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail),
            ThreadingHTTPServer(("127.0.0.1", 0), Web),
        ]
        for server in self.servers:
            server.daemon_threads = True
            server.taken = []
            server.heard, server.tls = [], None
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.smtp, self.web = (f"127.0.0.1:{server.server_address[1]}" for server in self.servers)
        self.mails, self.posts = (server.taken for server in self.servers)

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def takers() -> Iterator[Takers]:
    made = Takers()
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path, takers: Takers) -> NasHost:
    described = nas(
        alerts={
            "mail": "anna@example.org",
            "smtp": takers.smtp,
            "ntfy": f"http://{takers.web}/topic",
            "webhook": f"http://{takers.web}/hook",
        }
    )
    return NasHost(tmp_path, described)


def waiting(host: NasHost) -> int:
    return len(list(host.path("/var/lib/homelab/alerts").glob("*.alert")))


def test_an_alert_reaches_all_three(host: NasHost, takers: Takers) -> None:
    body = 'disk "sda" \\ is gone\n\ttabs, ümlauts\n.\nand the end\n'
    done = host.run("homelab-alert", "-p", "urgent", "pool tank\nBcc: all@example.org", stdin=body)
    assert done.returncode == 0, done.stderr
    (mail,) = takers.mails
    head, _, text = mail.partition("\r\n\r\n")
    assert "To: <anna@example.org>\r\n" in head
    # A subject of two lines makes no header of its second.
    assert "] pool tank Bcc: all@example.org\r\n" in head
    assert 'disk "sda" \\ is gone\r\n\ttabs, ümlauts\r\n..\r\nand the end' in text
    posts = {path: (headers, said) for path, headers, said in takers.posts}
    headers, said = posts["/topic"]
    assert (headers["Priority"], said) == ("urgent", body)
    assert headers["Title"].endswith("pool tank Bcc: all@example.org")
    told = json.loads(posts["/hook"][1])
    assert told["message"] == body.rstrip("\n")
    assert told["priority"] == "urgent"
    assert "pool tank" in told["text"]
    assert waiting(host) == 0


def test_what_one_does_not_take_is_kept_for_it_alone(host: NasHost, takers: Takers) -> None:
    settings = host.path("/etc/homelab/alerts")
    good = settings.read_text()
    settings.write_text(good.replace(takers.smtp, "127.0.0.1:9"))
    host.run("homelab-alert", "one", stdin="first\n")
    host.run("homelab-alert", "two", stdin="second\n")
    assert (waiting(host), len(takers.mails), len(takers.posts)) == (2, 0, 4)
    assert host.status("alert-all")["undelivered"] == "2"
    settings.write_text(good)
    assert host.run("homelab-alert", "--flush").returncode == 0
    assert (waiting(host), len(takers.mails), len(takers.posts)) == (0, 2, 4)
    assert ["first" in mail for mail in takers.mails] == [True, False]
    assert host.status("alert-all")["undelivered"] == "0"


def test_a_test_is_remembered_when_it_got_through(host: NasHost, takers: Takers) -> None:
    described = nas(alerts={"mail": "anna@example.org", "smtp": takers.smtp})
    host.lay(alerts.config(described, {}))
    assert host.run("homelab-alert", "--test").returncode == 0
    noted = host.path(alerts.TESTED).read_text()
    probe = HostProbe(text={alerts.TESTED: noted})
    assert alerts.tested(described, probe, {})
    assert not alerts.tested(described, HostProbe(), {})
    assert not alerts.tested(nas(alerts={"ntfy": "https://ntfy.sh/x"}), probe, {})


def test_a_test_that_fails_says_why_and_leaves_nothing(host: NasHost) -> None:
    host.lay(alerts.config(nas(alerts={"mail": "anna@example.org", "smtp": "127.0.0.1:9"}), {}))
    done = host.run("homelab-alert", "--test")
    assert done.returncode == 1
    assert "not delivered, mail: curl: (7)" in done.stderr
    assert waiting(host) == 0
    assert not host.path(alerts.TESTED).exists()


def test_with_nobody_to_tell_it_goes_to_the_journal_only(tmp_path: Path) -> None:
    host = NasHost(tmp_path, nas())
    host.fake("logger", 'echo "$@" >>"$HOMELAB_ROOT/journal"')
    assert host.run("homelab-alert", "lonely", stdin="").returncode == 0
    assert "lonely" in host.path("/journal").read_text()
    assert alerts.tested(nas(), HostProbe(), {})
    assert alerts.silent(nas())


def test_a_topic_is_for_root_only() -> None:
    file = alerts.config(nas(alerts={"ntfy": "https://ntfy.sh/geheim"}), {})
    assert (file.mode, file.content) == ("0600", "ntfy=https://ntfy.sh/geheim\n")
    assert "geheim" not in repr(file)


def test_neither_addresses_nor_topics_are_in_argv(host: NasHost, takers: Takers) -> None:
    host.fake("curl", 'echo "$@" >>"$HOMELAB_ROOT/argv"; exec /usr/bin/curl "$@"')
    host.run("homelab-alert", "word", stdin="body\n")
    argv = host.path("/argv").read_text()
    assert len(takers.posts) == 2
    assert [word for word in ("anna", "topic", "hook", takers.web) if word in argv] == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key with its certificate for this machine's own name, in one file."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "mail.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(made, check=True, capture_output=True)
    with path.open("a") as file:
        file.write(Path(f"{path}.crt").read_text())
    return path


SECRETS = {"alerts.smtp_password": 'pass "word\\', "alerts.ntfy_token": "tk_geheim"}


def with_login(host: NasHost, takers: Takers, certificate: Path, trusted: bool) -> None:
    """The mail server wants TLS and a login; whether curl knows who signed its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    takers.servers[0].tls = context
    described = nas(
        alerts={
            "mail": "anna@example.org",
            "mail_from": "nas@example.org",
            "smtp": takers.smtp,
            "smtp_user": "nas@example.org",
            "smtp_password": "env:SMTP",
            "ntfy": f"http://{takers.web}/topic",
            "ntfy_token": "env:NTFY",
        }
    )
    host.lay(alerts.config(described, SECRETS))
    trust = f"--cacert {certificate}.crt" if trusted else ""
    host.fake("curl", f'echo "$@" >>"$HOMELAB_ROOT/argv"; shift; exec /usr/bin/curl -q {trust} "$@"')


def test_a_mail_server_that_wants_a_login_gets_it_over_tls_only(
    host: NasHost, takers: Takers, certificate: Path
) -> None:
    with_login(host, takers, certificate, trusted=True)
    done = host.run("homelab-alert", "word", stdin="body\n")
    assert done.returncode == 0, done.stderr
    heard: list[tuple[bool, str]] = takers.servers[0].heard
    encrypted, login = takers.servers[0].login
    assert encrypted
    assert base64.b64decode(login).decode().split("\0")[1:] == ["nas@example.org", SECRETS["alerts.smtp_password"]]
    assert [line for encrypted, line in heard if not encrypted and not line.startswith(("EHLO", "STARTTLS"))] == []
    (mail,) = takers.mails
    assert "From: homelab on" in mail and "<nas@example.org>\r\nTo: <anna@example.org>\r\n" in mail
    ((_, headers, _),) = takers.posts
    assert headers["Authorization"] == "Bearer tk_geheim"
    argv = host.path("/argv").read_text()
    assert [word for word in ("pass", "tk_geheim", "nas@example.org") if word in argv] == []


def test_a_password_is_for_nobody_whose_name_is_not_proven(host: NasHost, takers: Takers, certificate: Path) -> None:
    with_login(host, takers, certificate, trusted=False)
    host.run("homelab-alert", "word", stdin="body\n")
    heard: list[tuple[bool, str]] = takers.servers[0].heard
    assert [line for _, line in heard if line.startswith("AUTH")] == []
    assert (takers.mails, waiting(host)) == ([], 1)


def test_a_server_without_tls_gets_no_password(host: NasHost, takers: Takers, certificate: Path) -> None:
    with_login(host, takers, certificate, trusted=True)
    takers.servers[0].tls = None
    host.run("homelab-alert", "word", stdin="body\n")
    heard: list[tuple[bool, str]] = takers.servers[0].heard
    assert [line for _, line in heard if line.startswith(("AUTH", "MAIL"))] == []
    assert waiting(host) == 1


def test_secrets_are_in_the_one_file_that_only_root_reads() -> None:
    described = nas(alerts={"ntfy": "https://ntfy.sh/x", "ntfy_token": "env:NTFY"})
    found = [file for file in alerts.files(described, SECRETS) if "tk_geheim" in file.content]
    assert [(file.path, file.mode) for file in found] == [(alerts.CONFIG, "0600")]
    # A token that is another one has to be tested again.
    tested = HostProbe(text={alerts.TESTED: alerts.config(described, SECRETS).sha256})
    assert alerts.tested(described, tested, SECRETS)
    assert not alerts.tested(described, tested, {"alerts.ntfy_token": "tk_other"})
