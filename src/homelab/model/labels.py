"""Node labels and taints, refused here when kubelet would refuse them (K3s would then not start)."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator

from homelab.model.strict import refuse, shown

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")

# kubelet's rule for --node-labels, from its own message (seen in k3s-io/k3s#10916, K3s v1.31):
# labels "in the 'kubernetes.io' namespace must begin with an allowed prefix (kubelet.kubernetes.io,
# node.kubernetes.io) or be in the specifically allowed set (...)"; k8s.io counts as that namespace too.
_ALLOWED_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_ALLOWED = frozenset(
    (
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)


def _under(prefix: str, domain: str) -> bool:
    return prefix == domain or prefix.endswith("." + domain)


def _key(value: object, what: str) -> str:
    """A qualified name: an optional DNS prefix, a slash, and a name of 63 characters."""
    if isinstance(value, str):
        prefix, slash, name = value.rpartition("/")
        if _NAME.fullmatch(name) and (not slash or _PREFIX.fullmatch(prefix)):
            return value
    raise refuse(f"{shown(value)} is not a {what}'s key", f'write {what} keys like "disk" or "example.org/disk"')


def label_key(value: object) -> str:
    """A label's key that kubelet lets a node set on itself."""
    key = _key(value, "label")
    prefix = key.rpartition("/")[0]
    reserved = _under(prefix, "kubernetes.io") or _under(prefix, "k8s.io")
    if reserved and key not in _ALLOWED and not any(_under(prefix, allowed) for allowed in _ALLOWED_PREFIXES):
        raise refuse(
            f"kubelet refuses the label {key!r} and K3s would not start",
            'write it under "node.kubernetes.io/" or a domain of your own; '
            "node-role labels are set with kubectl once the node runs",
        )
    return key


def label_value(value: object) -> str:
    """A label's value: empty, or a name of 63 characters."""
    if isinstance(value, str) and (not value or _NAME.fullmatch(value)):
        return value
    if isinstance(value, bool | int | float):
        raise refuse(f"{shown(value)} is not a string", f'write "{str(value).lower()}"')
    raise refuse(f"{shown(value)} is not a label's value", "write at most 63 letters, digits, -, _ and .")


Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True)
class Taint:
    """Keeps pods away from a node unless they tolerate it."""

    key: str
    value: str
    effect: Effect

    @classmethod
    def parse(cls, text: str) -> "Taint":
        """Read ``key=value:Effect`` or ``key:Effect``. Raise a refusal that says what is wrong."""
        return taint(text)

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}"


def taint(value: object) -> Taint:
    """A taint from its text."""
    if isinstance(value, Taint):
        return value
    form = 'write "key=value:NoSchedule"'
    if not isinstance(value, str) or ":" not in value:
        raise refuse(f"{shown(value)} is not a taint", form)
    pair, _, effect = value.rpartition(":")
    key, _, text = pair.partition("=")
    for known in get_args(Effect):
        if effect == known:
            return Taint(_key(key, "taint"), label_value(text), known)
        if effect.lower() == known.lower():
            raise refuse(f"{effect!r} is not a taint's effect", f"write {known}")
    raise refuse(f"{effect!r} is not a taint's effect", f"write one of {', '.join(get_args(Effect))}")


LabelKey = Annotated[str, BeforeValidator(label_key)]
LabelValue = Annotated[str, BeforeValidator(label_value)]
TaintText = Annotated[Taint, BeforeValidator(taint)]
