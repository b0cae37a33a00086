"""pyinfra as a user runs it, on hosts that do not exist."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def pyinfra(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOMELAB", "PYINFRA", "SANDBOX"))}
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", *arguments],
        cwd=REPOSITORY,
        env={**kept, "HOMELAB_ENV": "rehearsal", "PYINFRA_PROGRESS": "off", **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
