"""The way to a cluster's API: the official client's own loading and transport, and plain bytes from it.

Of the Kubernetes client this takes the loading of credentials and the transport below its typed APIs; importing those
would cost a second.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3.exceptions as errors
import yaml

from homelab import certificates, kubernetes_compat

_CHUNK = 1 << 18
_CONNECT = 10.0
_K3S_FILE = "/etc/rancher/k3s/k3s.yaml"
# OpenSSL's words where it is strict, as Python has it since 3.13, of authorities that an old K3s made, or somebody.
_STRICT = re.compile(
    r"Missing (?:Authority|Subject) Key Identifier|CA cert does not include key usage extension"
    r"|Basic Constraints of CA cert not marked critical"
)
# What a kubeconfig of another shape makes the client's loader raise, besides its own ConfigException.
_MALFORMED = (TypeError, KeyError, AttributeError, ValueError, IndexError)

_official = kubernetes_compat.load()


class ClusterUnreachable(Exception):
    """Nothing can be said of the cluster: one line that says why and what to do next."""


class ReadFailed(Exception):
    """One read came to nothing: why, in a few words. `late` when it was the deadline."""

    def __init__(self, why: str, *, late: bool = False) -> None:
        super().__init__(why)
        self.late = late

    @property
    def told(self) -> str:
        """Why, and what to do next where that is known."""
        return str(self)


class Unconnected(ReadFailed):
    """No connection, so not even an error: why, then what to do."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy

    @property
    def told(self) -> str:
        return f"{self}; {self.remedy}"


@dataclass(frozen=True)
class Answer:
    """What the API answered. `date` is its clock's when it did, to the second; `elapsed` is in seconds.

    `certificate` is the server's in DER, None where it is not told: without TLS, or by a connection that is closed.
    """

    status: int
    body: bytes
    date: datetime | None
    retry_after: float | None
    received: datetime
    elapsed: float
    certificate: bytes | None = None


