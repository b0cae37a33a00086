"""`homelab health` while servers and agents are down: one root finding, or one line why there is no report."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.conftest import health_of, until
from tests.cluster.test_health import DEADLINE, health, roots, shown
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.skipif(os.environ.get("SANDBOX") != "ha", reason="takes three servers: SANDBOX=ha")

_TLS = "/var/lib/rancher/k3s/server/tls"


def well(lab: Lab, home) -> None:
    last: list[Any] = []

    def healthy() -> bool:
        try:
            last[:] = health(lab, home)
        except AssertionError:  # no report at all yet
            return False
        return last[0] == 0

    until("the cluster is well", healthy, DEADLINE, lambda: shown(last[1]) if last else "no report")


@contextmanager
def down(lab: Lab, home, *names: str) -> Iterator[None]:
    """K3s is stopped on these nodes, and the cluster well before and after."""
    well(lab, home)
    agents = {each.name for each in home.agents}
    units = {name: "k3s-agent" if name in agents else "k3s" for name in names}
    try:
        for name, unit in units.items():
            lab.ssh(name, f"systemctl stop {unit}", timeout=300)
        yield
    finally:
        for name, unit in units.items():
            lab.ssh(name, f"systemctl start --no-block {unit}")
        well(lab, home)


def first(home) -> str:
    """The server that the kubeconfig names."""
    return str(home.servers[0].name)


@pytest.mark.parametrize("agent", [pytest.param(True, id="agent"), pytest.param(False, id="etcd-server")])
def test_a_node_that_is_down_is_the_one_root(lab: Lab, home, agent: bool) -> None:
    name = (home.agents[0] if agent else home.servers[-1]).name
    last: list[Any] = []
    with down(lab, home, name):

        def told() -> bool:
            last[:] = health(lab, home)
            return any(each["code"] == "NODE001" for each in last[1]["findings"])

        until(f"{name} is told of", told, DEADLINE, lambda: shown(last[1]))
        code, report = last
        (root,) = roots(report)
        assert (root["code"], root["object"]["name"], code) == ("NODE001", name, 2), root["summary"]


@pytest.mark.parametrize("what", ["api", pytest.param("quorum", marks=pytest.mark.long)])
def test_without_an_api_there_is_one_line_and_no_verdict(lab: Lab, home, what: str) -> None:
    """The API's server is stopped, or both others are, so that it answers and has no etcd to ask."""
    others = tuple(each.name for each in home.servers[1:])
    with down(lab, home, *((first(home),) if what == "api" else others)):
        answers: list[subprocess.CompletedProcess[str]] = []

        def refused() -> bool:
            answers.append(health_of(lab, home.cluster.kubeconfig))
            return answers[-1].returncode == 3

        until("nothing can be checked", refused, 300, lambda: answers[-1].stdout)
        (line,) = answers[-1].stderr.strip().splitlines()
        assert answers[-1].stdout == ""
        # The address that was asked, and what came of it.
        assert "6443" in line


# K3s numbers its authority 0.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_client_certificate_that_has_expired_is_one_line(lab: Lab, home, tmp_path: Path) -> None:
    authority = x509.load_pem_x509_certificate(lab.ssh(first(home), f"cat {_TLS}/client-ca.crt").encode())
    key = serialization.load_pem_private_key(lab.ssh(first(home), f"cat {_TLS}/client-ca.key").encode(), None)
    mine, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
            x509.NameAttribute(NameOID.COMMON_NAME, "expired"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.subject)
        .public_key(mine.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    pem = mine.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    config = yaml.safe_load(Path(home.cluster.kubeconfig).read_text(encoding="utf-8"))
    user = {
        "client-certificate-data": base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode(),
        "client-key-data": base64.b64encode(pem).decode(),
    }
    for each in config["users"]:
        each["user"] = user
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    path.chmod(0o600)
    done = health_of(lab, path)
    (line,) = done.stderr.strip().splitlines()
    assert (done.returncode, done.stdout) == (3, "")
    assert "certificate" in line and f"{now - timedelta(days=1):%Y-%m-%d}" in line
