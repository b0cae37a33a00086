"""The whole home, in order: `pyinfra inventory deploys/site.py`."""

from pathlib import Path

from pyinfra import local

for deploy in ("base.py", "nas.py", "k3s.py"):
    local.include(str(Path(__file__).resolve().parent / deploy))