class Deadline:
    """A moment by which all must be done."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    @property
    def late(self) -> ReadFailed:
        return ReadFailed(f"not within {round(self.seconds, 1):g} s", late=True)


def patiently(ask: Callable[[], Answer], deadline: Deadline, pause: float) -> Answer:
    """An answer. What the API put off, or where a connection broke once, is asked again while there is time.

    `pause` is how many seconds to wait when the API does not say.
    """
    broken = 0
    while True:
        try:
            answer = ask()
        except Unconnected:
            raise
        except ReadFailed as error:
            broken += 1
            if error.late or broken > 1:
                raise
            continue
        put_off = answer.status == 429 or (answer.status == 503 and answer.retry_after is not None)
        wait = pause if answer.retry_after is None else max(answer.retry_after, 0.05)
        if not put_off or wait >= deadline.left:
            return answer
        time.sleep(wait)


class Connection:
    """A client for one cluster. `context` is the kubeconfig's, "" in a pod."""

    def __init__(self, configuration: Any, context: str, place: str) -> None:
        # The client would wait as long as the server says, deadline or not.
        configuration.retries = False
        self.context = context
        self.place = place
        self.url = str(configuration.host)
        self._configuration = configuration
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", errors.DependencyWarning)
                self._transport = _official.RESTClientObject(configuration)
        except ImportError:
            # kubectl brings SOCKS along (`ssh -D`), the transport wants PySocks for it.
            raise ClusterUnreachable(
                f"{place}: to go by a SOCKS proxy takes another package: pip install pysocks"
            ) from None
        except (errors.ProxySchemeUnknown, errors.LocationParseError):
            proxy = str(configuration.proxy).rpartition("@")[2]  # before it may be a password
            raise ClusterUnreachable(
                f"{place}: the proxy {proxy} is no URL of http or https; see proxy-url and HTTPS_PROXY"
            ) from None
        # Compression pays on a wire; on one machine it costs both ends.
        self._headers = {"Accept": "application/json", "User-Agent": "homelab"}
        if not _loopback(self.url):
            self._headers["Accept-Encoding"] = "gzip"

    def close(self) -> None:
        self._transport.close()

    def get(self, path: str, deadline: Deadline, query: str = "") -> Answer:
        """What the API answers to GET, whatever its status. Raise ReadFailed when there is no whole answer in time."""
        return self._ask("GET", path, deadline, query, None)

    def lines(self, path: str, deadline: Deadline, wanted: tuple[bytes, ...]) -> Answer:
        """As `get`, with those lines alone that begin in one of the ways that are wanted; the others are never held all
        at once. An answer that is no success has its whole body."""
        return self._ask("GET", path, deadline, "", None, wanted=wanted)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | str | None,
        deadline: Deadline,
        kind: str = "application/json",
    ) -> Answer:
        """What the API answers to a request that writes, whatever its status. Raise ReadFailed as `get`; nobody knows
        then whether it has done what was asked. `kind` is the body's content type; one that is no JSON takes text. No
        check may call this."""
        return self._ask(method, path, deadline, "", body, kind)

    def _ask(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        query: str,
        body: Mapping[str, Any] | str | None,
        kind: str = "",
        wanted: tuple[bytes, ...] = (),
    ) -> Answer:
        begun = time.monotonic()
        url = f"{self.url}{path}?{query}" if query else f"{self.url}{path}"
        told = self._headers | self._bearer() | ({} if body is None else {"Content-Type": kind})
        left = deadline.left
        if not left:
            raise deadline.late
        try:
            response = self._transport.request(
                method, url, headers=told, body=body, _request_timeout=(min(_CONNECT, left), left)
            ).response
            answered = time.monotonic() - begun
            certificate = _certificate(response)
            pieces = _pieces(response, deadline)
            content = b"".join(_lines(pieces, wanted) if wanted and response.status == 200 else pieces)
        except _official.ApiException as error:
            raise self._untrusted(str(error.reason)) from None
        # A connection that is refused is a kind of timeout to urllib3, for old times' sake.
        except (errors.NewConnectionError, errors.ProxyError) as error:
            raise self._unconnected(error) from None
        except errors.TimeoutError as error:
            if isinstance(error, errors.ReadTimeoutError) or not deadline.left:
                raise deadline.late from None
            raise Unconnected("no answer to a connection", f"see that {self._site} is on and not firewalled") from None
        except (errors.ProtocolError, errors.DecodeError, errors.HTTPError, OSError) as error:
            raise ReadFailed(f"the connection broke: {_words(error)}") from None
        except ValueError:
            # http.client puts the header, which is a secret, into the message.
            raise Unconnected("the token holds a line break", f"write it as one line in {self.place}") from None
        received = datetime.now(UTC)
        heard = response.headers
        return Answer(
            response.status,
            content,
            _date(heard.get("Date")),
            _seconds(heard.get("Retry-After")),
            received,
            answered,
            certificate,
        )

    def _bearer(self) -> dict[str, str]:
        """The header that lets us in; asked for each time, as the token of a pod is replaced by and by."""
        told = self._configuration.auth_settings().get("BearerToken")
        return {told["key"]: told["value"]} if told else {}

    @property
    def _site(self) -> str:
        parts = urlsplit(self.url)
        return parts.netloc.rpartition("@")[2] or self.url

    def _unconnected(self, error: Exception) -> Unconnected:
        said = str(error)
        if isinstance(error, errors.NameResolutionError) or "resolve" in said:
            return Unconnected(f"the name {urlsplit(self.url).hostname} does not resolve", "see DNS, or the address")
        if "refused" in said:
            return Unconnected("connection refused", "see on a server: systemctl status k3s")
        if isinstance(error, errors.ProxyError):
            return Unconnected("the proxy does not let us through", "see HTTPS_PROXY and NO_PROXY, or proxy-url")
        return Unconnected(_words(error), f"see that {self._site} is on and in reach")

    def _untrusted(self, said: str) -> Unconnected:
        """Why TLS failed: OpenSSL's reasons are stable words."""
        said = said.removeprefix("SSLError").strip()
        if "certificate has expired" in said:
            return Unconnected(
                "the API server's certificate has expired",
                "restart k3s on that server, which renews it, and see the clocks",
            )
        if "not yet valid" in said:
            return Unconnected("the API server's certificate is not valid yet", "see the clocks here and there")
        if found := re.search(r"(?:Hostname|IP address) mismatch.*?'([^']+)'", said):
            return Unconnected(
                f"the API server's certificate is not for {found[1]}", "add that name to tls-san, or use one that is"
            )
        if "WRONG_VERSION_NUMBER" in said or "wrong version number" in said or "record layer failure" in said:
            return Unconnected("no TLS is spoken there", "see address and port: the API is at 6443")
        if found := _STRICT.search(said):
            return Unconnected(
                f"Python from 3.13 on refuses the API server's certificate ({found[0]})",
                "run homelab with an older Python, or give the cluster a new authority: k3s certificate rotate-ca",
            )
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return Unconnected(
                "the API server's certificate is not signed by the kubeconfig's authority",
                "this kubeconfig is another cluster's, or older than this one: fetch it again",
            )
        if "certificate" in said.lower() and "alert" in said.lower():
            return Unconnected("the API server refuses the client certificate", self.credentials)
        return Unconnected(f"TLS failed: {said[:160]}", f"see {self.place}")

    @property
    def credentials(self) -> str:
        """What is wrong with what we show to be let in, as far as it can be told from here, and what to do."""
        now, shown = datetime.now(UTC), self.client_certificate_validity
        end = shown[1] if shown else None
        renew = f"fetch it again from {_K3S_FILE} on a server"
        if end and end < now:
            return f"the client certificate in {self.place} expired on {end:%Y-%m-%d}; {renew}"
        token = str((self._configuration.api_key or {}).get("BearerToken", ""))
        if token:
            end = _token_end(token)
            if end and end < now:
                return f"the token in {self.place} expired on {end:%Y-%m-%d %H:%M} UTC; write a new one"
            return f"the token in {self.place} is not (or no longer) known there; write a new one"
        if shown:
            return f"the client certificate in {self.place} is of another cluster, or of this one before; {renew}"
        return f"{self.place} holds no credentials; {renew}"

    @property
    def shows_certificate(self) -> bool:
        return bool(self._configuration.cert_file)

    @property
    def client_certificate_validity(self) -> tuple[datetime, datetime] | None:
        """When the client certificate begins and ends; None without one."""
        path = self._configuration.cert_file
        try:
            return certificates.validity(Path(path).read_text(encoding="ascii")) if path else None
        except (OSError, UnicodeDecodeError):
            return None


