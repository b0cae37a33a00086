"""Who the API is and who we are: certificates that do not fit end in one line that says which and what to do."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from homelab.certificates import validity, validity_der
from homelab.health import ClusterUnreachable, Ref, Severity, Status, read_snapshot, run_checks
from homelab.health.snapshot import CLIENT, SERVING
from tests.api_server import ApiServer
from tests.unit.health.cluster import K3s
from tests.unit.health.conftest import kubeconfig

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def data(self) -> str:
        return base64.b64encode(self.pem.encode()).decode()


def issue(
    name: str, by: Pair | None = None, *, days: float = 365, begin: float = -1, addresses: tuple[str, ...] = ()
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=begin))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if addresses:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(each)) for each in addresses])
        builder = builder.add_extension(names, critical=False)
    return Pair(builder.sign(by.key if by else key, hashes.SHA256()), key)


CA = issue("k3s-server-ca")
OTHER_CA = issue("k3s-server-ca")


@contextmanager
def serving(folder: Path, pair: Pair, **options: Any) -> Iterator[ApiServer]:
    path = folder / "serving.pem"
    path.write_text(pair.pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with ApiServer(K3s(datetime.now(UTC)).lists, tls=context, **options) as server:
        yield server


def told(folder: Path, url: str, *, ca: Pair = CA, user: Any = None) -> str:
    path = kubeconfig(folder, url, cluster={"certificate-authority-data": ca.data}, user=user)
    with pytest.raises(ClusterUnreachable) as error:
        read_snapshot(path, timeout=10)
    said = str(error.value)
    assert "\n" not in said and "; " in said
    return said


def test_a_cluster_is_read_over_tls_with_a_client_certificate(tmp_path: Path) -> None:
    client = issue("system:admin", CA)
    user = {
        "client-certificate-data": client.data,
        "client-key-data": base64.b64encode(client.key_pem.encode()).decode(),
    }
    own = issue("k3s", CA, days=200, addresses=("127.0.0.1",))
    with serving(tmp_path, own) as server:
        path = kubeconfig(tmp_path, server.url, cluster={"certificate-authority-data": CA.data}, user=user)
        snapshot = read_snapshot(path)
    assert len(snapshot.nodes) == 4
    assert (snapshot.api.serving_end, snapshot.api.client_end) == (NOW + timedelta(days=200), NOW + timedelta(days=365))
    assert snapshot.was_read(SERVING) and snapshot.was_read(CLIENT)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_certificates_that_end_soon_are_told_by_context_and_server(tmp_path: Path) -> None:
    client = issue("system:admin", CA, begin=-360, days=5)
    user = {
        "client-certificate-data": client.data,
        "client-key-data": base64.b64encode(client.key_pem.encode()).decode(),
    }
    with serving(tmp_path, issue("k3s", CA, begin=-345, days=20, addresses=("127.0.0.1",))) as server:
        # Trust does not matter for when it ends.
        path = kubeconfig(tmp_path, server.url, cluster={"insecure-skip-tls-verify": True}, user=user)
        report = run_checks(read_snapshot(path))
    told = {each.code: (each.severity, each.object) for each in report.roots}
    assert told == {
        "CERT001": (Severity.WARNING, Ref("API", "", server.url.removeprefix("https://"))),
        "CERT002": (Severity.CRITICAL, Ref("Kubeconfig", "", "home")),
    }


def test_certificates_that_are_short_are_renewed_as_they_go(tmp_path: Path) -> None:
    """A client's of a day, as an exec plugin fetches one, and a server's of a Let's Encrypt that is due for renewal."""
    client = issue("me", CA, days=0.5)
    plugin = tmp_path / "plugin"
    given = {"clientCertificateData": client.pem, "clientKeyData": client.key_pem}
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": given}
    plugin.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(credential)}\nEND\n")
    plugin.chmod(0o700)
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}
    with serving(tmp_path, issue("lab", CA, begin=-62, days=28, addresses=("127.0.0.1",))) as server:
        path = kubeconfig(tmp_path, server.url, cluster={"certificate-authority-data": CA.data}, user=user)
        snapshot = read_snapshot(path)
    assert snapshot.was_read(SERVING) and snapshot.was_read(CLIENT)
    assert {each.code for each in run_checks(snapshot).roots} & {"CERT001", "CERT002"} == set()


def test_without_a_client_certificate_there_is_no_word_on_one(tmp_path: Path) -> None:
    with serving(tmp_path, issue("k3s", CA, addresses=("127.0.0.1",))) as server:
        path = kubeconfig(tmp_path, server.url, cluster={"certificate-authority-data": CA.data})
        runs = {each.code: each for each in run_checks(read_snapshot(path)).runs}
    assert runs["CERT001"].status is Status.OK
    assert (runs["CERT002"].status, runs["CERT002"].reason) == (
        Status.SKIPPED,
        "client certificate: we show none",
    )


