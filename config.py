"""pyinfra's own configuration file: read from the current directory before the inventory is loaded."""

import sys
from pathlib import Path

from pyinfra import config

# A checkout works without an installed package, so that `pyinfra inventory …` needs only the lock.
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from homelab import pyinfra_compat

config.REQUIRE_PYINFRA_VERSION = "~=3.10"
config.SUDO = True
# One failing host ends the run: the next step of a cluster must not be taken on half a result.
config.FAIL_PERCENT = 0
# Only pushed binaries and image archives pass through here (root checks their hash after moving them);
# /tmp is often a small tmpfs.
config.TEMP_DIR = "/var/tmp"

pyinfra_compat.install()