def connect(kubeconfig: str | None = None, context: str | None = None, server: str | None = None) -> Connection:
    """A connection as kubectl would make it: the file given, else KUBECONFIG, else ~/.kube/config, else the pod's own.

    `server` is the URL to ask instead of the context's, as kubectl's --server. No request is made. Raise
    ClusterUnreachable when there is nothing to go by.
    """
    # A Configuration of its own: the client's default one is shared by the whole process.
    configuration = _official.Configuration()
    # pathlib raises for the home folder of nobody.
    path = kubeconfig or os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")  # noqa: PTH111
    found = [each for each in path.split(os.pathsep) if each and os.path.exists(os.path.expanduser(each))]  # noqa: PTH110, PTH111
    if not found and kubeconfig is None and not context and os.environ.get("KUBERNETES_SERVICE_HOST"):
        try:
            _official.load_incluster_config(client_configuration=configuration)
        except (_official.ConfigException, OSError) as error:
            raise ClusterUnreachable(
                f"service account: {_words(error)}; let the pod mount one (automountServiceAccountToken)"
            ) from None
        return Connection(configuration, "", "the pod's service account")
    if not found:
        raise ClusterUnreachable(
            f"{path}: there is no kubeconfig; write --kubeconfig PATH or set KUBECONFIG (a K3s server has {_K3S_FILE})"
        )
    place = os.pathsep.join(found)
    try:
        with _said() as said:
            name = _context(place, context)
            _official.load_kube_config(place, context=context, client_configuration=configuration)
    except OSError as error:
        raise ClusterUnreachable(
            f"{error.filename or place}: {error.strerror or error}; run as a user who may read it, or copy it"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ClusterUnreachable(f"{place}: is not YAML{where}; mend it or fetch it again") from None
    except _official.ConfigException as error:
        raise ClusterUnreachable(f"{place}: {_config_words(error)}; mend it or fetch it again") from None
    except _MALFORMED:
        raise ClusterUnreachable(f"{place}: is not a kubeconfig; mend it or fetch it again") from None
    if said:
        # The loader logs what an exec plugin did wrong, and goes on without credentials.
        raise ClusterUnreachable(f"{place}: no credentials from the plugin: {_one_line(said[0])}; run it by hand")
    if server:
        configuration.host = server
    if urlsplit(str(configuration.host)).scheme not in ("http", "https"):
        raise ClusterUnreachable(
            f"{place}: the server of context {name} is no URL ({configuration.host}); write https://ADDRESS:6443"
        )
    return Connection(configuration, name, place)


def _context(place: str, wanted: str | None) -> str:
    """The name of the context in use. Raise ClusterUnreachable when there is no such one."""
    try:
        contexts, current = _official.list_kube_config_contexts(place)
    except _official.ConfigException as error:
        # The loader looks at the current context even when another is wanted.
        if wanted:
            return wanted
        # kubectl itself leaves "" in a file without contexts, and the name of one that it was told to delete.
        missing = re.search(r"object with name (.*?) ?in .*/contexts list", str(error))
        if "current-context" in str(error) or (missing and not missing[1]):
            raise ClusterUnreachable(f"{place}: names no current context; write --context NAME") from None
        if missing:
            found = f"its current context is {missing[1]}, and there is no such one"
            raise ClusterUnreachable(f"{place}: {found}; write --context NAME") from None
        raise
    names = sorted(str(each["name"]) for each in contexts)
    if wanted and wanted not in names:
        raise ClusterUnreachable(f"{place}: has no context {wanted}; write one of {', '.join(names)}")
    return wanted or str(current["name"])


@contextmanager
def _said() -> Iterator[list[str]]:
    """What the client's loader logs instead of raising it."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler, root = Handler(level=logging.ERROR), logging.getLogger()
    root.addHandler(handler)
    try:
        yield said
    finally:
        root.removeHandler(handler)


def _certificate(response: object) -> bytes | None:
    """The certificate of the connection that an answer comes by; once the answer is read that is given back."""
    told = getattr(getattr(getattr(response, "connection", None), "sock", None), "getpeercert", None)
    return told(binary_form=True) if told else None


def _pieces(response: errors.HTTPError | object, deadline: Deadline) -> Iterator[bytes]:
    """The body. Each piece may come in time and the whole never: so the clock is looked at between the pieces."""
    try:
        while piece := response.read1(_CHUNK):  # type: ignore[union-attr]
            yield piece
            if not deadline.left:
                raise deadline.late
    except BaseException:
        response.close()  # type: ignore[union-attr]
        raise
    response.release_conn()  # type: ignore[union-attr]


def _lines(pieces: Iterable[bytes], wanted: tuple[bytes, ...]) -> Iterator[bytes]:
    """The lines that begin as wanted, of a text in pieces of any size."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in whole if line.startswith(wanted))
    if rest.startswith(wanted):
        yield rest


def _loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _date(value: str | None) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except ValueError:
        return None


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value else None
    except ValueError:
        return None


def _token_end(token: str) -> datetime | None:
    """When a service account's token ends: the `exp` of a JWT."""
    parts = token.split(" ")[-1].split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None


def _config_words(error: Exception) -> str:
    said = re.sub(r"^Invalid kube-config(?: file)?\.\s*", "", _words(error))
    return said[:1].lower() + said[1:] if said else "is not a kubeconfig"


def _words(error: BaseException) -> str:
    """An error's own words in one line, without urllib3's object addresses."""
    said = _one_line(str(error)) or type(error).__name__
    said = re.sub(r"<[^>]*>:?\s*|HTTPS?Connection\([^)]*\):\s*", "", said)
    return said[:200]


def _one_line(said: str) -> str:
    return " ".join(said.split())
