"""What a deliberate act is told on the command line: `--data name=value`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from homelab.pyinfra_compat import Refusal, options


def arguments(needed: Sequence[str], optional: Sequence[str], usage: str) -> Mapping[str, str]:
    """The values of `--data`, as they were written; raise Refusal when one is missing, unknown or empty.

    pyinfra would read a value of digits as a number.
    """
    given = {}
    for item in options().get("data") or ():
        key, _, value = str(item).partition("=")
        given[key] = value
    known = {*needed, *optional, "ssh_user", "ssh_key", "ssh_port"}
    if unknown := [key for key in given if key not in known]:
        raise Refusal([f"--data {key}: no such argument; {usage}" for key in unknown])
    if any(not given.get(key) for key in needed):
        raise Refusal([usage])
    return {key: given[key] for key in (*needed, *optional) if given.get(key)}
