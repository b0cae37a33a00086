"""K3s versions, pinned to one release."""

import re
from typing import Annotated

from pydantic import BeforeValidator

from homelab.model.strict import refuse, shown

# Upstream's tags: v1.34.9+k3s1, and v1.34.9-rc1+k3s1 before a release.
PATTERN = re.compile(r"v1\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-rc[1-9]\d*)?\+k3s[1-9]\d*")


def k3s_version(value: object) -> str:
    """A K3s release's tag, exact: a release that cannot exist is refused, none is guessed."""
    if isinstance(value, str) and PATTERN.fullmatch(value):
        return value
    remedy = 'write a release\'s whole tag, "v1.34.9+k3s1"'
    if isinstance(value, str):
        bare = value.strip().lstrip("vV").replace("-k3s", "+k3s")
        meant = f"v{bare}" if "+k3s" in bare else f"v{bare}+k3s1"
        if PATTERN.fullmatch(meant):
            remedy = f'write "{meant}" (v, version, +k3s and the build)'
            if "k3s" not in bare:
                remedy = f'write the whole tag, "{meant}" if that is the build'
    raise refuse(f"{shown(value)} is not a K3s version", remedy)


K3sVersion = Annotated[str, BeforeValidator(k3s_version)]
