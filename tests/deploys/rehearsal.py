"""pyinfra as a user runs it, on hosts that do not exist."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests import warm_pyinfra

REPOSITORY = Path(__file__).resolve().parents[2]


def pyinfra(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMELAB", "PYINFRA", "SANDBOX"))}
    # What this machine has in its artifact cache is no part of it.
    nothing = {"XDG_CACHE_HOME": "/nonexistent/cache"}
    env = {**kept, **nothing, "HOMELAB_ENV": "rehearsal", "PYINFRA_PROGRESS": "off", **environ}
    return warm_pyinfra.pyinfra(arguments, REPOSITORY, env)
