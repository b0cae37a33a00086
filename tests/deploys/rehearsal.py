"""pyinfra as a user runs it, on hosts that do not exist."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests import warm_pyinfra

REPOSITORY = Path(__file__).resolve().parents[2]


def pyinfra(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMELAB", "PYINFRA", "SANDBOX"))}
    # What this machine has in its artifact cache is no part of it.
    nothing = {"XDG_CACHE_HOME": "/nonexistent/cache"}
    env = {**kept, **nothing, "HOMELAB_ENV": "rehearsal", "PYINFRA_PROGRESS": "off", **environ}
    return warm_pyinfra.pyinfra(arguments, REPOSITORY, env)


@cache
def planned_site() -> tuple[dict[str, Any], ...]:
    """The operations of the dry run of everything, in order."""
    done = pyinfra("--dry", "--json", "inventory", "deploys/site.py")
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout)["plan"])