def test_another_clusters_authority(tmp_path: Path) -> None:
    with serving(tmp_path, issue("k3s", CA, addresses=("127.0.0.1",))) as server:
        said = told(tmp_path, server.url, ca=OTHER_CA)
    assert "not signed by the kubeconfig's authority; this kubeconfig is another cluster's" in said


def test_an_authority_of_old_that_newer_pythons_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3 asks for what Python 3.13 does by default; Go before 1.15 wrote authorities without a key identifier."""
    make = urllib3.connection.create_urllib3_context

    def strict(*arguments: Any, **named: Any) -> ssl.SSLContext:
        made = make(*arguments, **named)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setattr(urllib3.connection, "create_urllib3_context", strict)
    with serving(tmp_path, issue("k3s", CA, addresses=("127.0.0.1",))) as server:
        said = told(tmp_path, server.url)
    assert "another cluster" not in said
    assert "Python from 3.13 on refuses the API server's certificate (" in said


def test_a_name_that_the_certificate_does_not_have(tmp_path: Path) -> None:
    with serving(tmp_path, issue("k3s", CA, addresses=("192.0.2.11",))) as server:
        said = told(tmp_path, server.url)
    assert "the API server's certificate is not for 127.0.0.1; add that name to tls-san" in said


def test_a_serving_certificate_that_has_expired(tmp_path: Path) -> None:
    with serving(tmp_path, issue("k3s", CA, begin=-400, days=-1, addresses=("127.0.0.1",))) as server:
        said = told(tmp_path, server.url)
    assert "the API server's certificate has expired; restart k3s on that server" in said


def test_a_serving_certificate_of_the_future(tmp_path: Path) -> None:
    with serving(tmp_path, issue("k3s", CA, begin=3, addresses=("127.0.0.1",))) as server:
        assert "not valid yet; see the clocks here and there" in told(tmp_path, server.url)


def test_a_client_certificate_that_has_expired(tmp_path: Path) -> None:
    """K3s answers 401 to it, as to any credentials that it does not know."""
    client = issue("system:admin", CA, begin=-400, days=-2)
    user = {
        "client-certificate-data": client.data,
        "client-key-data": base64.b64encode(client.key_pem.encode()).decode(),
    }
    with serving(tmp_path, issue("k3s", CA, addresses=("127.0.0.1",)), token="required") as server:
        said = told(tmp_path, server.url, user=user)
    end = NOW - timedelta(days=2)
    assert f"we are not let in; the client certificate in {tmp_path}/kubeconfig expired on {end:%Y-%m-%d}" in said


def test_a_client_certificate_of_another_cluster(tmp_path: Path) -> None:
    client = issue("system:admin", OTHER_CA)
    user = {
        "client-certificate-data": client.data,
        "client-key-data": base64.b64encode(client.key_pem.encode()).decode(),
    }
    with serving(tmp_path, issue("k3s", CA, addresses=("127.0.0.1",)), token="required") as server:
        assert "is of another cluster, or of this one before" in told(tmp_path, server.url, user=user)


def test_no_tls_where_tls_is_wanted(tmp_path: Path) -> None:
    with ApiServer({}) as server:
        said = told(tmp_path, server.url.replace("http://", "https://"))
    assert "no TLS is spoken there; see address and port" in said


def test_tls_where_none_is_wanted(tmp_path: Path) -> None:
    """Go's server answers a plain request with 400 and these words."""
    from tests import api_server

    words = b"Client sent an HTTP request to an HTTPS server.\n"
    with ApiServer({}, faults={"/version": api_server.body(words, 400)}) as server:
        said = told(tmp_path, server.url)
    assert "the API speaks TLS; write https:// for the server" in said


@pytest.mark.parametrize("days", [-3.0, 1.0, 365.0, 3650.0, 365.0 * 40])
def test_begin_and_end_of_a_certificate(days: float) -> None:
    pair = issue("x", CA, begin=-5, days=days)
    assert validity(f"junk before\n{pair.pem}") == _validity(pair)


def _validity(pair: Pair) -> tuple[datetime, datetime]:
    return pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_has_no_end(text: str) -> None:
    assert validity(text) is None


def test_a_certificate_that_is_cut_has_no_end_or_the_right_one() -> None:
    whole = CA.certificate.public_bytes(serialization.Encoding.DER)
    right = _validity(CA)
    assert {validity_der(whole[:length]) for length in range(len(whole))} <= {None, right}
    assert validity_der(whole) == right
