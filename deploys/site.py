"""The whole home, in order: `pyinfra inventory deploys/site.py`."""

from pathlib import Path

from pyinfra import local

from homelab.pyinfra_compat import home

deploys = ["base.py", "nas.py", "k3s.py"]
cluster = home().cluster
if cluster is not None and cluster.charts is not None:
    deploys.append("charts.py")
for deploy in deploys:
    local.include(str(Path(__file__).resolve().parent / deploy))
