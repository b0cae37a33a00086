"""When an X.509 certificate begins and ends, without a cryptography library to load: a few bytes of DER."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION = 0x30, 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


def validity(pem: str) -> tuple[datetime, datetime] | None:
    """Begin and end of the first certificate in a PEM text; None when there is none that can be read."""
    found = _PEM.search(pem)
    if not found:
        return None
    try:
        return validity_der(base64.b64decode("".join(found[1].split()), validate=True))
    except binascii.Error:
        return None


def validity_der(der: bytes) -> tuple[datetime, datetime] | None:
    """Begin and end of a certificate in DER; None when it cannot be read."""
    try:
        return _validity(der)
    except (IndexError, ValueError):
        return None


def _validity(der: bytes) -> tuple[datetime, datetime]:
    # RFC 5280: Certificate is a sequence of TBSCertificate first, which is a sequence of version (optional), serial
    # number, signature algorithm, issuer, validity: a sequence of notBefore and notAfter.
    _, body, _ = _element(der, 0)
    _, body, _ = _element(body, 0)
    at = 0
    if body[0] == _VERSION:
        _, _, at = _element(body, at)
    for _ in range(3):
        _, _, at = _element(body, at)
    tag, validity, _ = _element(body, at)
    if tag != _SEQUENCE:
        raise ValueError("no validity where it should be")
    begin, value, at = _element(validity, 0)
    end, last, _ = _element(validity, at)
    return _time(begin, value), _time(end, last)


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        # RFC 5280: two digits from 50 on are of the last century.
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time where it should be")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """The tag and content of the element that starts there, and where the next one does."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length, start = int.from_bytes(data[start : start + octets], "big"), start + octets
    if start + length > len(data):
        raise ValueError("it is cut")
    return tag, data[start : start + length], start + length
