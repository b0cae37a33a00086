"""A chart's archive, the same to the byte whoever makes it and whenever: a second run must change nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import yaml

from homelab.model.chart_folder import ChartError, ChartFolder, Dependency
from homelab.yaml_compat import UNREADABLE

# What Helm does not read of a chart, or what is fetched as a release of its own.
_LEFT_OUT = ("charts", "Chart.lock")
# K3s's controller puts it as base64 into a ConfigMap, which holds 1 MiB (helm-controller, contentConfigMap; Kubernetes,
# MaxSecretSize); of a larger one its log alone would tell.
_LARGEST = 3 << 18
_AT_MOST = f"and an embedded chart has at most {_LARGEST}"
# What reading an archive that is none raises.
_NO_ARCHIVE = (OSError, EOFError, tarfile.TarError, zlib.error, *UNREADABLE)
# What Go's YAML does not take as it is, and JSON does not escape.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def files(chart: ChartFolder) -> dict[str, bytes]:
    """What is packed of a chart, by path in it; Chart.yaml has the version that tells these very contents.

    Raise ChartError when a file of it cannot be read.
    """
    try:
        found = {
            path.relative_to(chart.path).as_posix(): path.read_bytes()
            for path in chart.path.rglob("*")
            if path.is_file()
        }
    except OSError as error:
        raise ChartError(f"{error.filename}: cannot be read ({error.strerror})", "mend it") from None
    kept = {name: text for name, text in found.items() if not _left_out(name)}
    told = yaml.safe_load(kept["Chart.yaml"])
    told.pop("dependencies", None)
    # Without one, klipper-helm of 2021 takes the release for none when it is to uninstall it.
    told.setdefault("appVersion", chart.version)
    told["version"] = f"{chart.version}+{_digest({**kept, 'Chart.yaml': _dumped(told)})}"
    return {**kept, "Chart.yaml": _dumped(told)}


def version(packed: Mapping[str, bytes]) -> str:
    """The version of a packed chart: its own, and after a + what its contents come to."""
    return str(yaml.safe_load(packed["Chart.yaml"])["version"])


def archive(name: str, packed: Mapping[str, bytes]) -> bytes:
    """The `.tgz` of a packed chart. Raise ChartError when it is too large to be embedded."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(packed):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(packed[path]), 0o644
            tar.addfile(entry, io.BytesIO(packed[path]))
    made = _gzip(held.getvalue())
    if len(made) > _LARGEST:
        large = max(packed, key=lambda path: len(packed[path]))
        remedy = f"take out what it does not need; {large} has {len(packed[large])}"
        raise ChartError(f"charts/{name}: has {len(made)} bytes when packed, {_AT_MOST}", remedy)
    return made


def kept(folder: Path, chart: Dependency) -> bytes | None:
    """The archive of an upstream chart that somebody has put into `folder`, as upstream names it; None without one.

    Raise ChartError when it is not that chart, or too large to be embedded.
    """
    path = folder / f"{chart.name}-{chart.version}.tgz"
    remedy = "put upstream's archive there, or delete it, then the cluster fetches it"
    try:
        if (size := path.stat().st_size) > _LARGEST:
            raise ChartError(f"{path}: has {size} bytes, {_AT_MOST}", "delete it")
        held = path.read_bytes()
        found = _told(held, chart.name)
    except FileNotFoundError:
        return None
    except _NO_ARCHIVE:
        raise ChartError(f"{path}: is no chart's archive, or cannot be read", remedy) from None
    if found != {"name": chart.name, "version": chart.version}:
        said = " ".join(str(each) for each in found.values()) or "nothing"
        raise ChartError(f"{path}: holds {said}, not {chart.name} {chart.version}", remedy)
    return held


def carries(content: object, chart: Dependency) -> bool:
    """Whether a HelmChart's `chartContent` is the archive of this upstream chart, in this version."""
    try:
        held = base64.b64decode(content, validate=True) if isinstance(content, str) else b""
        return _told(held, chart.name) == {"name": chart.name, "version": chart.version}
    except (ValueError, *_NO_ARCHIVE):
        return False


def _told(held: bytes, name: str) -> dict[str, object]:
    """Name and version in the Chart.yaml of an archive, as far as they are there. Raise one of _NO_ARCHIVE."""
    # Unpacked to its end, where its checksum is.
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(held))) as tar:
        described = tar.extractfile(f"{name}/Chart.yaml")
        told = yaml.safe_load(described) if described else None
    return {key: told.get(key) for key in ("name", "version")} if isinstance(told, dict) else {}


def _left_out(name: str) -> bool:
    first = name.partition("/")[0]
    return first in _LEFT_OUT or any(part.startswith(".") and part != ".helmignore" for part in Path(name).parts)


def _digest(packed: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    for path in sorted(packed):
        total.update(f"{path}\0{len(packed[path])}\0".encode() + packed[path])
    return total.hexdigest()[:12]


def as_json(value: object) -> str:
    """A value as JSON that every YAML reads as the same: the strings that Python's YAML leaves bare, such as 1234e56 or
    08, are numbers to Go's."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _dumped(value: object) -> bytes:
    return as_json(value).encode()


def _gzip(data: bytes) -> bytes:
    # RFC 1952 with RFC 1951's stored blocks: what another zlib would make of the same bytes is not the same, not even
    # where its blocks end.
    blocks = [data[at : at + 0xFFFF] for at in range(0, len(data), 0xFFFF)]
    stored = b"".join(struct.pack("<BHH", part is blocks[-1], len(part), len(part) ^ 0xFFFF) + part for part in blocks)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stored + struct.pack("<II", zlib.crc32(data), len(data) % 2**32)
