"""What the simulated hosts share."""

import os as _os
import runpy as _runpy
from pathlib import Path as _Path

_REPOSITORY = _Path(__file__).resolve().parent.parent.parent

networks = {"sandbox": "10.17.77.0/24"}

# Never the user's own kubeconfig: sandboxes come and go.
kubeconfig = str(_REPOSITORY / ".sandbox" / "kubeconfig")

# One add-on less to boot: nothing in the sandbox asks for an ingress.
server_config = {"disable": ["traefik"]}

# HOMELAB_K3S_VERSION says otherwise than all.py, for one run or for a machine that has other artifacts.
k3s_version = (
    _os.environ.get("HOMELAB_K3S_VERSION") or _runpy.run_path(str(_Path(__file__).with_name("all.py")))["k3s_version"]
)

_CACHE = _Path(_os.environ.get("XDG_CACHE_HOME") or _Path.home() / ".cache") / "homelab" / "artifacts" / k3s_version

# An image archive in the artifact cache is pushed to the nodes; without one they pull from the registries.
image_archives = ("k3s-airgap-images-{arch}.tar",) if any(_CACHE.glob("k3s-airgap-images-*.tar")) else ()
